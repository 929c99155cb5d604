import Platform
import Synchronization

/// A file in memory, for tests that change its bytes.
final class MemoryFile: File {
    private struct State {
        var bytes: [UInt8] = []
        var reads = 0
        var failsWrites = false
        var failsReads = false
        var failsSync = false
    }

    let path: String
    private let state = Mutex(State())

    init(_ path: String = "table.sst", _ bytes: [UInt8] = []) {
        self.path = path
        state.withLock { $0.bytes = bytes }
    }

    var bytes: [UInt8] {
        get { state.withLock { $0.bytes } }
        set { state.withLock { $0.bytes = newValue } }
    }

    var reads: Int { state.withLock { $0.reads } }

    func fail(writes: Bool = false, reads: Bool = false, sync: Bool = false) {
        state.withLock {
            $0.failsWrites = writes
            $0.failsReads = reads
            $0.failsSync = sync
        }
    }

    func size() throws(DiskError) -> UInt64 { UInt64(bytes.count) }

    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError)
        -> Int
    {
        let got: Int? = state.withLock { state in
            state.reads += 1
            if state.failsReads { return nil }
            guard offset < UInt64(state.bytes.count) else { return 0 }
            let start = Int(offset)
            let count = min(target.count, state.bytes.count - start)
            state.bytes.withUnsafeBytes {
                target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)]))
            }
            return count
        }
        guard let got else { throw DiskError(.inputOutput, "pread", path) }
        return got
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        let isDone = state.withLock { state in
            if state.failsWrites { return false }
            let end = Int(offset) + source.count
            if state.bytes.count < end {
                state.bytes.append(contentsOf: repeatElement(0, count: end - state.bytes.count))
            }
            state.bytes.replaceSubrange(Int(offset)..<end, with: source)
            return true
        }
        if !isDone { throw DiskError(.noSpace, "pwrite", path) }
    }

    func sync() throws(DiskError) {
        if state.withLock({ $0.failsSync }) { throw DiskError(.inputOutput, "fdatasync", path) }
    }

    func preallocate(_ size: UInt64) throws(DiskError) {}

    func truncate(_ size: UInt64) throws(DiskError) {
        state.withLock { $0.bytes = [UInt8]($0.bytes.prefix(Int(size))) }
    }

    func close() {}
}
