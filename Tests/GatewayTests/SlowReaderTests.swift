import ChatModel
import FanOut
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(2)))
struct SlowReaderTests {
    static func entry(_ seq: EntrySequence, bytes: Int) -> EventBody {
        .entry(
            Entry(
                conversation: FakeNode.conversation, seq: seq, m: seq, cid: nil,
                from: FakeNode.user("writer"), atMs: FakeHost.wallMs,
                body: .message(
                    Message(
                        content: MessageContent(text: String(repeating: "x", count: bytes)),
                        revision: seq))))
    }

    @Test("who stops reading gets a gap up to the head, and nobody else waits")
    func gap() async throws {
        try await withGateway { gateway in
            let slow = try await gateway.session("slow")
            let quick = try await gateway.session("quick")
            try await slow.pause()
            let count: EntrySequence = 1_000
            for seq in 1...count {
                gateway.node.publish(Self.entry(seq, bytes: 16_000))
                // The quick one reads on, so the slow one alone falls behind.
                _ = try await quick.text(containing: #""seq":"\#(seq)""#)
            }
            try await slow.resume()
            var heard: EntrySequence = 0
            var gapHead: EntrySequence = 0
            while gapHead < count, heard < count {
                guard case .text(let text)? = try await slow.message() else { break }
                if text.contains("\"gap\"") {
                    gapHead = try #require(Self.number("head", in: text))
                } else if text.contains("\"entry\"") {
                    let seq = try #require(Self.number("seq", in: text))
                    #expect(seq > heard)
                    heard = seq
                }
            }
            #expect(gapHead == count)
            #expect(heard < count)
            for connection in [slow, quick] { connection.close() }
        }
    }

    @Test("who reads nothing for the stated time is closed and let go")
    func stalled() async throws {
        let node = FakeNode { $0.stalledMs = 300 }
        try await withGateway(node: node, configure: { $0.closeTimeoutMs = 200 }) { gateway in
            let slow = try await gateway.session("slow")
            try await slow.pause()
            var seq: EntrySequence = 0
            while node.seen({ $0.detaches }) == 0 {
                seq += 1
                node.publish(Self.entry(seq, bytes: 16_000))
                await Task.yield()
            }
            #expect(node.seen { $0.cleanDetaches } == 0)
            try await slow.resume()
            while let message = try? await slow.message() {
                if case .close = message { break }
            }
            let other = try await gateway.session("other")
            other.close()
        }
    }

    @Test("a socket that says nothing is closed with 4002")
    func silence() async throws {
        try await withGateway(node: FakeNode { $0.heartbeatSeconds = 1 }) { gateway in
            let silent = try await gateway.session("silent")
            let (closing, code) = try await silent.closing()
            #expect(code == 4002)
            #expect(closing.contains(#""resume":true"#))
            #expect(try await silent.message() == nil)
        }
    }

    private static func number(_ name: String, in text: String) -> EntrySequence? {
        guard let start = text.firstRange(of: "\"\(name)\":\"")?.upperBound else { return nil }
        return EntrySequence(text[start...].prefix { $0.isNumber })
    }
}
