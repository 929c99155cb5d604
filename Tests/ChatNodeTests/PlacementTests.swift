import Bytes
import ChatModel
import Replication
import Testing

@testable import ChatNode

/// Who should hold and lead what.
@Suite("Placement")
struct PlacementTests {
    @Test("Every shard is on as many nodes as can hold it, each once", arguments: 1...8)
    func replicas(count: Int) {
        let nodes = (1...count).map { NodeNumber($0 * 7) }
        let placement = Placement(shards: 17, on: nodes)
        #expect(placement.nodes.count == 17)
        for held in placement.nodes {
            #expect(held.count == min(5, count) && Set(held).count == held.count)
            #expect(Set(held).isSubset(of: nodes))
        }
    }

    @Test("Nobody leads more than its share, rounded up", arguments: 1...8)
    func share(count: Int) {
        let placement = Placement(shards: 17, on: (1...count).map { NodeNumber($0) })
        let led = Dictionary(grouping: placement.nodes) { $0[0] }
        #expect(led.values.allSatisfy { $0.count <= (17 + count - 1) / count })
        var held: [NodeNumber: Int] = [:]
        for node in placement.nodes.joined() { held[node, default: 0] += 1 }
        let replicas = 17 * min(5, count)
        // Those above their share come only when nobody else is left: the last shards.
        #expect(held.values.allSatisfy { $0 <= (replicas + count - 1) / count + 4 })
    }

    @Test("The order in which nodes are listed does not matter")
    func deterministic() {
        let nodes: [NodeNumber] = [1, 2, 3, 4, 5]
        let placement = Placement(shards: 17, on: nodes)
        #expect(placement == Placement(shards: 17, on: nodes))
        #expect(placement == Placement(shards: 17, on: nodes.reversed()))
    }

    @Test("Another node takes over about its share of the leaderships, with the bound's echo")
    func growth() {
        var (moved, fair) = (0, 0.0)
        for count in 1...4 {
            for first in stride(from: 1, through: 400, by: 10) {
                let nodes = (0..<count).map { NodeNumber(first + $0) }
                let before = Placement(shards: 17, on: nodes)
                let after = Placement(shards: 17, on: nodes + [NodeNumber(first + count)])
                moved += zip(before.nodes, after.nodes).count { $0[0] != $1[0] }
                fair += 17.0 / Double(count + 1)
            }
        }
        // What moves for the newcomer, and what moves since a bound is another one now.
        #expect(Double(moved) >= 0.8 * fair && Double(moved) <= 2 * fair, "\(moved) of \(fair)")
    }

    @Test("A lost node's users get other homes, nobody else does")
    func homes() {
        var random = SplitMix64(seed: 1)
        let nodes: [NodeNumber] = [1, 2, 3, 4, 5]
        var counts: [NodeNumber: Int] = [:]
        for _ in 0..<5_000 {
            let user = UserID(high: random.next(), low: random.next())
            let homes = Placement.homes(of: user, among: nodes)
            #expect(Set(homes) == Set(nodes) && homes.count == 5)
            counts[homes[0], default: 0] += 1
            for lost in nodes {
                let left = Placement.homes(of: user, among: nodes.filter { $0 != lost })
                #expect(left == homes.filter { $0 != lost })
            }
        }
        #expect(counts.values.allSatisfy { (800...1_200).contains($0) }, "\(counts)")
    }
}

/// Which shard owns a slot.
@Suite("ShardMap")
struct ShardMapTests {
    @Test(
        "The shards' slots are all slots, each once, in order, and of equal number",
        arguments: Array(1...16) + [17, 31, 100, 255, 1_000, 1_024])
    func partition(count: UInt32) throws {
        let map = ShardMap(dataShards: count)
        #expect(map.all == Array(0...count) && map.slots(of: ShardMap.meta) == nil)
        #expect(map.slots(of: count + 1) == nil)
        var next: UInt16 = 0
        for shard in 1...count {
            let slots = try #require(map.slots(of: shard))
            #expect(slots.lowerBound.rawValue == next)
            let size = Int(slots.upperBound.rawValue) - Int(next) + 1
            #expect(abs(size - Slot.count / Int(count)) <= 1)
            for slot in [slots.lowerBound, slots.upperBound] {
                #expect(map.shard(of: slot) == shard, "slot \(slot.rawValue)")
            }
            next = slots.upperBound.rawValue + 1
        }
        #expect(Int(next) == Slot.count)
    }

    @Test("Names of replicas tell their node, and differ by shard and incarnation")
    func names() {
        var names: Set<UInt64> = []
        for shard in 0...16 as ClosedRange<UInt32> {
            for incarnation in [1, 3, 0xFFFF_FFFF_FFFF_FFFF] as [UInt64] {
                for node in [1, 5, .max] as [NodeNumber] {
                    let name = ReplicaName.replica(of: shard, node: node, incarnation: incarnation)
                    #expect(ReplicaName.node(of: name) == node && name & 1 == 1)
                    names.insert(name)
                }
            }
        }
        #expect(names.count == 17 * 3 * 3)
    }
}
