import Bytes
import ChatModel
import Testing

@Suite struct ClusterMapTests {
    private static let map = ClusterMap(
        epoch: 300,
        nodes: [
            .init(number: 300, peerAddress: "c:1", url: ""),
            .init(number: 1, peerAddress: "a:1", url: "https://a", isLeaving: true),
        ])

    private func encode(_ map: ClusterMap) -> [UInt8] {
        var writer = ByteWriter()
        map.write(to: &writer)
        return writer.bytes
    }

    private func decode(_ bytes: [UInt8]) throws -> ClusterMap {
        try ByteReader.readAll(bytes) { try ClusterMap(from: &$0) }
    }

    @Test("A map comes back from its bytes, its nodes in order")
    func roundTrip() throws {
        #expect(Self.map.nodes.map(\.number) == [1, 300])
        let bytes = encode(Self.map)
        #expect(
            Hex.encode(bytes) == "ac02" + "02" + "01" + "03613a31" + "0968747470733a2f2f61"
                + "01" + "ac02" + "03633a31" + "00" + "00")
        #expect(Self.map.staying == [300])
        #expect(try decode(bytes) == Self.map)
        for length in 0..<bytes.count {
            #expect(throws: DecodeError.self) { try decode(Array(bytes[..<length])) }
        }
        #expect(throws: DecodeError.self) { try decode(bytes + [0]) }
    }

    @Test("Node 0, nodes out of order, too many and text that is none are refused")
    func refused() {
        let node: [UInt8] = [0, 0, 0]
        let wrong: [[UInt8]] = [
            [1, 1, 0] + node, [1, 2, 2] + node + [1] + node, [1, 2, 1] + node + [1] + node,
            [1, 16] + (1...16).flatMap { [$0] + node }, [1, 1, 1, 1, 0xFF, 0, 0],
            [1, 1, 1, 0, 0, 2],
            [1, 1, 0x80, 0x80, 4] + node,
        ]
        for bytes in wrong { #expect(throws: DecodeError.self) { try decode(bytes) } }
        #expect(throws: Never.self) { try decode([1, 15] + (1...15).flatMap { [$0] + node }) }
    }

    @Test("Any changed bytes throw, or are a map that comes back from its own", arguments: [1, 2])
    func mutations(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<2_000 {
            var bytes = encode(Self.map)
            for _ in 0...Int.random(in: 0...2, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            guard let map = try? decode(bytes) else { continue }
            #expect(try decode(encode(map)) == map, "seed \(seed): \(Hex.encode(bytes))")
        }
    }
}
