import Platform
import Synchronization

/// A file in memory, for tests that change its bytes.
final class MemoryFile: File {
    let path: String
    private let state: Mutex<[UInt8]>

    init(_ path: String = "test.segment", _ bytes: [UInt8] = []) {
        self.path = path
        state = Mutex(bytes)
    }

    var bytes: [UInt8] { state.withLock { $0 } }

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.count) }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError)
        -> Int
    {
        state.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let start = Int(offset)
            let count = min(target.count, bytes.count - start)
            bytes.withUnsafeBytes {
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)]))
            }
            return count
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        state.withLock { bytes in
            let end = Int(offset) + source.count
            if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
            for (index, byte) in source.enumerated() { bytes[Int(offset) + index] = byte }
        }
    }

    func sync() throws(DiskError) {}
    func preallocate(_ size: UInt64) throws(DiskError) {}
    func truncate(_ size: UInt64) throws(DiskError) {
        state.withLock { $0 = Array($0.prefix(Int(size))) }
    }
    func close() {}
}
