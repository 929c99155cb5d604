internal import Platform
import Synchronization

/// A segment's file that is only in memory: what happened since the last commit is searched as a
/// segment that nobody writes down.
final class SegmentMemory: File {
    let path = "memory"
    private let bytes = Mutex<[UInt8]>([])

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.withLock { $0.count }) }

    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        bytes.withLock { bytes in
            guard let start = Int(exactly: offset), start < bytes.count else { return 0 }
            let count = min(target.count, bytes.count - start)
            bytes.withUnsafeBytes { all in
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: all[start..<(start + count)]))
            }
            return count
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        bytes.withLock { bytes in
            let start = Int(offset)
            let end = start + source.count
            if bytes.count < end {
                bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
            }
            bytes.withUnsafeMutableBytes { all in
                UnsafeMutableRawBufferPointer(rebasing: all[start..<end]).copyMemory(from: source)
            }
        }
    }

    func truncate(_ size: UInt64) throws(DiskError) {
        bytes.withLock { bytes in
            let count = Int(size)
            if count < bytes.count { bytes.removeLast(bytes.count - count) }
            bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
        }
    }

    func sync() throws(DiskError) {}
    func preallocate(_ size: UInt64) throws(DiskError) {}
    func close() {}
}
