import Bytes
package import Platform
import Synchronization

/// A file system in memory that crashes, loses, corrupts and fails on demand, as a disk may.
///
/// - Unsynced bytes survive a crash in any subset of 512-byte sectors, and sectors being changed
///   may be torn; sizes and directory entries survive on their own (see ``SimulatedNames``).
/// - After a crash every call throws `.closed` until ``restart()``; handles and locks of the former
///   life stay dead.
/// - All randomness comes from seeds.
package final class SimulatedFileSystem: FileSystem {
    struct State {
        var names = SimulatedNames()
        var inodes: [Int: SimulatedInode] = [:]
        var nextInode = 0
        var locks: [String: String] = [:]
        var life = 0
        var isDown = false
        /// What survives is drawn from this at restart; nil when nothing is lost.
        var pendingCrash: UInt64?
        var operationCount = 0
        var plan: CrashPlan?
        var faults: [DiskFault] = []
        var generator: SplitMix64
        var capacity = SimulatedFileSystem.unlimited
        var hook: (@Sendable (DiskEvent) -> Void)?
        /// Syncs of files whose names end so return without doing anything.
        var lyingEnding: String?
        var watch: (any PlatterWatch)?
        var onPowerCut: PowerCutHook?
    }

    // A closure in a struct: a mutex over a bare closure type wraps it anew at every access.
    struct PowerCutHook: Sendable {
        let tell: @Sendable () -> Void
    }

    /// The capacity at which nobody counts.
    static let unlimited: UInt64 = 1 << 40

    let state: Mutex<State>

    /// An empty file system with a root directory.
    package init(seed: UInt64 = 0) {
        state = Mutex(State(generator: SplitMix64(seed: seed)))
    }

    private init(_ copied: sending State) {
        state = Mutex(copied)
    }

    /// A second file system with the same files and faults; handles stay with the first.
    package func copy() -> SimulatedFileSystem {
        let (names, inodes, next, generator, capacity) = state.withLock {
            ($0.names, $0.inodes, $0.nextInode, $0.generator, $0.capacity)
        }
        var copied = State(generator: generator)
        copied.names = names
        copied.inodes = inodes
        copied.nextInode = next
        copied.capacity = capacity
        return SimulatedFileSystem(copied)
    }

    // MARK: FileSystem

    package func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any File {
        let name = SimulatedPath.normal(path)
        let operation: DiskOperation = if case .create = mode { .create } else { .open }
        return try perform(operation, path) { (state) throws(DiskError) in
            let inode: Int
            if case .create = mode {
                if state.names.seen[name] != nil { throw DiskError(.exists, "open", path) }
                try Self.checkParent(name, state, "open", path)
                inode = state.nextInode
                state.nextInode += 1
                state.inodes[inode] = SimulatedInode()
                state.names.add(name, inode)
            } else {
                guard let found = state.names.seen[name] else {
                    throw DiskError(.notFound, "open", path)
                }
                inode = found
            }
            state.inodes[inode]?.handles += 1
            let isWritable = if case .read = mode { false } else { true }
            return SimulatedFile(self, path, inode, state.life, isWritable: isWritable)
        }
    }

    package func list(_ directory: String) throws(DiskError) -> [String] {
        let name = SimulatedPath.normal(directory)
        return try perform(.list, directory) { (state) throws(DiskError) in
            guard state.names.directories.contains(name) else {
                throw DiskError(.notFound, "opendir", directory)
            }
            return state.names.list(name)
        }
    }

    package func makeDirectory(_ path: String) throws(DiskError) {
        let name = SimulatedPath.normal(path)
        try perform(.makeDirectory, path) { (state) throws(DiskError) in
            if state.names.seen[name] != nil { throw DiskError(.exists, "mkdir", path) }
            state.names.makeDirectory(name)
        }
    }

    package func rename(_ source: String, to target: String) throws(DiskError) {
        let from = SimulatedPath.normal(source)
        let to = SimulatedPath.normal(target)
        try perform(.rename, source) { (state) throws(DiskError) in
            guard state.names.seen[from] != nil else {
                throw DiskError(.notFound, "rename", source)
            }
            try Self.checkParent(to, state, "rename", source)
            state.names.rename(from, to: to)
        }
    }

    package func link(_ source: String, as target: String) throws(DiskError) {
        let from = SimulatedPath.normal(source)
        let to = SimulatedPath.normal(target)
        try perform(.link, target) { (state) throws(DiskError) in
            guard let inode = state.names.seen[from] else {
                throw DiskError(.notFound, "link", target)
            }
            if state.names.seen[to] != nil { throw DiskError(.exists, "link", target) }
            try Self.checkParent(to, state, "link", target)
            state.names.add(to, inode)
        }
    }

    package func unlink(_ path: String) throws(DiskError) {
        let name = SimulatedPath.normal(path)
        try perform(.unlink, path) { (state) throws(DiskError) in
            guard state.names.seen[name] != nil else { throw DiskError(.notFound, "unlink", path) }
            state.names.remove(name)
        }
    }

    package func syncDirectory(_ path: String) throws(DiskError) {
        let name = SimulatedPath.normal(path)
        try perform(.syncDirectory, path) { (state) throws(DiskError) in
            guard state.names.directories.contains(name) else {
                throw DiskError(.notFound, "fsync", path)
            }
            if state.lyingEnding == "" { return }
            state.names.sync(name)
            state.forgetUnreachable()
        }
    }

    package func exists(_ path: String) throws(DiskError) -> Bool {
        let name = SimulatedPath.normal(path)
        return try perform(.open, path) { (state) throws(DiskError) in
            state.names.seen[name] != nil || state.names.directories.contains(name)
        }
    }

    package func lock(_ path: String, note: String) throws(DiskError) -> any DirectoryLock {
        let name = SimulatedPath.normal(path)
        return try perform(.lock, path) { (state) throws(DiskError) in
            if let holder = state.locks[name] {
                throw DiskError(.locked(holder: holder), "flock", path)
            }
            try Self.checkParent(name, state, "open", path)
            state.locks[name] = note
            return SimulatedLock(self, name, state.life)
        }
    }

    package func freeBytes(_ path: String) throws(DiskError) -> UInt64 {
        try perform(.size, path) { (state) throws(DiskError) in
            let used = state.usedBytes
            return state.capacity > used ? state.capacity - used : 0
        }
    }

    fileprivate func release(_ name: String, life: Int) {
        state.withLock { if $0.life == life { $0.locks[name] = nil } }
    }

    private static func checkParent(
        _ name: String, _ state: State, _ operation: String, _ path: String
    ) throws(DiskError) {
        if !state.names.directories.contains(SimulatedPath.parent(name)) {
            throw DiskError(.notFound, operation, path)
        }
    }
}

extension SimulatedFileSystem.State {
    /// Bytes of all files that have a name or a handle, as sizes.
    var usedBytes: UInt64 {
        let named = Set(names.seen.values)
        return inodes.reduce(0) { sum, entry in
            let isUsed = entry.value.handles > 0 || named.contains(entry.key)
            return isUsed ? sum + UInt64(entry.value.size) : sum
        }
    }

    /// Frees contents that no name and no handle leads to any more.
    mutating func forgetUnreachable() {
        let reachable = names.reachable
        inodes = inodes.filter { $0.value.handles > 0 || reachable.contains($0.key) }
    }
}

/// A held lock; dead after a restart.
final class SimulatedLock: DirectoryLock {
    private let fileSystem: SimulatedFileSystem
    private let name: String
    private let life: Int

    init(_ fileSystem: SimulatedFileSystem, _ name: String, _ life: Int) {
        self.fileSystem = fileSystem
        self.name = name
        self.life = life
    }

    deinit { release() }

    func release() {
        fileSystem.release(name, life: life)
    }
}
