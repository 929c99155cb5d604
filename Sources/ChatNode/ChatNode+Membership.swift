package import ChatModel
package import Replication
package import Session

/// Which nodes make up the cluster, as operators change it. The map changes first; the leaders of
/// the groups do the rest, see ``ConsensusLoop``'s membership.
extension ChatNode {
    /// Adds a node. The nodes find out by themselves, and bring it up to date.
    package func addNode(_ node: ClusterMap.Node, answer: @escaping Answer<Void>) {
        changeMap(answer) { map in
            if map.nodes.contains(where: { $0.number == node.number }) {
                throw ServiceError(
                    .conflict,
                    "node \(node.number) is in the cluster: replace-node says where it is now"
                )
            }
            guard map.staying.count < ClusterLimits.nodesMax else {
                throw ServiceError(
                    .invalidArgument, "a cluster has at most \(ClusterLimits.nodesMax) nodes")
            }
            map.nodes.append(node)
        }
    }

    /// Puts a node in the place of the lost one with its number.
    package func replaceNode(_ node: ClusterMap.Node, answer: @escaping Answer<Void>) {
        changeMap(answer) { map in
            let known = map.nodes.first { $0.number == node.number }
            guard let known, !known.isLeaving else {
                throw ServiceError(.notFound, "no node \(node.number) stays in this cluster")
            }
            let isElsewhere = known.peerAddress != node.peerAddress
            if isElsewhere, node.number == cluster.node || cluster.isConnected(node.number) {
                throw ServiceError(
                    .conflict,
                    "node \(node.number) is alive at \(known.peerAddress): stop it before another "
                        + "takes its place")
            }
            map.nodes.removeAll { $0.number == node.number }
            map.nodes.append(node)
        }
    }

    /// Takes a node out of the cluster: its replicas leave their groups, and then it is no peer any
    /// more.
    package func removeNode(_ number: NodeNumber, answer: @escaping Answer<Void>) {
        changeMap(answer) { map in
            guard let place = map.nodes.firstIndex(where: { $0.number == number }) else {
                throw ServiceError(.notFound, "no node \(number) in this cluster")
            }
            if let leaving = map.nodes.first(where: \.isLeaving) {
                throw ServiceError(
                    .conflict, "node \(leaving.number) is still leaving: wait until it is gone")
            }
            let left = map.staying.filter { $0 != number }
            guard !left.isEmpty else {
                throw ServiceError(.invalidArgument, "the last node cannot be removed")
            }
            // The groups change hands with a majority of those who are left; without one they
            // would stop for good.
            let alive = left.filter { $0 == cluster.node || cluster.isConnected($0) }
            guard alive.count > left.count / 2 else {
                throw ServiceError(
                    .conflict,
                    "without node \(number) only \(alive.count) of \(left.count) nodes are there, "
                        + "no majority: bring the others back first")
            }
            map.nodes[place].isLeaving = true
        }
    }

    /// No group has a replica on a node that leaves any more: it is gone.
    func finishLeaving(_ number: NodeNumber) {
        changeMap({ _ in }) { map in
            map.nodes.removeAll { $0.number == number && $0.isLeaving }
        }
    }

    private func changeMap(
        _ answer: @escaping Answer<Void>, _ change: (inout ClusterMap) throws -> Void
    ) {
        if cluster.isAlone {
            let error = ServiceError(
                .conflict,
                "this node is configured to be alone: name the cluster's nodes in its "
                    + "configuration file and start it again")
            return refuse(answer, error)
        }
        var map = cluster.map
        do {
            try change(&map)
        } catch {
            let refusal = error as? ServiceError ?? ServiceError(.internal, "\(error)")
            return refuse(answer, refusal)
        }
        propose(
            .setMap(ClusterMap(epoch: map.epoch + 1, nodes: map.nodes)), orRefuse: answer
        ) { _ in answer(.success(())) }
    }
}
