import ChatModel
import RaftCore
package import Replication

/// One shard as a node sees it.
package struct ShardReport: Equatable, Sendable {
    /// The shard.
    package var shard: UInt32
    /// leader, follower, candidate or learner.
    package var role: String
    /// The term it is in.
    package var term: UInt64
    /// The node that leads it, when known.
    package var leader: NodeNumber?
    /// Decided up to here.
    package var commitIndex: UInt64
    /// Rows hold everything up to here.
    package var appliedIndex: UInt64
    /// On this node's disk up to here.
    package var durableIndex: UInt64
    /// The log's last entry.
    package var lastIndex: UInt64
    /// The log starts above here.
    package var baseIndex: UInt64
    /// Nodes that vote.
    package var voters: [NodeNumber]
    /// Nodes that catch up.
    package var learners: [NodeNumber]
    /// On a leader: how many entries the slowest voter lacks.
    package var lag: UInt64?
    /// The last entry at which the rows here were found equal to another node's.
    package var verifiedIndex: UInt64?
}

extension ConsensusLoop {
    /// Hands a shard's leadership to a node, for an operator.
    func handOver(_ shard: GroupID, to node: NodeNumber) -> Result<Void, ServiceError> {
        guard let replica = replicator.replica(of: shard) else {
            return .failure(ServiceError(.notFound, "shard: no shard \(shard) here"))
        }
        guard replica.role == .leader else {
            let leader = replica.leader.map { "node \(ReplicaName.node(of: $0))" } ?? "nobody"
            return .failure(
                ServiceError(.conflict, "shard \(shard) is led by \(leader): ask there"))
        }
        guard
            let target = replica.configuration.voters.first(where: {
                ReplicaName.node(of: $0) == node
            })
        else {
            return .failure(
                ServiceError(.invalidArgument, "node: \(node) is no voter of shard \(shard)"))
        }
        guard transfer(shard, to: target) else {
            return .failure(ServiceError(.conflict, "shard \(shard) cannot be handed over now"))
        }
        return .success(())
    }

    /// How all shards stand here.
    var shardReports: [ShardReport] { replicator.groupIDs.compactMap(report) }

    private func report(_ shard: GroupID) -> ShardReport? {
        guard let replica = replicator.replica(of: shard) else { return nil }
        let configuration = replica.configuration
        let isVoter = configuration.isVoter(replica.id)
        let role =
            switch replica.role {
            case .leader: "leader"
            case .follower: isVoter ? "follower" : "learner"
            case .candidate, .preCandidate: "candidate"
            }
        let matches = configuration.voters.compactMap { replica.peerStatus(of: $0)?.match }
        return ShardReport(
            shard: shard, role: role, term: replica.term,
            leader: replica.leader.map { ReplicaName.node(of: $0) },
            commitIndex: replica.commitIndex, appliedIndex: replica.appliedIndex,
            durableIndex: replica.durableIndex, lastIndex: replica.log.lastIndex,
            baseIndex: replica.log.baseIndex,
            voters: configuration.voters.map { ReplicaName.node(of: $0) },
            learners: configuration.learners.map { ReplicaName.node(of: $0) },
            lag: replica.role == .leader
                ? matches.min().map { replica.log.lastIndex - min(replica.log.lastIndex, $0) } : nil
        )
    }
}
