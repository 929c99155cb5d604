import Bytes
import ChatModel
import Replication
import Testing

@testable import ChatNode

/// The queue between the apply lane and the indexer.
@Suite("Search touches")
struct SearchTouchesTests {
    private static func conversation(_ number: UInt64) -> ConversationID {
        ConversationID(high: SplitMix64.mix(number), low: number)
    }

    private static func event(_ conversation: UInt64, _ seq: UInt64, _ body: EntryBody) -> Event {
        let user = UserID(high: 1, low: 1)
        let entry = ChatModel.Entry(
            conversation: Self.conversation(conversation), seq: seq, m: 0, cid: nil, from: user,
            atMs: 1, body: body)
        return .entry(entry, audience: Audience(ascending: []))
    }

    private static func message(_ conversation: UInt64, _ seq: UInt64) -> Event {
        event(conversation, seq, .message(Message(content: .init(text: "x"), revision: seq)))
    }

    @Test("A run of a conversation is one item; edits and erasures touch what they change")
    func runs() {
        let touches = SearchTouches(shards: 3)
        touches.note(1, upTo: 7, (1...9).map { Self.message(1, $0) })
        touches.note(2, upTo: 3, [Self.message(2, 4), Self.event(2, 5, .erase(target: 2))])
        touches.note(
            1, upTo: 8, [Self.event(1, 10, .edit(target: 3, content: .init(text: "y")))])
        touches.note(1, upTo: 9, [Self.event(1, 11, .settings(title: "t"))])
        let batch = touches.take()
        #expect(
            batch.touches == [
                .init(shard: 1, conversation: Self.conversation(1), seqs: 1...9),
                .init(shard: 2, conversation: Self.conversation(2), seqs: 4...4),
                .init(shard: 2, conversation: Self.conversation(2), seqs: 2...2),
                .init(shard: 1, conversation: Self.conversation(1), seqs: 3...3),
            ])
        #expect(batch.applied == [0, 9, 3] && !batch.isEmpty && batch.lost.isEmpty)
        #expect(touches.take().isEmpty)
    }

    @Test("The indexer is woken once for what it has not taken, and at once for a cut")
    func wakes() {
        let touches = SearchTouches(shards: 2)
        let woken = Box<[SearchTouches.Urgency]>([])
        touches.open { urgency in woken.change { $0.append(urgency) } }
        touches.flush()
        #expect(woken.value.isEmpty)
        for index in 1...3 as ClosedRange<UInt64> {
            touches.note(1, upTo: index, [Self.message(1, index)])
            touches.flush()
        }
        #expect(woken.value == [.soon])
        touches.noteCut()
        #expect(woken.value == [.soon, .now])
        let batch = touches.take()
        #expect(batch.isCut && batch.applied[1] == 3)
        touches.note(1, upTo: 4, [])
        touches.flush()
        #expect(woken.value == [.soon, .now, .soon])
    }

    @Test("It is never longer than its limit, and says what it gave up", arguments: 0..<6)
    func bounds(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let touches = SearchTouches(shards: 4, itemsMax: 200)
        var noted: Set<String> = []
        let places = 1 + random.next() % 400
        for index in 1...3_000 as ClosedRange<UInt64> {
            let conversation = random.next() % places
            let seq = 1 + random.next() % 8
            let shard = GroupID(1 + conversation % 3)
            touches.note(shard, upTo: index, [Self.message(conversation, seq)])
            noted.insert("\(shard) \(Self.conversation(conversation)) \(seq)")
        }
        let batch = touches.take()
        #expect(batch.touches.count <= 200, "seed \(seed)")
        var kept: Set<String> = []
        for touch in batch.touches {
            for seq in touch.seqs { kept.insert("\(touch.shard) \(touch.conversation) \(seq)") }
        }
        #expect(kept.isSubset(of: noted), "seed \(seed)")
        let missing = noted.subtracting(kept)
        let isGivenUp = missing.allSatisfy { item in
            batch.lost.contains { item.hasPrefix("\($0) ") }
        }
        #expect(isGivenUp, "seed \(seed)")
    }
}
