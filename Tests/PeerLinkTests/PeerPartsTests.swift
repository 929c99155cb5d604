import Bytes
import NIOCore
import Replication
import Testing

@testable import PeerLink

@Suite struct PeerRulesTests {
    private let own = PeerHello(
        node: 1, incarnation: 11, cluster: [UInt8](repeating: 1, count: 16), clusterName: "lab")

    private func hello(_ change: (inout PeerHello) -> Void = { _ in }) -> PeerHello {
        var hello = PeerHello(
            node: 2, incarnation: 22, cluster: own.cluster, clusterName: own.clusterName)
        change(&hello)
        return hello
    }

    private func code(
        _ hello: PeerHello, isListed: Bool = true, live: UInt64? = nil
    ) -> RefusalCode? {
        PeerRules.refusal(of: hello, own: own, isListed: isListed, live: live)?.code
    }

    @Test("A listed node of the same cluster is welcome, also before it belongs to one")
    func welcome() {
        #expect(code(hello()) == nil)
        #expect(code(hello { $0.cluster = [] }) == nil)
        #expect(code(hello(), live: 22) == nil)
    }

    @Test("Everybody else is refused for the reason that fits")
    func refused() {
        #expect(code(hello { $0.clusterName = "Lab" }) == .clusterName)
        #expect(code(hello { $0.cluster[15] = 2 }) == .clusterID)
        #expect(code(hello { $0.node = 1 }) == .ownNumber)
        #expect(code(hello(), isListed: false) == .unknownNode)
        #expect(code(hello(), live: 23) == .duplicate)
    }

    @Test("Who answers must be who was called")
    func answer() {
        func code(_ hello: PeerHello) -> RefusalCode? {
            PeerRules.refusal(ofAnswer: hello, own: own, expected: 2)?.code
        }
        #expect(code(hello()) == nil)
        #expect(code(hello { $0.node = 3 }) == .unknownNode)
        #expect(code(hello { $0.node = 1 }) == .unknownNode)
        #expect(code(hello { $0.clusterName = "b" }) == .clusterName)
        #expect(code(hello { $0.cluster[0] = 9 }) == .clusterID)
    }

    @Test("Every sentence fits its place, whatever a peer calls its cluster")
    func lengths() throws {
        let name = String(repeating: "\u{1F426}", count: 63)
        for change in [{ $0.clusterName = name }, { $0.cluster[0] = 9 }]
            as [(inout PeerHello) -> Void]
        {
            let refusal = try #require(
                PeerRules.refusal(
                    of: hello(change), own: own, isListed: true, live: nil))
            #expect(refusal.text.utf8.count <= PeerLinkFormat.refusalTextBytesMax)
        }
        #expect(PeerRules.forPeople("a\u{1B}[2J\nb\u{202E}é") == "a?[2J?b?é")
    }
}

@Suite struct BackoffTests {
    @Test("Waits double up to the limit, lie in the bound's upper half, and begin anew")
    func bounds() {
        var generator = SplitMix64(seed: 7)
        var backoff = Backoff(min: .milliseconds(50), max: .seconds(1))
        for _ in 0..<2 {
            for bound in [50, 100, 200, 400, 800, 1_000, 1_000] as [Int64] {
                let wait = backoff.next(using: &generator)
                #expect(wait >= .milliseconds(bound / 2) && wait <= .milliseconds(bound))
            }
            backoff.reset()
        }
    }

    @Test("Two nodes with different seeds don't wait alike")
    func jitter() {
        func waits(_ seed: UInt64) -> [Int64] {
            var generator = SplitMix64(seed: seed)
            var backoff = Backoff(min: .milliseconds(50), max: .seconds(1))
            return (0..<5).map { _ in backoff.next(using: &generator).nanoseconds }
        }
        #expect(waits(1) == waits(1) && waits(1) != waits(2))
    }
}

@Suite struct PeerAddressTests {
    @Test(
        "HOST:PORT is read, with IPv6 in brackets",
        arguments: [
            ("10.0.0.2:7100", "10.0.0.2", 7_100), ("a.example:1", "a.example", 1),
            ("[::1]:65535", "::1", 65_535),
        ])
    func good(_ text: String, _ host: String, _ port: Int) throws {
        let address = try #require(PeerAddress(text))
        #expect(address.host == host && address.port == port)
    }

    @Test(
        "Anything else is none",
        arguments: [
            "", "host", "host:", ":1", "host:0", "host:65536", "host:+1", "::1:7100", "[]:1",
            "host:99999999999999999999", "host:1 ",
        ])
    func bad(_ text: String) { #expect(PeerAddress(text) == nil) }
}

@Suite struct OutboxTests {
    @Test("Without a channel nothing is taken")
    func closed() {
        let outbox = Outbox(bytesMax: 1_000)
        #expect(outbox.push([1], to: 2) == .refused)
        outbox.open(2)
        #expect(outbox.push([1], to: 2) == .queuedFirst)
        #expect(outbox.push([2], to: 2) == .queued)
        #expect(outbox.push([2], to: 3) == .refused)
        outbox.close(2)
        #expect(outbox.push([1], to: 2) == .refused)
        #expect(outbox.take(2).isEmpty && outbox.bytes(of: 2) == 0)
    }

    @Test("What was taken counts until it is released, and order is kept")
    func account() {
        let outbox = Outbox(bytesMax: 2 * (10 + Outbox.frameOverheadBytes))
        let frames = (0..<3).map { [UInt8](repeating: $0, count: 10) }
        outbox.open(2)
        #expect(outbox.push(frames[0], to: 2) == .queuedFirst)
        #expect(outbox.push(frames[1], to: 2) == .queued)
        #expect(outbox.push(frames[2], to: 2) == .refused)
        outbox.beginDrain()
        #expect(outbox.take(2) == Array(frames[..<2]))
        #expect(outbox.push(frames[2], to: 2) == .refused)
        outbox.release(frames: 1, bytes: 10, of: 2)
        #expect(outbox.push(frames[2], to: 2) == .queuedFirst)
        outbox.release(frames: 1, bytes: 10, of: 2)
        #expect(outbox.take(2) == [frames[2]])
        outbox.release(frames: 1, bytes: 10, of: 2)
        #expect(outbox.bytes(of: 2) == 0)
    }
}
