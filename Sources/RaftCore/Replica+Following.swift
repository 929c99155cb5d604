extension Replica {
    /// Takes a leader's entries. The answer leaves when what it speaks of is on disk.
    mutating func takeEntries(
        _ entries: [Entry], after previousIndex: LogIndex, _ previousTerm: Term,
        commit: LogIndex, from peer: ReplicaID
    ) {
        if previousIndex < commitIndex {
            // Decided entries agree; nothing to compare.
            sendWhenDurable(.appendReply(match: commitIndex), to: peer)
            return
        }
        guard log.term(at: previousIndex) == previousTerm else {
            reject(previousIndex, previousTerm, to: peer)
            return
        }
        if let conflict = entries.firstIndex(where: { log.term(at: $0.index) != $0.term }) {
            // As if it had been lost: the leader sends it again.
            if isFull { return learnCommit(min(commit, previousIndex)) }
            replace(with: entries[conflict...])
        }
        let last = previousIndex + LogIndex(entries.count)
        learnCommit(min(commit, last))
        sendWhenDurable(.appendReply(match: last), to: peer)
    }

    /// True when so much is decided here and not yet applied that no more is taken into memory: a
    /// state machine that is slower than the group's must not let its queue grow without a limit.
    private var isFull: Bool {
        appliedIndex < commitIndex
            && log.cachedBytes > options.cacheBytesMax + options.unappliedBytesMax
    }

    /// Puts `entries` in the place of whatever follows their predecessor.
    private mutating func replace(with entries: ArraySlice<Entry>) {
        guard let first = entries.first else { return }
        precondition(first.index > commitIndex, "a decided entry is never replaced")
        var isConfigured = false
        if first.index <= log.lastIndex {
            storage.clip(from: first.index)
            log.truncate(from: first.index)
            isConfigured = true
        }
        for entry in entries {
            log.append(entry)
            if entry.kind == .configuration { isConfigured = true }
        }
        if isConfigured { adoptConfiguration() }
    }

    /// Says where the logs may still agree: the highest own entry whose term is not past the
    /// leader's there. Skips a whole term at a time, so a long divergence costs few round trips.
    private mutating func reject(
        _ previousIndex: LogIndex, _ previousTerm: Term, to peer: ReplicaID
    ) {
        let hint = log.lastIndex(atOrBelow: previousIndex, withTermAtMost: previousTerm)
        sendWhenDurable(
            .appendRejected(
                previousIndex: previousIndex, hintIndex: hint,
                hintTerm: log.term(at: hint) ?? log.baseTerm),
            to: peer)
    }

    /// Learns that entries up to `index` are decided.
    mutating func learnCommit(_ index: LogIndex) {
        guard index > commitIndex else { return }
        precondition(index <= log.lastIndex, "only what is there can be decided")
        commitIndex = index
    }
}
