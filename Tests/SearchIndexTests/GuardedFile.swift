import Glibc
import Platform

/// A file whose mapping ends where a page begins that nobody may touch, as that of a real file can:
/// who reads a byte behind it ends the tests.
final class GuardedFile: File {
    let path: String
    private let bytes: [UInt8]

    init(_ path: String, _ bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.count) }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        let rest = bytes.dropFirst(Int(offset)).prefix(target.count)
        target.copyBytes(from: rest)
        return rest.count
    }

    func map() throws(DiskError) -> MappedBytes {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let room = (bytes.count + page - 1) / page * page
        let address = mmap(
            nil, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let address, address != MAP_FAILED, mprotect(address + room, page, PROT_NONE) == 0
        else { throw DiskError(.system(errno), "mmap", path) }
        let start = address + (room - bytes.count)
        let place = UInt(bitPattern: address)
        start.copyMemory(from: bytes, byteCount: bytes.count)
        return MappedBytes(UnsafeRawBufferPointer(start: start, count: bytes.count)) { _ in
            munmap(UnsafeMutableRawPointer(bitPattern: place), room + page)
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        throw DiskError(.denied, "pwrite", path)
    }

    func sync() throws(DiskError) {}
    func preallocate(_ size: UInt64) throws(DiskError) {}
    func truncate(_ size: UInt64) throws(DiskError) {}
    func close() {}
}
