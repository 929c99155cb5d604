import ChatEngine
import ChatModel
import Testing

/// The cluster's map, which the meta shard keeps.
@Suite struct ClusterMapCommandTests {
    private func map(_ epoch: UInt64, _ numbers: [UInt16]) -> ClusterMap {
        ClusterMap(
            epoch: epoch, nodes: numbers.map { .init(number: $0, peerAddress: "n\($0)", url: "") })
    }

    @Test("The next map is taken and told; one that was made from an older one is a conflict")
    func next() throws {
        var world = World()
        #expect(try world.ask.clusterMap() == nil)
        for epoch in [0, 1, 3] as [UInt64] {
            #expect(try world.run(.setMap(map(epoch, [1, 2]))).code == .conflict)
            #expect(try world.events.isEmpty && world.ask.clusterMap() == nil)
        }
        let second = map(2, [1, 2, 3])
        #expect(try world.run(.setMap(second)) == .done)
        guard case .map(second)? = world.events.first, world.events.count == 1 else {
            Issue.record("told: \(world.events)")
            return
        }
        #expect(try world.ask.clusterMap() == second)
        // Two operators at once: both made epoch 3 from epoch 2.
        let results = try world.run([.setMap(map(3, [1, 2])), .setMap(map(3, [1, 3]))])
        #expect(results[0] == .done && results[1].code == .conflict)
        #expect(try world.ask.clusterMap() == map(3, [1, 2]))
    }
}
