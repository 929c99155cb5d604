import Bytes
import ChatModel
import ChatNode
import Platform
import Secrets

// What a process is told: the production node over simulated seams.
extension SimulatedWorld {
    /// The configuration of a member, small enough that tables, cuts and segments come often.
    func configuration(of member: SimulatedMember) -> NodeConfiguration {
        var configuration = NodeConfiguration(directory: "/magpie")
        configuration.passwordCost = .init(logN: 2, r: 8, p: 1)
        configuration.segmentBytes = options.segmentBytes
        configuration.pinnedSegmentsMax = 8
        configuration.memoryBudget = options.memoryBudget
        configuration.limits.isRateLimited = false
        configuration.readLanes = 1
        configuration.hashLanes = 1
        configuration.dataShards = options.dataShards
        configuration.searchTailEventsMax = options.searchTailEvents
        configuration.tick = .milliseconds(options.tickMs)
        if options.nodes > 1 {
            configuration.cluster = ClusterConfiguration(
                name: "simulated", node: member.number,
                nodes: network.numbers.map {
                    ClusterNode(number: $0, peerAddress: "node\($0):1", url: "")
                })
        }
        return configuration
    }

    /// The world as a process of a member sees it.
    func seams(
        of member: SimulatedMember, on machine: SimulatedMachine, _ port: PeerPort
    ) -> NodeSeams {
        let seed = options.seed ^ UInt64(member.number) &* 0x9E37_79B9 ^ member.lives &<< 40
        return NodeSeams(
            fileSystem: member.disk, clock: member.clock, random: SimulatedRandom(seed: seed),
            scheduler: machine, peers: port)
    }
}
