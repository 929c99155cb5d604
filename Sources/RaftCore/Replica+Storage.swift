/// What of this replica is on its way to the disk, and what is there.
///
///     durableIndex ≤ writtenIndex ≤ log.lastIndex
///
/// **Why a completion is never matched by index.** A follower may have two writes under way for the
/// same indexes: (7, term 1) from an old leader, then (7, term 2) from a new one that replaces it,
/// then (7, term 1) again from a third that had kept the old entry. When the first write completes,
/// index 7 with term 1 is in memory, and yet the disk's last word will for a while be term 2 (the
/// "ABA race" of asynchronous appends). So completions are matched by ticket, each write under way
/// remembers how far its entries still are the newest version, and a replacement clips what came
/// before it: here the first completion attests index 6 at most.
struct StorageState: Sendable {
    /// A write under way.
    struct Pending: Sendable {
        let ticket: StoreTicket
        let hardState: HardState?
        /// How far the log is attested when it completes; clipped when entries are replaced.
        var lastIndex: LogIndex
        /// What may be said when it completes.
        var replies: [Message]
    }

    /// Entries up to here were given to the log.
    var writtenIndex: LogIndex
    /// Entries up to here are on disk.
    var durableIndex: LogIndex
    /// The hard state last given to the log.
    var writtenHardState: HardState
    /// The hard state on disk.
    var durableHardState: HardState
    /// Writes under way, oldest first.
    var pending: [Pending] = []
    /// Messages that wait for a write not taken yet.
    var heldBack: [Message] = []
    var nextTicket: UInt64 = 1

    init(hardState: HardState, lastIndex: LogIndex) {
        writtenIndex = lastIndex
        durableIndex = lastIndex
        writtenHardState = hardState
        durableHardState = hardState
    }

    /// Entries from `first` on are being replaced.
    mutating func clip(from first: LogIndex) {
        writtenIndex = min(writtenIndex, first - 1)
        durableIndex = min(durableIndex, first - 1)
        for position in pending.indices {
            pending[position].lastIndex = min(pending[position].lastIndex, first - 1)
        }
    }
}

extension Replica {
    /// Entries up to here are on this replica's disk.
    package var durableIndex: LogIndex { storage.durableIndex }

    /// True when ``takeWrite()`` would give a write.
    package var hasWrite: Bool {
        hardState != storage.writtenHardState || storage.writtenIndex < log.lastIndex
    }

    /// What the log must hold now; nil when it holds everything or was given it. All that has
    /// gathered since the last call is one write, unless its entries cost more than `bytesMax`:
    /// then there is more to take.
    package mutating func takeWrite(bytesMax: Int = Int.max) -> StoreWrite? {
        guard hasWrite else { return nil }
        let entries = log.entries(
            from: storage.writtenIndex + 1, through: log.lastIndex, bytesMax: bytesMax)
        let newState = hardState == storage.writtenHardState ? nil : hardState
        let ticket = StoreTicket(replica: id, term: term, number: storage.nextTicket)
        storage.nextTicket += 1
        storage.writtenIndex += LogIndex(entries.count)
        storage.writtenHardState = hardState
        var replies: [Message] = []
        // What was held back may speak of the last entry: it waits for the write that has it.
        if storage.writtenIndex == log.lastIndex { swap(&replies, &storage.heldBack) }
        storage.pending.append(
            StorageState.Pending(
                ticket: ticket, hardState: newState, lastIndex: storage.writtenIndex,
                replies: replies))
        return StoreWrite(ticket: ticket, hardState: newState, entries: entries)
    }

    /// Notes that the write with `ticket`, and thus every one before it, is on disk. Tickets of
    /// another replica and those already completed are ignored.
    package mutating func stored(_ ticket: StoreTicket) {
        guard ticket.replica == id else { return }
        precondition(ticket.number < storage.nextTicket, "the ticket was never given")
        let done = storage.pending.prefix { $0.ticket.number <= ticket.number }
        guard !done.isEmpty else { return }
        for write in done {
            storage.durableIndex = max(storage.durableIndex, write.lastIndex)
            if let state = write.hardState { storage.durableHardState = state }
            outbox.append(contentsOf: write.replies)
        }
        storage.pending.removeFirst(done.count)
        if role == .candidate, storage.durableHardState == hardState { count(true, from: id) }
        if role == .leader, let own = configuration.position(of: id) {
            progress[own].match = max(progress[own].match, storage.durableIndex)
            advanceCommit()
        }
        releasePayloads()
    }

    /// Says something that rests on the hard state and log as they are now in memory: at once when
    /// they are on disk, otherwise with the write that carries them.
    mutating func sendWhenDurable(_ body: Message.Body, to peer: ReplicaID, term: Term? = nil) {
        let message = Message(from: id, to: peer, term: term ?? self.term, body: body)
        if hasWrite {
            storage.heldBack.append(message)
        } else if let last = storage.pending.indices.last {
            storage.pending[last].replies.append(message)
        } else {
            outbox.append(message)
        }
    }
}
