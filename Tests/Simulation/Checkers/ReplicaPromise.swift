package import RaftCore

/// What one replica may have told others that it has on disk.
package struct ReplicaPromise: Sendable {
    /// Its shard.
    package let shard: UInt32
    /// Who it was.
    private let replica: ReplicaID
    private let hardState: HardState
    private let index: LogIndex
    private let term: Term?

    /// What a replica promises now.
    package init(shard: UInt32, _ replica: Replica) {
        self.shard = shard
        self.replica = replica.id
        hardState = replica.durableHardState
        index = replica.durableIndex
        term = replica.log.term(at: replica.durableIndex)
    }

    /// What of it a recovered replica does not keep; nil when it keeps all, or is another replica
    /// that promised nothing.
    package func broken(by recovered: Replica) -> String? {
        if recovered.id != replica { return nil }
        if recovered.hardState.term < hardState.term {
            return "term \(hardState.term) was durable, it recovers in \(recovered.hardState.term)"
        }
        if recovered.hardState.term == hardState.term, let vote = hardState.vote,
            recovered.hardState.vote != vote
        {
            return "its vote in term \(hardState.term) was durable and is gone"
        }
        if recovered.log.lastIndex < index {
            return "index \(index) was durable, the log ends at \(recovered.log.lastIndex)"
        }
        if index > recovered.log.baseIndex, recovered.log.term(at: index) != term {
            return "index \(index) was durable in term \(term ?? 0), it recovers with another"
        }
        return nil
    }
}
