import Bytes
import NIOCore
import Replication
import Testing

@testable import PeerLink

@Suite(.timeLimit(.minutes(2))) struct PeerRefusalTests {
    private static let tlsHello: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]

    private func hello(
        _ node: NodeNumber = 2, incarnation: UInt64 = 22, cluster: [UInt8] = [],
        name: String = "lab"
    ) -> PeerHello {
        PeerHello(node: node, incarnation: incarnation, cluster: cluster, clusterName: name)
    }

    /// Node 1 of cluster 01…01, with node 2 as its only peer, which is nowhere.
    private func makeNode(
        _ change: (inout PeerLinkConfiguration) -> Void = { _ in }
    ) throws -> TestNode {
        let node = try TestNode(1, cluster: [UInt8](repeating: 1, count: 16), change)
        node.link.setPeers([(2, "127.0.0.1:1")])
        return node
    }

    @Test(
        "A client, a browser, TLS and noise on the peer port are cut off without an answer",
        arguments: [
            Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), tlsHello, [0], Array("MAGPIEPX".utf8),
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), [UInt8](repeating: 0xFF, count: 50_000),
        ])
    func strangers(_ bytes: [UInt8]) async throws {
        let node = try makeNode()
        let peer = try await RawPeer.dial(node.port)
        try? await peer.write(bytes)
        #expect(await peer.rest() == [])
        let (number, text) = try await node.refused()
        #expect(number == nil && text.contains("does not speak Magpie's peer protocol"))
    }

    @Test("Who does not belong is told why, and so are the people of this node")
    func reasons() async throws {
        let node = try makeNode()
        let cases: [(PeerHello, RefusalCode, String)] = [
            (hello(name: "other"), .clusterName, "cluster \"other\""),
            (hello(cluster: [UInt8](repeating: 2, count: 16)), .clusterID, "0202"),
            (hello(1), .ownNumber, "its own number"), (hello(3), .unknownNode, "add node 3"),
        ]
        for (hello, code, words) in cases {
            let peer = try await RawPeer.dial(node.port)
            try await peer.write(PeerLinkFormat.encode(.hello(hello)))
            guard case .refusal(let refusal) = try await peer.greeting() else {
                Issue.record("\(code) was welcome")
                continue
            }
            #expect(refusal.code == code && refusal.text.contains(words))
            #expect(await peer.rest() == [])
            let (number, text) = try await node.refused()
            #expect(number == hello.node && text == "refused 127.0.0.1: \(refusal.text)")
        }
    }

    @Test("Another version and a damaged greeting are answered with a refusal")
    func unreadable() async throws {
        let node = try makeNode()
        var damaged = PeerLinkFormat.encode(.hello(hello()))
        damaged[20] ^= 1
        for (bytes, code) in [
            (PeerLinkFormat.encode(.hello(hello()), version: 2), RefusalCode.version),
            (damaged, .malformed),
        ] {
            let peer = try await RawPeer.dial(node.port)
            try await peer.write(bytes)
            guard case .refusal(let refusal) = try await peer.greeting() else {
                Issue.record("\(code) was welcome")
                continue
            }
            #expect(refusal.code == code)
            #expect(try await node.refused().text.contains(refusal.text))
        }
    }

    @Test("Two clusters whose nodes list each other: both sides say which names differ")
    func bothSides() async throws {
        let (a, b) = (try TestNode(1, name: "red"), try TestNode(2, name: "blue"))
        a.link.setPeers([(2, b.address)])
        let (number, text) = try await a.refused()
        #expect(number == 2 && text.contains("refused this node") && text.contains("\"blue\""))
        let (other, words) = try await b.refused()
        #expect(other == 1 && words.contains("\"red\""))
    }

    @Test("A second process with a live node's number is refused until the first is gone")
    func duplicate() async throws {
        let node = try makeNode()
        let first = try await RawPeer.dial(node, as: hello(incarnation: 5))
        let second = try await RawPeer.dial(node.port)
        try await second.write(PeerLinkFormat.encode(.hello(hello(incarnation: 6))))
        guard case .refusal(let refusal) = try await second.greeting() else {
            Issue.record("the second process was welcome")
            return
        }
        #expect(refusal.code == .duplicate)
        #expect(
            try await node.refused().text.contains(
                "node 2 is already connected with another data directory"))
        // The first one is not disturbed.
        try await first.write(Frames.encode("still here", of: hello(incarnation: 5), number: 0))
        #expect(try await node.frame().1 == Array("still here".utf8))
        try await first.channel.close()
        // Its end reaches the node at some time; until then the second one is refused.
        while true {
            let third = try await RawPeer.dial(node.port)
            try await third.write(PeerLinkFormat.encode(.hello(hello(incarnation: 6))))
            if case .hello = try await third.greeting() { break }
        }
    }

    @Test("The same process that comes again takes the place of its former channel")
    func again() async throws {
        let node = try makeNode()
        let first = try await RawPeer.dial(node, as: hello())
        let second = try await RawPeer.dial(node, as: hello())
        _ = await first.rest()
        try await second.write(Frames.encode("new", of: hello(), number: 0))
        #expect(try await node.frame().1 == Array("new".utf8))
    }

    @Test("A damaged, repeated, foreign or too long frame closes the channel and comes not up")
    func badFrames() async throws {
        let good = Frames.encode("good", of: hello(), number: 0)
        var damaged = Frames.encode("bad", of: hello(), number: 1)
        damaged[9] ^= 1
        let bad: [([UInt8], String)] = [
            (damaged, "damaged"), (good, "damaged"),
            (Frames.encode("bad", of: hello(incarnation: 9), number: 1), "damaged"),
            ([0, 0, 0, 1, 0, 0, 0, 0], "16777216 bytes"),
            ([UInt8](repeating: 255, count: 8), "bytes"),
        ]
        for (bytes, words) in bad {
            let node = try makeNode { $0.frameBytesMax = 1_000 }
            let peer = try await RawPeer.dial(node, as: hello())
            try await peer.write(good)
            try await peer.write(bytes + Frames.encode("after", of: hello(), number: 2))
            #expect(try await node.frame().1 == Array("good".utf8))
            let (number, text) = try await node.refused()
            #expect(number == 2 && text.contains(words))
            _ = await peer.rest()
            node.stop()
            #expect(await node.rest().isEmpty)
        }
    }

    @Test("Frames that come byte by byte are put together")
    func slowly() async throws {
        let node = try makeNode()
        let peer = try await RawPeer.dial(node.port)
        let bytes = PeerLinkFormat.encode(.hello(hello()))
        for byte in bytes + Frames.encode("slow", of: hello(), number: 0) {
            try await peer.write([byte])
        }
        #expect(try await node.frame().1 == Array("slow".utf8))
    }

    @Test("Random bytes after a good hello never trap, and the next channel works")
    func fuzz() async throws {
        let seed: UInt64 = 41
        var generator = SplitMix64(seed: seed)
        let node = try makeNode { $0.frameBytesMax = 100 }
        for round in 0..<50 {
            let peer = try await RawPeer.dial(node, as: hello())
            let bytes = (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try? await peer.write(bytes)
            _ = await peer.rest()
            let last = try await RawPeer.dial(node, as: hello())
            try await last.write(Frames.encode("\(round)", of: hello(), number: 0))
            #expect(try await node.frame().1 == Array("\(round)".utf8), "seed \(seed)")
        }
    }

    @Test("Who says nothing is cut off")
    func silentStranger() async throws {
        let node = try makeNode {
            $0.pingInterval = .milliseconds(10)
            $0.handshakeTimeout = .milliseconds(50)
        }
        let silent = try await RawPeer.dial(node.port)
        #expect(await silent.rest() == [])
        let peer = try await RawPeer.dial(node.port)
        try? await peer.write(PeerLinkFormat.magic)
        #expect(await peer.rest() == [])
    }

    @Test("When too many connections say nothing, further ones are closed until one is gone")
    func tooManyStrangers() async throws {
        let node = try makeNode { $0.strangersMax = 2 }
        let waiting = [try await RawPeer.dial(node.port), try await RawPeer.dial(node.port)]
        // The accept loop takes connections in order, so this one is the third.
        // It may be closed even before the dialing side has seen it open.
        if let third = try? await RawPeer.dial(node.port) { #expect(await third.rest() == []) }
        #expect(try await node.refused().text.contains("2 connections"))
        try await waiting[0].channel.close()
        // Its end reaches the node at some time.
        while true {
            guard let peer = try? await RawPeer.dial(node.port) else { continue }
            try? await peer.write(PeerLinkFormat.encode(.hello(hello())))
            if (try? await peer.greeting()) == .hello(node.hello) { break }
        }
        _ = try await RawPeer.dial(node, as: hello())
    }

    @Test("A node that reaches itself, another node or no node at a peer's address says so")
    func wrongAddress() async throws {
        let (a, b) = (try TestNode(1), try TestNode(2))
        a.link.setPeers([(3, b.address)])
        b.link.setPeers([(1, a.address)])
        try await a.refused(with: "leads to node 2")
        a.link.setPeers([(3, a.address)])
        try await a.refused(with: "its own address")
        a.link.setPeers([(3, "nowhere")])
        try await a.refused(with: "not HOST:PORT")
    }

    @Test("A client port at a peer's address is recognised")
    func answersOtherwise() async throws {
        let server = try await RawServer()
        let a = try TestNode(1)
        a.link.setPeers([(2, server.address)])
        let channel = try await server.accept()
        try await channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"))
        let (number, text) = try await a.refused()
        #expect(number == 2 && text.contains("does not speak Magpie's peer protocol"))
    }

    @Test("The same refusal is told once a while, however often the peer tries")
    func toldOnce() async throws {
        let node = try makeNode()
        for _ in 0..<5 {
            let peer = try await RawPeer.dial(node.port)
            try await peer.write(PeerLinkFormat.encode(.hello(hello(7))))
            _ = await peer.rest()
        }
        node.stop()
        #expect(await node.rest().count == 1)
    }
}
