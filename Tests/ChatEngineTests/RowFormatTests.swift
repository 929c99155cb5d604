import Bytes
import ChatModel
import Foundation
import LSMTree
import Testing

@testable import ChatEngine

@Suite struct RowFormatTests {
    private static func id<Kind>(_ number: UInt64) -> Identifier<Kind> {
        Identifier(high: 0x0123_4567_89AB_8000 | number, low: 0x8000_0000_0000_0000 | number)
    }

    private static let stamp: Milliseconds = 1_760_000_000_000

    private static let samples: [(name: String, row: any StoredRow)] = {
        var head = HeadRow(kind: .group, createdBy: id(1), lastAtMs: stamp, title: "Vögel")
        (head.seq, head.m, head.change) = (300, 200, 500)
        (head.memberCount, head.ownerCount) = (3, 1)
        let left = MemberRow.LeftMark(seq: 300, m: 200)
        return [
            ("head", head),
            ("member", MemberRow(role: .owner, joinedSeq: 9, floor: 8, joinedM: 5)),
            (
                "member left",
                MemberRow(role: .member, joinedSeq: 9, floor: 8, joinedM: 5, left: left)
            ),
            ("marks", MarkRow(delivered: 5, read: 3, readM: 2)),
            ("profile", ProfileRow(name: "anna", displayName: "Anna")),
            ("device", DeviceRow(createdAtMs: stamp, name: "phone")),
            (
                "feed",
                FeedRow(
                    position: 4, head: 300, m: 200, change: 500, leftSeq: 300, isLarge: false)
            ),
            (
                "feed large",
                FeedRow(position: 4, head: 300, m: 200, change: 500, leftSeq: nil, isLarge: true)
            ),
            (
                "dedup",
                DedupRow(
                    expiryMs: 1_762_592_000_000, seq: 300, m: 200, atMs: stamp,
                    contentHash: 0x0123_4567_89AB_CDEF)
            ),
            ("number", NumberRow(500)),
            (
                "cluster map",
                ClusterMapRow(
                    map: ClusterMap(
                        epoch: 300,
                        nodes: [
                            .init(number: 1, peerAddress: "a:1", url: "https://a"),
                            .init(number: 300, peerAddress: "c:1", url: ""),
                        ]))
            ),
        ]
    }()

    private func check<Row: StoredRow>(_ row: Row, _ golden: [UInt8], _ name: String) throws {
        #expect(row.encoded() == golden, "\(name)")
        #expect(try Row(decoding: golden) == row, "\(name)")
        for length in 0..<golden.count {
            #expect(throws: DecodeError.self, "\(name)") {
                try Row(decoding: Array(golden[..<length]))
            }
        }
        #expect(throws: DecodeError.self, "\(name)") { try Row(decoding: golden + [0]) }
        var random = SplitMix64(seed: 5)
        for _ in 0..<300 {
            var wrong = golden
            wrong[Int.random(in: 0..<wrong.count, using: &random)] =
                UInt8.random(in: 0...255, using: &random)
            guard let decoded = try? Row(decoding: wrong) else { continue }
            #expect(try Row(decoding: decoded.encoded()) == decoded, "seed 5: \(name)")
        }
    }

    @Test("Rows are the bytes of the golden file, and other bytes throw or are another row")
    func golden() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let file = folder.appendingPathComponent("Golden/rows.hex")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == Self.samples.count)
        for (line, sample) in zip(lines, Self.samples) {
            let parts = line.split(separator: ": ")
            #expect(String(parts[0]) == sample.name)
            try check(sample.row, try #require(Hex.decode(parts[1])), sample.name)
        }
    }

    @Test("Rows that contradict themselves are corrupt")
    func contradictions() {
        #expect(throws: DecodeError.self) { try MarkRow(decoding: [1, 3, 5, 2]) }
        #expect(throws: DecodeError.self) { try MarkRow(decoding: [1, 5, 3, 4]) }
        #expect(throws: DecodeError.self) { try MemberRow(decoding: [1, 1, 9, 0, 0, 0]) }
        #expect(throws: DecodeError.self) { try MemberRow(decoding: [1, 1, 8, 9, 0, 0]) }
    }

    @Test("A corrupt row stops the batch with its key, and nothing is half cached")
    func corrupt() throws {
        var world = World()
        let users = Make.users(2)
        let group = try world.group(users)
        let key = KeySchema.head(group)
        let good = try #require(try world.rows.get(.conversations, key))
        world.rows.put(.conversations, key, [1, 9])
        let command = Command.setTitle(conversation: group, by: users[0], title: "x")
        #expect {
            try world.run(command)
        } throws: { error in
            guard case EngineError.corruptRow(2, key, _) = error else { return false }
            return true
        }
        world.rows.put(.conversations, key, good)
        #expect(try world.run(command) == .done)
        let unknown = CommandBatch(stampMs: 1, commands: [[99, 1]])
        #expect(throws: EngineError.self) { try world.engine.apply(unknown, view: world.rows) }
    }
}

@Suite struct KeySchemaTests {
    private let conversation = Make.conversation(1)
    private let user = Make.user(2)

