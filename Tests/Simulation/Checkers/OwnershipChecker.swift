package import ChatModel

/// Who may write where, seen at the ends of the wires: I13.
///
/// The cluster's map says which nodes hold and lead which slots. An epoch gives each slot one owner
/// when
/// - all nodes that go by an epoch go by the same map, and no process goes back to an older one;
/// - no node takes a batch of commands that was sent to it under an older map than its own. Which
///   map it went by is noted when the batch arrives; it may go by a newer one when it answers.
///
/// A batch may arrive more than once, as networks do, and its answer may never be sent: so lawful
/// arrivals are counted, and every acceptance must have one.
///
/// One leader per shard and term, the owner within an epoch, is the ``ReplicaChecker``'s.
// Confined to the thread that steps the scheduler.
package final class OwnershipChecker: @unchecked Sendable {
    private struct BatchName: Hashable {
        let sender: UInt16
        let request: UInt64
    }

    private struct Arrivals {
        /// Under the receiver's map or a newer one, and not accepted yet.
        var lawful = 0
        /// The last one.
        var epoch: UInt64 = 0
        var receiverEpoch: UInt64 = 0
    }

    private let verdict: Verdict
    private let marks: ReachMarks
    private var maps: [UInt64: ClusterMap] = [:]
    /// By which map each node's process goes.
    private var epochs: [UInt16: UInt64] = [:]
    /// What arrived at each node's process.
    private var arrivals: [UInt16: [BatchName: Arrivals]] = [:]

    /// A checker that has seen nothing.
    package init(verdict: Verdict, marks: ReachMarks) {
        self.verdict = verdict
        self.marks = marks
    }

    /// A node goes by this map now.
    package func goes(_ node: UInt16, by map: ClusterMap) {
        let known = maps[map.epoch] ?? map
        maps[map.epoch] = known
        if known != map {
            verdict.fail(
                .ownership, "node \(node) goes by another map of epoch \(map.epoch) than its peers")
        }
        if let before = epochs[node], before > map.epoch {
            verdict.fail(
                .ownership, "node \(node) went by map \(before) and goes back to map \(map.epoch)")
        }
        epochs[node] = map.epoch
    }

    /// A batch of commands reaches a node; its sender went by the map of `epoch`.
    package func arrived(
        _ request: UInt64, epoch: UInt64, from sender: UInt16, on node: UInt16
    ) {
        guard let receiverEpoch = epochs[node] else { return }
        let name = BatchName(sender: sender, request: request)
        var known = arrivals[node]?[name] ?? Arrivals()
        if epoch >= receiverEpoch { known.lawful += 1 }
        known.epoch = epoch
        known.receiverEpoch = receiverEpoch
        arrivals[node, default: [:]][name] = known
    }

    /// A node says what became of a batch.
    package func answered(
        _ request: UInt64, isAccepted: Bool, by node: UInt16, to sender: UInt16
    ) {
        let name = BatchName(sender: sender, request: request)
        guard var known = arrivals[node]?[name] else { return }
        if !isAccepted {
            if known.epoch < known.receiverEpoch { marks.reach(.oldMapRefused) }
            return
        }
        if known.lawful == 0 {
            verdict.fail(
                .ownership,
                "node \(node) took batch \(request) of node \(sender), sent under map "
                    + "\(known.epoch), when it went by map \(known.receiverEpoch)")
            return
        }
        known.lawful -= 1
        arrivals[node]?[name] = known
    }

    /// A node's process ended: the next one reads its map anew, and owes no answers.
    package func ended(_ node: UInt16) {
        epochs[node] = nil
        arrivals[node] = nil
    }

    /// In the end all nodes go by the newest map there was.
    package func finish(_ nodes: [UInt16]) {
        let newest = maps.keys.max() ?? 0
        for node in nodes where epochs[node] != newest {
            verdict.fail(
                .ownership,
                "node \(node) goes by map \(epochs[node] ?? 0) in the end, the newest is \(newest)")
        }
    }
}
