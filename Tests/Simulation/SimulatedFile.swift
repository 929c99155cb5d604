import Bytes
import Platform
import Synchronization

/// A handle on a simulated file; dead after a restart.
final class SimulatedFile: File {
    let path: String
    private let fileSystem: SimulatedFileSystem
    private let inode: Int
    private let life: Int
    private let isWritable: Bool
    private let isClosed = Atomic<Bool>(false)

    init(
        _ fileSystem: SimulatedFileSystem, _ path: String, _ inode: Int, _ life: Int,
        isWritable: Bool
    ) {
        self.fileSystem = fileSystem
        self.path = path
        self.inode = inode
        self.life = life
        self.isWritable = isWritable
    }

    deinit { close() }

    func size() throws(DiskError) -> UInt64 {
        try checkOpen("fstat")
        return try fileSystem.perform(.size, path, life: life) { (state) throws(DiskError) in
            UInt64(state.inodes[inode]?.size ?? 0)
        }
    }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        try checkOpen("pread")
        guard let position = Int(exactly: offset) else { return 0 }
        // The caller's memory: only the body writes to it, and it runs before this call returns.
        nonisolated(unsafe) let buffer = target
        return try fileSystem.perform(.read, path, bytes: target.count, life: life) {
            (state) throws(DiskError) in
            state.inodes[inode]?.read(into: buffer, at: position) ?? 0
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        try checkWritable("pwrite")
        guard let position = Int(exactly: offset), position <= 1 << 40 else {
            throw DiskError(.system(22), "pwrite", path)
        }
        let inode = inode
        let partly = { (state: inout SimulatedFileSystem.State, generator: inout SplitMix64) in
            if source.isEmpty { return }
            let part = Int(generator.next() % UInt64(source.count))
            state.inodes[inode]?.write(
                UnsafeRawBufferPointer(rebasing: source[..<part]), at: position)
        }
        try fileSystem.perform(.write, path, bytes: source.count, life: life, partly: partly) {
            (state) throws(DiskError) in
            let growth = position + source.count - (state.inodes[inode]?.size ?? 0)
            try checkSpace(growth, state, "pwrite")
            state.inodes[inode]?.write(source, at: position)
            state.watch?.wrote(source, to: path, inode: inode)
        }
    }

    func sync() throws(DiskError) {
        try checkOpen("fdatasync")
        let inode = inode
        let partly = { (state: inout SimulatedFileSystem.State, _: inout SplitMix64) in
            state.inodes[inode]?.failSync() ?? ()
        }
        try fileSystem.perform(.sync, path, life: life, partly: partly) {
            (state) throws(DiskError) in
            if let ending = state.lyingEnding, path.hasSuffix(ending) { return }
            state.inodes[inode]?.sync()
            state.watch?.synced(inode: inode)
        }
    }

    func preallocate(_ size: UInt64) throws(DiskError) {
        try checkWritable("fallocate")
        let target = Int(clamping: size)
        try fileSystem.perform(.preallocate, path, life: life) { (state) throws(DiskError) in
            try checkSpace(target - (state.inodes[inode]?.size ?? 0), state, "fallocate")
            state.inodes[inode]?.grow(to: target)
        }
    }

    func truncate(_ size: UInt64) throws(DiskError) {
        try checkWritable("ftruncate")
        let target = Int(clamping: size)
        try fileSystem.perform(.truncate, path, life: life) { (state) throws(DiskError) in
            state.inodes[inode]?.truncate(to: target)
        }
    }

    func close() {
        if isClosed.exchange(true, ordering: .relaxed) { return }
        fileSystem.state.withLock { state in
            guard state.life == life, var file = state.inodes[inode] else { return }
            file.handles -= 1
            state.inodes[inode] = file
            if file.handles == 0, !state.names.reachable.contains(inode) {
                state.inodes[inode] = nil
            }
        }
    }

    private func checkOpen(_ operation: String) throws(DiskError) {
        if isClosed.load(ordering: .relaxed) { throw DiskError(.closed, operation, path) }
    }

    private func checkWritable(_ operation: String) throws(DiskError) {
        try checkOpen(operation)
        if !isWritable { throw DiskError(.closed, operation, path) }
    }

    private func checkSpace(
        _ growth: Int, _ state: SimulatedFileSystem.State, _ operation: String
    ) throws(DiskError) {
        if growth > 0, state.capacity < SimulatedFileSystem.unlimited,
            state.usedBytes + UInt64(growth) > state.capacity
        {
            throw DiskError(.noSpace, operation, path)
        }
    }
}
