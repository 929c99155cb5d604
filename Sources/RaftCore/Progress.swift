/// What a leader knows about one member's log.
///
///     match < next;  entries in (match, next) are under way
///
/// A member is *probed*, one message at a time, until leader and follower agree on a position; then
/// entries are *replicated*, pipelined up to a window in bytes (after etcd's raft). When the leader
/// no longer has what comes next, the member is offered a *snapshot* and gets nothing else until it
/// holds one.
struct Progress: Equatable, Sendable {
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
    private(set) var state: PeerState = .probe
    /// True when a probe waits for its answer.
    var isProbeUnderWay = false
    /// True when entries are being read from disk for this member.
    var isReading = false
    /// True when the member has answered since the last look at the quorum.
    var isActive = false
    /// True when it had answered before that look.
    var wasActive = false
    /// The commit index last told.
    var toldCommit: LogIndex = 0
    /// The newest position of reads that the member has echoed.
    var readEchoed: UInt64 = 0
    /// The leader's tick at which lost messages were last looked after.
    var nudgedAt = -1
    /// The leader's tick of the last offer of a snapshot.
    var offeredAt = 0
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

    /// Takes an acceptance up to `index` while the leader's log begins after `base`. True when it
    /// says something new.
    mutating func accept(_ index: LogIndex, base: LogIndex) -> Bool {
        let isNew = index > match
        if isNew { match = index }
        if next <= index { next = index + 1 }
        land(through: index)
        if state == .probe && index >= match || state == .snapshot && match >= base {
            state = .replicate
            isProbeUnderWay = false
            next = match + 1
        }
        return isNew
    }

    private mutating func land(through index: LogIndex) {
        var landed = 0
        while landed < flights.count, flights[landed].lastIndex <= index {
            flightBytes -= flights[landed].bytes
            landed += 1
        }
        if landed > 0 { flights.removeFirst(landed) }
    }

    /// Goes back to probing from `next`.
    mutating func probe(from next: LogIndex) {
        restart(.probe)
        self.next = max(next, match + 1)
    }

    /// Waits for the member to fetch a snapshot.
    mutating func awaitSnapshot() {
        restart(.snapshot)
    }

    private mutating func restart(_ newState: PeerState) {
        state = newState
        isProbeUnderWay = false
        isReading = false
        flights.removeAll(keepingCapacity: true)
        flightBytes = 0
    }
}
