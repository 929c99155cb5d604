import Bytes
import Synchronization

/// Which messages one disk's log holds, in the cache and on the platter.
///
/// Every simulated message carries a mark in its text, ``mark(_:)``. What is written to a log is
/// searched for marks; a sync makes those of the file durable. So the simulator knows of each
/// acknowledged message on how many platters it was at that moment, whatever the nodes believe.
final class PlatterLedger: PlatterWatch {
    private struct State {
        var cached: [Int: [UInt64]] = [:]
        var durable: Set<UInt64> = []
        /// What was durable on a disk that was lost since.
        var lost: Set<UInt64> = []
    }

    private static let opening: [UInt8] = [0x7B, 0x23, 0x7E]
    private static let digits = 6

    private let state = Mutex(State())

    /// The mark of message `number`, to stand in its text.
    static func mark(_ number: UInt64) -> String {
        "{#~" + String(String(number % 1_000_000 + 1_000_000).dropFirst())
    }

    func wrote(_ bytes: UnsafeRawBufferPointer, to path: String, inode: Int) {
        guard path.hasSuffix(".log") else { return }
        var found: [UInt64] = []
        var index = 0
        let end = bytes.count - Self.opening.count - Self.digits
        while index <= end {
            if bytes[index] == Self.opening[0], bytes[index + 1] == Self.opening[1],
                bytes[index + 2] == Self.opening[2]
            {
                var number: UInt64 = 0
                for place in 0..<Self.digits {
                    number = number * 10 + UInt64(bytes[index + 3 + place] &- 0x30)
                }
                found.append(number)
                index += Self.opening.count + Self.digits
            } else {
                index += 1
            }
        }
        if !found.isEmpty { state.withLock { $0.cached[inode, default: []] += found } }
    }

    func synced(inode: Int) {
        state.withLock { state in
            guard let numbers = state.cached.removeValue(forKey: inode) else { return }
            state.durable.formUnion(numbers)
        }
    }

    /// What was only in the cache may be gone.
    func powerCut() {
        state.withLock { $0.cached = [:] }
    }

    /// The disk is a new one.
    func wiped() {
        state.withLock { state in
            state = State(lost: state.lost.union(state.durable))
        }
    }

    /// True when the message is on the platter, or was until the disk was lost: it may be decided
    /// before that and acknowledged after, when the node that was asked has applied it.
    func held(_ number: UInt64) -> Bool {
        state.withLock { state in
            state.durable.contains(number % 1_000_000) || state.lost.contains(number % 1_000_000)
        }
    }
}
