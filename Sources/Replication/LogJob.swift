import RaftCore
import RecordLog

/// One turn of the log lane: everything that gathered while the last one was under way, written at
/// once and synced once.
struct LogJob: Sendable {
    /// A group's write.
    struct GroupWrite: Sendable {
        let group: Int
        let hardState: HardState?
        /// When set, the group's log begins anew behind it, before the entries.
        var reset: LogBase?
        let entries: [Entry]
        /// What the replica is to be told; nil for entries copied forward from segments that go.
        let ticket: StoreTicket?
    }

    /// In the order in which they are appended.
    var writes: [GroupWrite] = []
    /// Bases that moved, to be restated before segments go.
    var bases: [(group: Int, index: LogIndex, term: Term)] = []
    /// Segments below this one go when the job is durable.
    var releaseBefore: UInt64?
    /// True when the log written before this job may hold something that was erased.
    var isErasing = false
    /// True when it is needed no more, so that the segment being written should end.
    var endsSegment = false
    /// True when the log is to say how far it is durable.
    var isMark = false
}

/// What a job of the log lanes came to; goes back to ``Replicator/completed(_:)`` on the lane that
/// owns the replicator.
package struct LogCompletion: Sendable {
    /// Where a run of entries went.
    struct Placement: Sendable {
        let group: Int
        let first: LogIndex
        let last: LogIndex
        let position: LogPosition
        let isCopy: Bool
    }

    /// Entries read again for a peer.
    struct Reading: Sendable {
        let group: Int
        let read: LogRead
        let entries: [Entry]
    }

    /// What the replicas are to be told.
    var tickets: [(group: Int, ticket: StoreTicket)] = []
    var placements: [Placement] = []
    /// The segment the job ended in; nil when nothing was written.
    var segment: UInt64?
    var isMark = false
    /// Set when the job read instead of writing.
    var reading: Reading?
    /// Why the log died; then nothing else counts.
    var failure: LogError?
}
