import Bytes

/// Everything a seed decides before the first step: which faults there are, how bad the network is,
/// how large the world. Drawn afresh for every seed, so that some runs have few kinds of faults and
/// much of each, others many kinds.
package struct SimulationOptions: Sendable, CustomStringConvertible {
    /// The seed.
    package let seed: UInt64
    /// Nodes.
    package var nodes = 3
    /// Shards besides the meta shard.
    package var dataShards: UInt32 = 2
    /// Milliseconds of a tick of the consensus lane.
    package var tickMs = 100
    /// Bytes of a log segment.
    package var segmentBytes = 32 << 10
    /// Bytes for memtables and caches.
    package var memoryBudget = 256 << 10
    /// Bytes of rows that may wait in memory: a memtable is an eighth of the budget, some may be
    /// frozen, and a batch is taken whole.
    var memtableBytesMax: Int { memoryBudget / 8 * 3 + (256 << 10) }
    /// Changes that a shard's search index holds in memory.
    package var searchTailEvents = 64
    /// People.
    package var users = 5
    /// Sockets more than people.
    package var extraDevices = 1
    /// Groups besides the direct conversations.
    package var groups = 2
    /// Milliseconds that a client waits between requests, on average.
    package var thinkMs: UInt64 = 2_500
    /// The shortest safety phase, in seconds.
    package var seconds: UInt64 = 600
    /// The network while there are faults.
    package var network = NetworkProfile()
    /// How long a lane waits for the disk.
    package var disk = LaneDelay(minimumNanoseconds: 50_000, meanNanoseconds: 150_000)
    /// The faults of this run.
    package var faults: [FaultKind] = []
    /// A bug that is planted.
    package var plant: Plant?
    /// Frequent events stand in the trace of a failure too.
    package var isVerbose = false
    /// Seconds from one fault to the next, on average.
    package var faultSeconds: UInt64 = 15
    /// Milliseconds that a fault lasts or a node stays down, on average.
    package var lastingMs: UInt64 = 6_000

    /// The options of a seed.
    ///
    /// - Parameter count: nodes, when the seed is not to decide it.
    package init(seed: UInt64, nodes count: Int? = nil) {
        self.seed = seed
        var generator = SplitMix64(seed: seed ^ 0x6F70_7469_6F6E_7321)
        func draw(_ bound: UInt64) -> UInt64 { generator.next() % bound }
        func isDrawn(_ of: UInt64) -> Bool { generator.next() % of == 0 }

        let drawn = isDrawn(12) ? 1 : 3
        nodes = count ?? drawn
        dataShards = UInt32(1 + draw(3))
        tickMs = [100, 200, 250, 300][Int(draw(4))]
        segmentBytes = [8, 16, 32, 64][Int(draw(4))] << 10
        memoryBudget = [128, 256, 512][Int(draw(3))] << 10
        users = 4 + Int(draw(3))
        extraDevices = Int(draw(3))
        groups = 1 + Int(draw(3))
        // About one acknowledgement a second, whatever the number of clients.
        thinkMs = UInt64(users + extraDevices) * (580 + draw(160))
        seconds = 600 + draw(60)
        faultSeconds = [6, 12, 25, 50][Int(draw(4))]
        lastingMs = [2_000, 5_000, 10_000, 20_000][Int(draw(4))]
        disk.minimumNanoseconds = 20_000 + draw(200_000)
        disk.meanNanoseconds = [100_000, 500_000, 3_000_000, 20_000_000][Int(draw(4))]

        network.delay.minimumNanoseconds = 100_000 + draw([1_000_000, 30_000_000][Int(draw(2))])
        network.delay.meanNanoseconds = [200_000, 2_000_000, 20_000_000, 60_000_000][Int(draw(4))]
        network.lossOdds = isDrawn(2) ? 0 : draw(65_536 / 10)
        network.staleOdds = isDrawn(2) ? 0 : draw(65_536)
        network.replayOdds = isDrawn(2) ? 0 : draw(65_536)
        network.queueMax = isDrawn(3) ? 4 + Int(draw(28)) : 4_096
        network.reconnectNanoseconds = 20_000_000 + draw(1_000_000_000)
        network.timeoutNanoseconds = 1_000_000_000 + draw(10_000_000_000)

        let share = 1 + draw(4)
        faults = FaultKind.allCases.filter { kind in
            (nodes > 1 || !kind.needsPeers) && draw(4) < share
        }
        if faults.isEmpty { faults = [.kill] }
        searchTailEvents = [8, 32, 128, 2_048][Int(draw(4))]
    }

    /// All of them, a few to a line.
    package var description: String {
        let network =
            "delay \(network.delay.minimumNanoseconds / 1_000)+"
            + "\(network.delay.meanNanoseconds / 1_000) us, "
            + "loss \(Self.percent(network.lossOdds)), stale \(Self.percent(network.staleOdds)), "
            + "replay \(Self.percent(network.replayOdds)), queue \(network.queueMax), "
            + "reconnect \(network.reconnectNanoseconds / 1_000_000) ms, "
            + "timeout \(network.timeoutNanoseconds / 1_000_000) ms"
        return """
            seed \(seed): \(nodes) nodes, \(dataShards) data shards, tick \(tickMs) ms, \
            segments \(segmentBytes >> 10) KiB, memory \(memoryBudget >> 10) KiB, \
            search tail \(searchTailEvents)
              people \(users), more devices \(extraDevices), groups \(groups), \
            think \(thinkMs) ms, safety phase \(seconds) s
              network: \(network)
              disk: \(disk.minimumNanoseconds / 1_000)+\(disk.meanNanoseconds / 1_000) us
              faults every \(faultSeconds) s for \(lastingMs) ms: \
            \(faults.map { "\($0)" }.joined(separator: " "))
            """
    }

    private static func percent(_ odds: UInt64) -> String {
        "\(odds * 100 / 65_536) %"
    }
}
