import Bytes
import NIOCore
import NIOPosix
import Replication
import Synchronization
import Testing

@testable import PeerLink

@Suite(.timeLimit(.minutes(2))) struct PeerLinkTests {
    private func payload(_ number: Int) -> [UInt8] {
        Array("frame \(number) ".utf8) + [UInt8](repeating: UInt8(number & 255), count: number % 97)
    }

    /// Sends all frames, in order, however often the queue is full in between.
    private func send(_ frames: some Sequence<[UInt8]>, from: TestNode, to: TestNode) async {
        for frame in frames {
            while !from.link.send(frame, to: to.hello.node) { await Task.yield() }
        }
    }

    @Test("Two nodes exchange many frames in order, small ones and large ones")
    func exchange() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        try await connect([a, b])
        let small = (0..<5_000).map(payload)
        let large = (0..<3).map { [UInt8](repeating: $0, count: 16 << 20) }
        for (from, to) in [(a, b), (b, a)] {
            await send(small + large + small, from: from, to: to)
            for expected in small + large + small {
                let (hello, bytes) = try await to.frame()
                #expect(hello == from.hello)
                guard bytes == expected else {
                    Issue.record("a frame of \(bytes.count) bytes came out of order")
                    return
                }
            }
        }
    }

    @Test("Three nodes are all connected, and a frame reaches only whom it was sent to")
    func three() async throws {
        let nodes = try (1...3).map { try TestNode($0) }
        try await connect(nodes)
        for from in nodes {
            for to in nodes where to.hello.node != from.hello.node {
                let text = Array("\(from.hello.node) to \(to.hello.node)".utf8)
                #expect(from.link.send(text, to: to.hello.node))
                let (hello, bytes) = try await to.frame()
                #expect(hello == from.hello && bytes == text)
            }
            #expect(!from.link.send([1], to: from.hello.node))
            #expect(!from.link.send([1], to: 9))
        }
    }

    @Test("Frames that several threads send at once all arrive, each thread's in order")
    func threads() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        try await connect([a, b])
        let link = a.link
        await withTaskGroup { group in
            for thread in UInt8(0)..<4 {
                group.addTask {
                    for number in UInt8(0)..<250 {
                        while !link.send([thread, number], to: 2) { await Task.yield() }
                    }
                }
            }
        }
        var next: [UInt8] = [0, 0, 0, 0]
        for _ in 0..<1_000 {
            let (_, bytes) = try await b.frame()
            #expect(bytes[1] == next[Int(bytes[0])])
            next[Int(bytes[0])] += 1
        }
    }

    @Test("When a peer restarts, the loss and the new incarnation are told, and frames flow again")
    func restart() async throws {
        let a = try TestNode(1)
        let b = try TestNode(2, incarnation: 5)
        try await connect([a, b])
        let port = b.port
        b.stop()
        #expect(try await a.disconnected() == (2, 5))
        #expect(!a.link.send([1], to: 2))
        let again = try TestNode(2, incarnation: 6, port: port)
        again.link.setPeers([(1, a.address)])
        _ = try await again.connected()
        #expect(try await a.connected().incarnation == 6)
        #expect(a.link.send([7], to: 2))
        #expect(try await again.frame().1 == [7])
        #expect(again.link.send([8], to: 1))
        #expect(try await a.frame().1 == [8])
    }

    @Test("A peer that is taken off the list is cut off in both directions")
    func removed() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        try await connect([a, b])
        a.link.setPeers([])
        #expect(try await a.disconnected().0 == 2)
        #expect(try await b.disconnected().0 == 1)
        let (node, text) = try await b.refused()
        #expect(node == 1 && text.contains("add node 2 to the cluster on node 1"))
        #expect(!a.link.send([1], to: 2))
    }

    @Test("A peer's new address is dialed")
    func moved() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        try await connect([a, b])
        let moved = try TestNode(2, incarnation: 9)
        moved.link.setPeers([(1, a.address)])
        b.stop()
        a.link.setPeers([(2, moved.address)])
        #expect(try await a.connected().incarnation == 9)
    }

    @Test("An idle channel lives by its pings, which carry nothing up")
    func pings() async throws {
        let a = try TestNode(1) { $0.pingInterval = .milliseconds(5) }
        a.link.setPeers([(2, "127.0.0.1:1")])
        let hello = PeerHello(node: 2, incarnation: 3, cluster: [], clusterName: "lab")
        let peer = try await RawPeer.dial(a, as: hello)
        for number in UInt64(0)..<20 {
            #expect(try await peer.read(8) == Frames.encode("", of: a.hello, number: number))
            try await peer.write(Frames.encode("", of: hello, number: number))
        }
        try await peer.write(Frames.encode("up", of: hello, number: 20))
        #expect(try await a.frame().1 == Array("up".utf8))
    }

    @Test("A peer that falls silent is given up, on both sides of the channel")
    func silence() async throws {
        let server = try await RawServer()
        let a = try TestNode(1) {
            $0.pingInterval = .milliseconds(20)
            $0.silenceMax = .milliseconds(100)
        }
        a.link.setPeers([(2, server.address)])
        let hello = PeerHello(node: 2, incarnation: 3, cluster: [], clusterName: "lab")
        let dialed = try await server.accept()
        try await dialed.writeAndFlush(ByteBuffer(bytes: PeerLinkFormat.encode(.hello(hello))))
        #expect(try await a.connected() == hello)
        #expect(try await a.disconnected() == (2, 3))
        let peer = try await RawPeer.dial(a, as: hello)
        _ = await peer.rest()
    }

    @Test("While a peer does not read, its queue fills, sends fail, and memory stays bounded")
    func queueLimit() async throws {
        let server = try await RawServer()
        let a = try TestNode(1) {
            $0.queueBytesMax = 4 << 20
            $0.silenceMax = .hours(1)
        }
        a.link.setPeers([(2, server.address)])
        let hello = PeerHello(node: 2, incarnation: 3, cluster: [], clusterName: "lab")
        let deaf = try await server.accept()
        try await deaf.writeAndFlush(ByteBuffer(bytes: PeerLinkFormat.encode(.hello(hello))))
        _ = try await a.connected()
        let frame = [UInt8](repeating: 1, count: 100_000)
        // The kernel's buffers take some, the queue takes 4 MiB, and then nothing does.
        var accepted = 0
        var refusedInARow = 0
        while refusedInARow < 1_000 {
            if a.link.send(frame, to: 2) {
                accepted += 1
                refusedInARow = 0
            } else {
                refusedInARow += 1
                await Task.yield()
            }
            try #require(accepted < 1_000, "100 MB were taken for a peer that reads nothing")
        }
        #expect(accepted >= 41)
        #expect(!a.link.send(frame, to: 2))
        // Once it is gone, so is what waited for it.
        try await deaf.close()
        #expect(try await a.disconnected().0 == 2)
        #expect(!a.link.send([1], to: 2))
    }

    @Test("A frame beyond the limit is not taken")
    func tooLong() async throws {
        let (a, b) = (try TestNode(1) { $0.frameBytesMax = 10 }, try TestNode(2))
        try await connect([a, b])
        #expect(!a.link.send([UInt8](repeating: 1, count: 11), to: 2))
        #expect(a.link.send([UInt8](repeating: 1, count: 10), to: 2))
        #expect(try await b.frame().1.count == 10)
    }

    @Test("After stop nothing listens, nothing is sent and no event comes")
    func stop() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        try await connect([a, b])
        let port = a.port
        a.stop()
        a.link.stop()
        #expect(!a.link.send([1], to: 2))
        a.link.setPeers([(2, b.address)])
        await #expect(throws: (any Error).self) { try await RawPeer.dial(port) }
        // The end of a's own channel is the last that it tells; the fixture watches for more.
        guard case .disconnected(2, _)? = await a.rest().last else {
            Issue.record("stop did not tell that the channel is gone")
            return
        }
    }

    @Test("A port that is taken, and a hello that can't be said, are told at the start")
    func startFails() throws {
        let a = try TestNode(1)
        #expect(throws: PeerLinkError.self) { try TestNode(2, port: a.port) }
        #expect(throws: PeerLinkError.invalidHello) { try TestNode(0) }
        #expect(throws: PeerLinkError.invalidHello) { try TestNode(1, cluster: [1]) }
        #expect(throws: PeerLinkError.invalidHello) { try TestNode(1, name: "") }
    }
}
