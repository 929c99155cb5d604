/// Reads that wait until their leader knows that it still led when they were asked for.
///
/// Reads are confirmed by *position* in a sequence that only grows, never by an id that could be
/// matched to an answer of the past: a heartbeat carries the newest closed position, a follower
/// echoes what the heartbeat carried, and a quorum of echoes at or past a position, in the leader's
/// term, confirms every read up to it. Requests between two calls of ``Replica/takeEffects(into:)``
/// share a position; it is closed before a message that carries it leaves, so no request can join a
/// position whose echo is already on its way (etcd's stale reads, issue 20418).
struct ReadQueue: Sendable {
    /// The requests of one position.
    struct Batch: Equatable, Sendable {
        let position: UInt64
        /// The commit index when asked; nil until the leader has committed in its term.
        var index: LogIndex?
        var count: Int
    }

    /// The newest closed position; never goes back.
    private(set) var newest: UInt64 = 0
    /// Ascending; the last one may be open.
    private(set) var batches: [Batch] = []
    /// Requests in all batches.
    private(set) var waiting = 0
    /// True when the last batch still takes requests.
    private(set) var isOpen = false

    /// Adds a request; gives its position.
    mutating func join(index: LogIndex?) -> UInt64 {
        waiting += 1
        if isOpen, let last = batches.indices.last {
            batches[last].index = index
            batches[last].count += 1
        } else {
            batches.append(Batch(position: newest + 1, index: index, count: 1))
            isOpen = true
        }
        return newest + 1
    }

    /// Closes the open batch. True when there was one.
    mutating func close() -> Bool {
        guard isOpen else { return false }
        isOpen = false
        newest += 1
        return true
    }

    /// The leader has committed in its term: those that waited for it know their index.
    mutating func settle(at index: LogIndex) {
        for place in batches.indices where batches[place].index == nil {
            batches[place].index = index
        }
    }

    /// Takes out the batches up to `position` whose index is known.
    mutating func grant(through position: UInt64, into grants: inout [ReadGrant]) {
        var count = 0
        while count < batches.count, batches[count].position <= min(position, newest),
            let index = batches[count].index
        {
            grants.append(ReadGrant(position: batches[count].position, index: index))
            waiting -= batches[count].count
            count += 1
        }
        if count > 0 { batches.removeFirst(count) }
    }

    /// Drops all batches; gives the newest position among them, 0 when there was none.
    mutating func lose() -> UInt64 {
        _ = close()
        let last = batches.last?.position ?? 0
        batches.removeAll()
        waiting = 0
        return last
    }
}
