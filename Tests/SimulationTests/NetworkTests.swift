import Platform
import Replication
import Simulation
import Testing

@Suite struct NetworkTests {
    /// Two processes on a network; what each is told stands in `seen`.
    private struct Pair {
        let scheduler: SimulatedScheduler
        let network: SimulatedNetwork
        let marks = ReachMarks()
        let seen = Seen()
        let transports: [any PeerTransport]
        let machines: [SimulatedMachine]

        init(seed: UInt64, names: [String] = ["one", "one"]) throws {
            scheduler = SimulatedScheduler(seed: seed)
            network = SimulatedNetwork(
                nodes: [1, 2], scheduler: scheduler, seed: seed,
                trace: SimulationTrace(clock: scheduler.clock), marks: marks)
            machines = [scheduler.group(), scheduler.group()]
            transports = [
                network.transport(for: 1, on: machines[0]),
                network.transport(for: 2, on: machines[1]),
            ]
            let seen = seen
            for (place, transport) in transports.enumerated() {
                let hello = PeerHello(
                    node: NodeNumber(place + 1), incarnation: UInt64(place + 10), cluster: [],
                    clusterName: names[place])
                try transport.start(hello: { hello }) { event in
                    switch event {
                    case .connected(let peer): seen.add("\(hello.node) to \(peer.node)")
                    case .disconnected(let peer, _): seen.add("\(hello.node) lost \(peer)")
                    case .frame(let peer, let bytes):
                        seen.add("\(peer.node): \(String(decoding: bytes, as: UTF8.self))")
                    case .refused: seen.add("\(hello.node) refused")
                    }
                }
                transport.setPeers([(1, "a"), (2, "b")])
            }
        }

        func send(_ text: String) -> Bool { transports[0].send(Array(text.utf8), to: 2) }
    }

    @Test("Frames arrive once and in order, whatever each one's delay")
    func order() throws {
        let pair = try Pair(seed: 1)
        #expect(!pair.send("before there is a channel"))
        pair.scheduler.advance(by: .seconds(1))
        for number in 0..<50 { #expect(pair.send("\(number)")) }
        pair.scheduler.advance(by: .seconds(1))
        let frames = pair.seen.all.filter { $0.hasPrefix("1: ") }
        #expect(frames == (0..<50).map { "1: \($0)" })
        pair.network.clog(from: 1, to: 2, nanoseconds: 100_000_000)
        for number in 50..<60 { #expect(pair.send("\(number)")) }
        pair.scheduler.advance(by: .seconds(1))
        #expect(pair.seen.all.filter { $0.hasPrefix("1: ") } == (0..<60).map { "1: \($0)" })
    }

    @Test("A cut link holds frames back for a while; a long cut breaks the channel")
    func cut() throws {
        let pair = try Pair(seed: 2)
        pair.scheduler.advance(by: .seconds(1))
        pair.network.cut(from: 1, to: 2)
        #expect(pair.network.isPartitioned)
        #expect(pair.send("held"))
        pair.scheduler.advance(by: .milliseconds(10))
        #expect(!pair.seen.all.contains("1: held"))
        pair.network.heal(from: 1, to: 2)
        pair.scheduler.advance(by: .seconds(1))
        #expect(pair.seen.all.contains("1: held"))
        pair.network.cut(from: 1, to: 2)
        pair.scheduler.advance(by: .seconds(300))
        #expect(pair.seen.all.contains("1 lost 2") && !pair.send("nobody takes it"))
        pair.network.healAll()
        pair.scheduler.advance(by: .seconds(10))
        #expect(pair.send("again"))
        pair.scheduler.advance(by: .seconds(1))
        #expect(pair.seen.all.last == "1: again")
    }

    @Test("A full queue refuses, and a paused receiver fills it")
    func overflow() throws {
        let pair = try Pair(seed: 3)
        var profile = NetworkProfile()
        profile.queueMax = 5
        pair.network.setProfile(profile)
        pair.scheduler.advance(by: .seconds(1))
        pair.machines[1].pause()
        for number in 0..<5 { #expect(pair.send("\(number)")) }
        pair.scheduler.advance(by: .seconds(1))
        #expect(!pair.send("one too many"))
        #expect(pair.marks.count(.queueOverflowed) == 1)
        pair.machines[1].resume()
        pair.scheduler.advance(by: .seconds(1))
        #expect(pair.send("room again"))
    }

    @Test("A process that ends takes its channels with it")
    func ended() throws {
        let pair = try Pair(seed: 4)
        pair.scheduler.advance(by: .seconds(1))
        pair.network.processEnded(on: 2)
        pair.machines[1].kill()
        pair.scheduler.advance(by: .seconds(60))
        #expect(pair.seen.all.contains("1 lost 2"))
        #expect(!pair.send("to the dead"))
    }

    @Test("Nodes of clusters with different names refuse each other")
    func strangers() throws {
        let pair = try Pair(seed: 5, names: ["one", "two"])
        pair.scheduler.advance(by: .milliseconds(200))
        #expect(pair.seen.all.contains("1 refused") && pair.seen.all.contains("2 refused"))
        #expect(!pair.send("to a stranger"))
    }

    @Test("After a reset frames of the old channel may arrive behind those of the new one")
    func stale() throws {
        var isSeen = false
        for seed in 1..<20 as Range<UInt64> {
            let pair = try Pair(seed: seed)
            var profile = NetworkProfile()
            profile.delay = LaneDelay(
                minimumNanoseconds: 1_000_000, meanNanoseconds: 300_000_000)
            profile.reconnectNanoseconds = 1_000_000
            profile.staleOdds = 65_536
            pair.scheduler.advance(by: .seconds(1))
            pair.network.setProfile(profile)
            for number in 0..<10 { _ = pair.send("\(number)") }
            pair.network.reset(from: 1, to: 2)
            pair.scheduler.advance(by: .seconds(20))
            if pair.marks.count(.staleFrame) > 0 { isSeen = true }
        }
        #expect(isSeen)
    }
}
