import Platform
import Synchronization

/// Files in memory, with no faults: quick to copy, for inputs by the million.
final class MemoryDisk: FileSystem {
    private let files: Mutex<[String: MemoryFile]>

    init() {
        files = Mutex([:])
    }

    private init(_ files: [String: MemoryFile]) {
        self.files = Mutex(files)
    }

    /// A second disk with the same contents.
    func copy() -> MemoryDisk {
        MemoryDisk(files.withLock { $0.mapValues { MemoryFile($0.path, $0.contents) } })
    }

    /// The bytes of a file; nil when there is none.
    subscript(path: String) -> [UInt8]? {
        get { files.withLock { $0[path] }?.contents }
        set {
            files.withLock { $0[path] = newValue.map { MemoryFile(path, $0) } }
        }
    }

    var paths: [String] { files.withLock { $0.keys.sorted() } }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any File {
        let found = files.withLock { files -> MemoryFile? in
            guard case .create = mode else { return files[path] }
            if files[path] != nil { return nil }
            let file = MemoryFile(path, [])
            files[path] = file
            return file
        }
        if let found { return found }
        if case .create = mode { throw DiskError(.exists, "open", path) }
        throw DiskError(.notFound, "open", path)
    }

    func list(_ directory: String) throws(DiskError) -> [String] {
        paths.compactMap { path in
            guard path.hasPrefix(directory + "/") else { return nil }
            let name = path.dropFirst(directory.utf8.count + 1)
            return name.contains("/") ? nil : String(name)
        }
    }

    func makeDirectory(_ path: String) throws(DiskError) {}

    func rename(_ source: String, to target: String) throws(DiskError) {
        let isThere = files.withLock { files in
            guard let file = files.removeValue(forKey: source) else { return false }
            files[target] = file
            return true
        }
        if !isThere { throw DiskError(.notFound, "rename", source) }
    }

    func link(_ source: String, as target: String) throws(DiskError) {
        files.withLock { $0[target] = $0[source] }
    }

    func unlink(_ path: String) throws(DiskError) {
        if files.withLock({ $0.removeValue(forKey: path) }) == nil {
            throw DiskError(.notFound, "unlink", path)
        }
    }

    func syncDirectory(_ path: String) throws(DiskError) {}

    func exists(_ path: String) throws(DiskError) -> Bool {
        files.withLock { $0[path] != nil }
    }

    func lock(_ path: String, note: String) throws(DiskError) -> any DirectoryLock {
        throw DiskError(.denied, "flock", path)
    }

    func freeBytes(_ path: String) throws(DiskError) -> UInt64 { 1 << 40 }
}

/// A file in memory.
final class MemoryFile: File {
    let path: String
    private let bytes: Mutex<[UInt8]>

    init(_ path: String, _ bytes: [UInt8]) {
        self.path = path
        self.bytes = Mutex(bytes)
    }

    var contents: [UInt8] { bytes.withLock { $0 } }

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.withLock { $0.count }) }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        bytes.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let count = min(target.count, bytes.count - Int(offset))
            bytes.withUnsafeBytes { raw in
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: raw[Int(offset)..<(Int(offset) + count)])
                )
            }
            return count
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        bytes.withLock { bytes in
            let end = Int(offset) + source.count
            if bytes.count < end {
                bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
            }
            bytes.replaceSubrange(Int(offset)..<end, with: source)
        }
    }

    func sync() throws(DiskError) {}

    func preallocate(_ size: UInt64) throws(DiskError) { try truncate(size) }

    func truncate(_ size: UInt64) throws(DiskError) {
        bytes.withLock { bytes in
            let zeros = max(0, Int(size) - bytes.count)
            bytes = Array(bytes.prefix(Int(size))) + repeatElement(0, count: zeros)
        }
    }

    func close() {}
}

/// All lanes in one queue, which runs when it is told to.
final class QueueScheduler: Scheduler {
    struct QueueLane: Lane {
        let scheduler: QueueScheduler

        func submit(_ job: @escaping @Sendable () -> Void) {
            scheduler.jobs.withLock { $0.append(job) }
        }

        func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {}

        func stop() {}
    }

    private let jobs = Mutex<[@Sendable () -> Void]>([])

    func lane(_ name: String) -> any Lane { QueueLane(scheduler: self) }

    /// Runs jobs until none is left, at most `limit`; false when some are left.
    @discardableResult
    func run(limit: Int = 1000) -> Bool {
        for _ in 0..<limit {
            guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else {
                return true
            }
            job()
        }
        return false
    }

    /// Drops what is left.
    func end() {
        let dropped = jobs.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
        withExtendedLifetime(dropped) {}
    }
}
