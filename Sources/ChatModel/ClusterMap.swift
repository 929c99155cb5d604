package import Bytes

/// The nodes of a cluster, as the meta shard keeps them. Which node holds and leads which shard
/// follows from it by a rule that all nodes share, so one number says which rule input a request
/// went by.
///
///     v epoch | v count | for each node: v number | prefixed peer address | prefixed URL
///                       | u8 1: it leaves, 0
///
/// Numbers ascend and are not 0. A node that leaves holds and leads nothing by the rule, but it is
/// a peer until the last group has parted from it: the groups need its vote for that.
package struct ClusterMap: Equatable, Sendable {
    /// One node.
    package struct Node: Equatable, Sendable {
        /// Its number.
        package var number: UInt16
        /// Where other nodes reach it, HOST:PORT.
        package var peerAddress: String
        /// Where clients reach it.
        package var url: String
        /// Its replicas are leaving their groups.
        package var isLeaving: Bool

        /// A node.
        package init(number: UInt16, peerAddress: String, url: String, isLeaving: Bool = false) {
            self.number = number
            self.peerAddress = peerAddress
            self.url = url
            self.isLeaving = isLeaving
        }
    }

    /// The most nodes a map takes.
    package static let nodesMax = 15
    /// Grows by one with each change; a configured map that nobody has changed has 1.
    package var epoch: UInt64
    /// Ascending by number.
    package var nodes: [Node]

    /// The numbers of those who stay, ascending.
    package var staying: [UInt16] { nodes.filter { !$0.isLeaving }.map(\.number) }

    /// A map.
    package init(epoch: UInt64, nodes: [Node]) {
        self.epoch = epoch
        self.nodes = nodes.sorted { $0.number < $1.number }
    }

    /// Appends the map's bytes.
    package func write(to writer: inout ByteWriter) {
        writer.write(varint: epoch)
        writer.write(varint: UInt64(nodes.count))
        for node in nodes {
            writer.write(varint: UInt64(node.number))
            writer.write(text: node.peerAddress)
            writer.write(text: node.url)
            writer.write(UInt8(node.isLeaving ? 1 : 0))
        }
    }

    /// Reads a map; every byte is suspected.
    package init(from reader: inout ByteReader) throws(DecodeError) {
        let epoch = try reader.readVarint()
        let count = try reader.readCount(max: Self.nodesMax)
        var nodes: [Node] = []
        for _ in 0..<count {
            let place = reader.offset
            guard let number = UInt16(exactly: try reader.readVarint()), number > 0,
                nodes.last.map({ $0.number < number }) ?? true
            else { throw .invalid(offset: place, what: "node of a cluster map") }
            let (peerAddress, url) = (try reader.readText(), try reader.readText())
            let flag = try reader.readByte()
            guard flag <= 1 else {
                throw .invalid(offset: reader.offset - 1, what: "flag of a cluster map")
            }
            nodes.append(
                Node(number: number, peerAddress: peerAddress, url: url, isLeaving: flag == 1))
        }
        self.init(epoch: epoch, nodes: nodes)
    }
}
