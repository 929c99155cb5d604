import Glibc
import Synchronization

/// A kernel file descriptor that several threads may use while another closes it.
///
/// A descriptor number is reused by the kernel as soon as it is closed, so a read that races with
/// a close could read another file. Therefore users are counted: bit 0 of `users` says "closing",
/// the bits above it count calls under way, and whoever leaves last closes the number.
final class LinuxFile: File {
    let path: String
    private let descriptor: Int32
    private let users = Atomic<UInt64>(0)

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close() }

    func size() throws(DiskError) -> UInt64 {
        try enter("fstat")
        defer { leave() }
        var status = stat()
        try LinuxCall.checking("fstat", path) { fstat(descriptor, &status) }
        return UInt64(clamping: status.st_size)
    }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        try enter("pread")
        defer { leave() }
        guard let base = target.baseAddress, target.count > 0 else { return 0 }
        var done = 0
        while done < target.count {
            let position = try Self.position(offset, done, "pread", path)
            let count = try LinuxCall.retrying("pread", path) {
                pread(descriptor, base + done, target.count - done, position)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    func map() throws(DiskError) -> MappedBytes {
        try enter("mmap")
        defer { leave() }
        let size = try size()
        // The kernel maps no nothing.
        if size == 0 { return MappedBytes(UnsafeRawBufferPointer(start: nil, count: 0)) { _ in } }
        guard let count = Int(exactly: size) else {
            throw DiskError(.init(errno: EOVERFLOW), "mmap", path)
        }
        let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw DiskError(.init(errno: errno), "mmap", path)
        }
        return MappedBytes(UnsafeRawBufferPointer(start: address, count: count)) { bytes in
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        try enter("pwrite")
        defer { leave() }
        guard let base = source.baseAddress else { return }
        var done = 0
        while done < source.count {
            let position = try Self.position(offset, done, "pwrite", path)
            let count = try LinuxCall.retrying("pwrite", path) {
                pwrite(descriptor, base + done, source.count - done, position)
            }
            if count == 0 { throw DiskError(.inputOutput, "pwrite", path) }
            done += count
        }
    }

    func sync() throws(DiskError) {
        try enter("fdatasync")
        defer { leave() }
        try LinuxCall.checking("fdatasync", path) { fdatasync(descriptor) }
    }

    func preallocate(_ size: UInt64) throws(DiskError) {
        try enter("fallocate")
        defer { leave() }
        if size == 0 { return }
        let length = try Self.position(size, 0, "fallocate", path)
        while true {
            let code = posix_fallocate(descriptor, 0, length)
            if code == 0 { return }
            if code != EINTR { throw DiskError(.init(errno: code), "fallocate", path) }
        }
    }

    func truncate(_ size: UInt64) throws(DiskError) {
        try enter("ftruncate")
        defer { leave() }
        let length = try Self.position(size, 0, "ftruncate", path)
        _ = try LinuxCall.retrying("ftruncate", path) { ftruncate(descriptor, length) }
    }

    func close() {
        if users.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue == 0 {
            Glibc.close(descriptor)
        }
    }

    private static func position(
        _ offset: UInt64, _ done: Int, _ operation: String, _ path: String
    ) throws(DiskError) -> off_t {
        let (sum, overflow) = offset.addingReportingOverflow(UInt64(done))
        guard !overflow, let position = off_t(exactly: sum) else {
            throw DiskError(.init(errno: EINVAL), operation, path)
        }
        return position
    }

    @inline(__always)
    private func enter(_ operation: StaticString) throws(DiskError) {
        var seen = users.load(ordering: .relaxed)
        while true {
            if seen & 1 == 1 { throw DiskError(.closed, "\(operation)", path) }
            let (exchanged, original) = users.weakCompareExchange(
                expected: seen, desired: seen + 2, ordering: .acquiring)
            if exchanged { return }
            seen = original
        }
    }

    @inline(__always)
    private func leave() {
        let rest = users.subtract(2, ordering: .acquiringAndReleasing).newValue
        if rest == 1 { Glibc.close(descriptor) }
    }
}
