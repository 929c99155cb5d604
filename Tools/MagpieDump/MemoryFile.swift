import Platform
import Synchronization

/// A file that is nowhere but in memory: where tables are written to be measured.
final class MemoryFile: File {
    let path: String
    private let bytes = Mutex<[UInt8]>([])

    init(_ path: String) { self.path = path }

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.withLock(\.count)) }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        bytes.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let start = Int(offset)
            let count = min(target.count, bytes.count - start)
            bytes.withUnsafeBytes { raw in
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: raw[start...].prefix(count)))
            }
            return count
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        grow(to: offset + UInt64(source.count))
        bytes.withLock { bytes in
            let start = Int(offset)
            bytes.replaceSubrange(start..<(start + source.count), with: source)
        }
    }

    func sync() throws(DiskError) {}

    func preallocate(_ size: UInt64) throws(DiskError) { grow(to: size) }

    func truncate(_ size: UInt64) throws(DiskError) {
        bytes.withLock { bytes in
            if size < UInt64(bytes.count) { bytes.removeLast(bytes.count - Int(size)) }
        }
        grow(to: size)
    }

    func close() {}

    private func grow(to size: UInt64) {
        bytes.withLock { bytes in
            let missing = Int(clamping: size) - bytes.count
            if missing > 0 { bytes.append(contentsOf: repeatElement(0, count: missing)) }
        }
    }
}
