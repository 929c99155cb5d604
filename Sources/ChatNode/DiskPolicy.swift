/// How much room a node's disk has for it.
package enum DiskRoom: String, Sendable {
    /// Enough.
    case ample
    /// New messages and media are refused, so that what makes room, erasures, cuts and compaction,
    /// still has some.
    case short
    /// Erasures alone are taken: the disk, or the budget, is used up.
    case exhausted
}

/// Decides what is refused and when the ballast is given up, from what is free: a value, told once
/// a second.
///
///     room ──── 3/2 soft ────── soft ─────── 1/4 soft ──── 1/8 soft ── 0
///                   │             │              │             │
///          ample ◀──┘    short ◀──┘   exhausted ◀┼─────────────┘
///          ballast is written         ballast goes; no more exhausted
///
/// *Room* is what is free without the ballast's share, whether the ballast lies there or not: so
/// giving it up and writing it changes nothing about what is refused, and neither can flap. What is
/// below is counted in what is really free.
struct DiskPolicy: Equatable, Sendable {
    /// What is seen of the disk.
    struct Reading: Equatable, Sendable {
        /// Bytes that the node may still take: of the volume, and of its budget.
        var freeBytes: UInt64
        /// Bytes of ballast that are written.
        var ballastBytes: UInt64
        /// Something waits for room.
        var isWaiting: Bool
    }

    /// What becomes of the ballast.
    enum BallastStep: Equatable, Sendable {
        case keep, giveUp, write
    }

    /// Below this room new messages are refused.
    let softBytes: UInt64
    /// Bytes of the whole ballast.
    let ballastBytes: UInt64
    private(set) var room = DiskRoom.ample

    /// Sized so that everything that was admitted finds its place: the memtables and the log behind
    /// them above the soft limit; below it, as ballast, the largest merge of level 0, whose output
    /// stands beside its inputs.
    init(memtableBytes: Int, logBytes: Int) {
        softBytes = UInt64(4 * memtableBytes + logBytes)
        ballastBytes = UInt64(8 * memtableBytes)
    }

    /// The least budget in which messages are ever taken, with as much for themselves as is kept
    /// for what they need.
    var budgetMin: UInt64 { ballastBytes + 2 * softBytes }

    /// Takes a reading; ``room`` is what follows from it.
    mutating func take(_ reading: Reading) -> BallastStep {
        let missing = ballastBytes - min(ballastBytes, reading.ballastBytes)
        let left = reading.freeBytes > missing ? reading.freeBytes - missing : 0
        let isPlenty = left >= softBytes + softBytes / 2 && !reading.isWaiting
        let isUp = reading.freeBytes < softBytes / (room == .exhausted ? 4 : 8)
        if isUp {
            room = .exhausted
        } else if left < softBytes || reading.isWaiting {
            room = .short
        } else if room == .exhausted || isPlenty {
            room = isPlenty ? .ample : .short
        }
        if reading.isWaiting || reading.freeBytes < softBytes / 4 {
            return reading.ballastBytes > 0 ? .giveUp : .keep
        }
        return missing > 0 && isPlenty ? .write : .keep
    }
}