    @Test("Every key begins with its partition, sorts inside its slot, and has words")
    func describe() {
        let author = Author(user: user, cid: Make.cid(3))
        let (c, u) = (conversation.description, user.description)
        let device = Make.device(4)
        let blob = Make.blob(5)
        let rows: [(Keyspace, [UInt8], String)] = [
            (.entries, KeySchema.entry(conversation, 7), "entry \(c) seq 7"),
            (.conversations, KeySchema.head(conversation), "head \(c)"),
            (.conversations, KeySchema.member(conversation, user), "member \(c) user \(u)"),
            (.conversations, KeySchema.marks(conversation, user), "marks \(c) user \(u)"),
            (.accounts, KeySchema.profile(user), "profile \(u)"),
            (.accounts, KeySchema.credential(user), "credential \(u)"),
            (.accounts, KeySchema.device(user, device), "device \(u) device \(device)"),
            (.feeds, KeySchema.feedHead(user), "feed head \(u)"),
            (.feeds, KeySchema.feed(user, conversation), "feed \(u) conversation \(c)"),
            (
                .feeds, KeySchema.feedIndex(user, 9, conversation),
                "feed index \(u) position 9 conversation \(c)"
            ),
            (
                .feeds, KeySchema.largeIndex(user, conversation),
                "large index \(u) conversation \(c)"
            ),
            (
                .dedup, KeySchema.dedup(conversation, author),
                "dedup \(c) user \(u) cid \(author.cid)"
            ),
            (.media, KeySchema.blob(blob), "blob \(blob)"),
            (
                .media, KeySchema.shown(conversation, blob, at: 6),
                "shown \(c) blob \(blob) seq 6"
            ),
            (.presence, KeySchema.lastSeen(user), "last seen \(u)"),
            (.work, KeySchema.work(conversation, .feeds), "work kind 1 \(c)"),
            (.work, KeySchema.work(conversation, .feeds, user), "work kind 1 \(c) user \(u)"),
            (.meta, KeySchema.stamp(shard: 3), "stamp of shard 3"),
        ]
        for (keyspace, key, words) in rows {
            #expect(KeySchema.describe(keyspace: keyspace, key: key) == words)
            for length in 0..<key.count {
                let part = Array(key[..<length])
                _ = KeySchema.describe(keyspace: keyspace, key: part)
            }
            #expect(
                KeySchema.describe(keyspace: keyspace, key: key + [0]).hasPrefix("unknown 0x"))
            let slot = Slot(rawValue: UInt16(key[0]) << 8 | UInt16(key[1]))
            guard keyspace != .meta else { continue }
            let bounds = KeySchema.bounds(slots: slot...slot)
            #expect(bounds.lower.lexicographicallyPrecedes(key))
            #expect(key.lexicographicallyPrecedes(bounds.upper))
        }
        let bounds = KeySchema.bounds(shard: 3)
        let stamp = KeySchema.stamp(shard: 3)
        #expect(bounds.lower.lexicographicallyPrecedes(stamp))
        #expect(stamp.lexicographicallyPrecedes(bounds.upper))
        #expect(KeySchema.bounds(shard: 2).upper == bounds.lower)
    }

    @Test("The keyspaces are numbered 1…9 and only dedup expires")
    func keyspaces() {
        #expect(KeySchema.all.map(\.keyspace.rawValue) == Array(1...9))
        #expect(KeySchema.all.filter(\.isExpiring).map(\.name) == ["dedup"])
    }
}

@Suite struct RowTransactionTests {
    @Test("Reads and scans see the batch's own writes, both ways", arguments: [1, 2, 3, 4])
    func overlay(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let prefix = [UInt8](repeating: 7, count: KeySchema.partitionBytes)
        func key(_ number: Int) -> [UInt8] { prefix + [UInt8(number)] }
        var base = MemoryRows()
        for number in 0..<40 where Bool.random(using: &random) {
            base.put(.entries, key(number), [UInt8(number)])
        }
        let transaction = RowTransaction(over: base)
        var model = base
        for round in 0..<60 {
            let number = Int.random(in: 0..<40, using: &random)
            if Bool.random(using: &random) {
                transaction.put(.entries, key(number), [UInt8(round)])
                model.put(.entries, key(number), [UInt8(round)])
            } else {
                transaction.delete(.entries, key(number))
                model.put(.entries, key(number), nil)
            }
            let low = Int.random(in: 0..<40, using: &random)
            let high = Int.random(in: low...40, using: &random)
            let limit = Int.random(in: 1...40, using: &random)
            for isReversed in [false, true] {
                func rows(_ view: some RowView) throws -> [[UInt8]] {
                    var rows: [[UInt8]] = []
                    try view.scan(
                        .entries, from: key(low), to: key(high), isReversed: isReversed
                    ) { key, value in
                        rows.append([UInt8](key) + [UInt8](value))
                        return rows.count < limit
                    }
                    return rows
                }
                #expect(try rows(transaction) == rows(model), "seed \(seed), round \(round)")
            }
        }
        var applied = base
        applied.apply(transaction.batch())
        #expect(applied == model, "seed \(seed)")
    }
}

@Suite struct AudienceCacheTests {
    @Test("The cache stays within its budget and keeps what is used")
    func budget() {
        var cache = AudienceCache(membersMax: 400)
        let hot = Make.conversation(0)
        cache.set(hot, Audience(ascending: [Make.user(1)]))
        var kept = 0
        for number in 1...500 as ClosedRange<UInt64> {
            cache.set(Make.conversation(number), Audience(ascending: []))
            #expect(cache.get(hot) != nil)
        }
        for number in 1...500 as ClosedRange<UInt64>
        where cache.get(Make.conversation(number)) != nil {
            kept += 1
        }
        #expect(kept > 10 && kept <= 50)
    }
}
