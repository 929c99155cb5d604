package import ChatModel
import LSMTree

/// What the meta shard keeps: the cluster's map.
extension Applier {
    /// Takes the next map. Two operators who change the same map at once: the second is refused.
    mutating func setMap(_ map: ClusterMap) throws -> CommandResult {
        let epoch = try rows.clusterMap()?.epoch ?? 1
        guard map.epoch == epoch + 1 else {
            throw ServiceError(
                .conflict, "the cluster's map has epoch \(epoch): look at it and try again")
        }
        rows.put(.meta, KeySchema.clusterMap, ClusterMapRow(map: map))
        events.append(.map(map))
        return .done
    }
}

extension RowView {
    /// The cluster's map; nil while it is as the nodes' configuration says.
    func clusterMap() throws -> ClusterMap? {
        try row(.meta, KeySchema.clusterMap, ClusterMapRow.self)?.map
    }
}

extension ChatQueries {
    /// The cluster's map; nil while it is as the nodes' configuration says.
    package func clusterMap() throws -> ClusterMap? { try view.clusterMap() }
}

/// A map as a row.
struct ClusterMapRow: StoredRow {
    var map: ClusterMap

    init(map: ClusterMap) { self.map = map }

    init(decoding bytes: [UInt8]) throws {
        map = try RowFormat.read(bytes) { reader in
            try ClusterMap(from: &reader)
        }
    }

    func encoded() -> [UInt8] { RowFormat.write { map.write(to: &$0) } }
}
