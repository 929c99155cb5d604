import Bytes

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
    /// The log is to forget what it holds and go on after this, with the next write.
    var reset: LogBase?

    /// Messages that wait for one write at most. Past it they are dropped, as a network may.
    static let heldBackMax = 1_024

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

    /// The log begins after `base` now, which a snapshot holds durably. Nothing under way attests
    /// an entry that is gone: without the tail it is clipped, and what is below the base counts for
    /// nothing. The disk's log is reset unless it goes through the base without a gap.
    mutating func install(_ base: LogBase, keepsTail: Bool) {
        if !keepsTail { clip(from: base.index + 1) }
        if !keepsTail || writtenIndex < base.index { reset = base }
        writtenIndex = max(writtenIndex, base.index)
        durableIndex = max(durableIndex, base.index)
    }

    /// Adds to messages that wait for a write. What is acknowledged to one leader is acknowledged
    /// once, up to the highest index.
    static func hold(_ message: Message, in list: inout [Message]) {
        if case .appendReply(let match) = message.body, let last = list.last,
            case .appendReply(let earlier) = last.body, last.to == message.to,
            last.term == message.term
        {
            if match > earlier { list[list.count - 1] = message }
        } else if list.count < heldBackMax {
            list.append(message)
        }
    }
}

extension Replica {
    /// Entries up to here are on this replica's disk.
    package var durableIndex: LogIndex { storage.durableIndex }

    /// Term and vote as they are on disk.
    package var durableHardState: HardState { storage.durableHardState }

    /// True when ``takeWrite()`` would give a write.
    package var hasWrite: Bool {
        hardState != storage.writtenHardState || storage.writtenIndex < log.lastIndex
            || storage.reset != nil
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
        let reset = storage.reset
        storage.reset = nil
        var replies: [Message] = []
        // What was held back may speak of the last entry: it waits for the write that has it.
        if storage.writtenIndex == log.lastIndex { swap(&replies, &storage.heldBack) }
        storage.pending.append(
            StorageState.Pending(
                ticket: ticket, hardState: newState, lastIndex: storage.writtenIndex,
                replies: replies))
        return StoreWrite(ticket: ticket, hardState: newState, reset: reset, entries: entries)
    }

    /// Notes that the write with `ticket`, and thus every one before it, is on disk. Tickets of
    /// another replica and those already completed are ignored.
    package mutating func stored(_ ticket: StoreTicket) {
        guard ticket.replica == id else { return }
        precondition(ticket.number < storage.nextTicket, "the ticket was never given")
        var done = 0
        while done < storage.pending.count, storage.pending[done].ticket.number <= ticket.number {
            storage.durableIndex = max(storage.durableIndex, storage.pending[done].lastIndex)
            if let state = storage.pending[done].hardState { storage.durableHardState = state }
            outbox.append(contentsOf: storage.pending[done].replies)
            done += 1
        }
        guard done > 0 else { return }
        storage.pending.removeFirst(done)
        if role == .candidate, storage.durableHardState == hardState { count(true, from: id) }
        if role == .leader {
            if let own = configuration.place(of: id) {
                progress[own].match = max(progress[own].match, storage.durableIndex)
            }
            advanceCommit()
        }
        releasePayloads()
    }

    /// Says something that rests on the hard state and log as they are now in memory: at once when
    /// they are on disk, otherwise with the write that carries them.
    mutating func sendWhenDurable(_ body: Message.Body, to peer: ReplicaID, term: Term? = nil) {
        let message = Message(from: id, to: peer, term: term ?? self.term, body: body)
        #if PlantedBugs
            if PlantedBug.earlyAcknowledgement.isOn, case .appendReply = body {
                return outbox.append(message)
            }
        #endif
        if hasWrite {
            StorageState.hold(message, in: &storage.heldBack)
        } else if let last = storage.pending.indices.last {
            StorageState.hold(message, in: &storage.pending[last].replies)
        } else {
            outbox.append(message)
        }
    }
}
