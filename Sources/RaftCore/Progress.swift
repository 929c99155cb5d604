/// What a leader knows about one voter's log.
///
///     match < next;  entries in (match, next) are under way
///
/// A voter is *probed*, one message at a time, until leader and follower agree on a position; then
/// entries are *replicated*, pipelined up to a window in bytes (after etcd's raft).
struct Progress: Equatable, Sendable {
    /// How entries are sent.
    enum State: Equatable, Sendable {
        /// One message, then silence until an answer or a heartbeat's answer.
        case probe
        /// As many as the window holds.
        case replicate
    }

    /// An append message under way.
    struct Flight: Equatable, Sendable {
        let lastIndex: LogIndex
        let bytes: Int
    }

    /// Known to agree with the leader and to be durable there.
    var match: LogIndex = 0
    /// The next entry to send.
    var next: LogIndex
    /// How to send.
    var state: State = .probe
    /// True when a probe waits for its answer.
    var isProbeUnderWay = false
    /// True when entries are being read from disk for this voter.
    var isReading = false
    /// True when the voter has answered since the last look at the quorum.
    var isActive = false
    /// The commit index last told.
    var toldCommit: LogIndex = 0
    private(set) var flights: [Flight] = []
    private(set) var flightBytes = 0

    init(next: LogIndex) {
        self.next = next
    }

    /// Counts a message as under way.
    mutating func takeOff(_ entries: [Entry]) {
        guard let last = entries.last else { return }
        let bytes = entries.reduce(0) { $0 + $1.cost }
        flights.append(Flight(lastIndex: last.index, bytes: bytes))
        flightBytes += bytes
        next = last.index + 1
    }

    /// Takes an acceptance up to `index`. True when it says something new.
    mutating func accept(_ index: LogIndex) -> Bool {
        let isNew = index > match
        if isNew { match = index }
        if next <= index { next = index + 1 }
        let landed = flights.prefix { $0.lastIndex <= index }
        flightBytes -= landed.reduce(0) { $0 + $1.bytes }
        flights.removeFirst(landed.count)
        if state == .probe && index >= match {
            state = .replicate
            isProbeUnderWay = false
            next = match + 1
        }
        return isNew
    }

    /// Goes back to probing from `next`.
    mutating func probe(from next: LogIndex) {
        state = .probe
        isProbeUnderWay = false
        isReading = false
        self.next = max(next, match + 1)
        flights.removeAll(keepingCapacity: true)
        flightBytes = 0
    }
}
