import Bytes
import Testing

@testable import SearchIndex

@Suite("Segment")
struct SegmentTests {
    @Test("gives back every document, word and position", arguments: Long.seeds(0, 14))
    func roundTrip(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let sizes = [1, 2, 127, 128, 129, 300, 700]
        let messages = maker.messages(sizes[Int(seed) % sizes.count])
        let reader = try Segments.reader(messages)
        try reader.verify()
        #expect(try reader.messages() == messages, "seed \(seed)")
        for message in messages {
            let document = try #require(reader.find(message.key), "seed \(seed)")
            #expect(reader.document(document) == message.document, "seed \(seed)")
            #expect(reader.lengths[Int(document)] == LengthCode.encode(message.words.count))
        }
        for _ in 0..<100 {
            let key = maker.key()
            let isThere = messages.contains { $0.key == key }
            #expect((reader.find(key) != nil) == isThere, "seed \(seed)")
        }
    }

    @Test(
        "finds each word's postings, and none of a word that is not there",
        arguments: Long.seeds(100, 6))
    func terms(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let messages = maker.messages(400)
        let reader = try Segments.reader(messages)
        for rank in 0..<80 {
            let word = MessageMaker.spelling(rank)
            let expected = messages.indices.filter { messages[$0].words.contains(word) }
            let found = try reader.find(term: Array(word.utf8))
            #expect((found?.documents ?? 0) == expected.count, "seed \(seed), \(word)")
            guard let found else { continue }
            var cursor = PostingsCursor(found, in: reader)
            for index in expected {
                #expect(cursor.document == UInt32(index), "seed \(seed), \(word)")
                let positions = messages[index].positions(of: word)
                #expect(cursor.frequency() == UInt32(positions.count), "seed \(seed), \(word)")
                #expect(Array(cursor.positions()) == positions, "seed \(seed), \(word)")
                cursor.next()
            }
            #expect(cursor.document == PostingsCursor.end && !cursor.isRotten)
        }
    }

    @Test(
        "a cursor skips to where a scan would stop, and its bounds hold",
        arguments: Long.seeds(200, 6))
    func skipping(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let messages = maker.messages(2500)
        let reader = try Segments.reader(messages)
        let word = MessageMaker.spelling(maker.below(3))
        let documents = messages.indices.filter { messages[$0].words.contains(word) }
        guard let postings = try reader.find(term: Array(word.utf8)) else { return }
        for _ in 0..<10 {
            var cursor = PostingsCursor(postings, in: reader)
            var target = 0
            while cursor.document != PostingsCursor.end {
                target += maker.below(maker.below(2) == 0 ? 5 : 900)
                let bound = cursor.bound(at: UInt32(target))
                cursor.advance(to: UInt32(target))
                let expected = documents.first { $0 >= target }
                // A cursor that is ahead of the target stays.
                let place = expected.map { UInt32($0) } ?? PostingsCursor.end
                #expect(cursor.document == place, "seed \(seed), target \(target)")
                guard let expected else { break }
                target = expected
                if UInt32(expected) <= bound.last {
                    let count = messages[expected].positions(of: word).count
                    #expect(min(255, count) <= Int(bound.frequency), "seed \(seed)")
                    let code = LengthCode.encode(messages[expected].words.count)
                    let least = count == 1 ? bound.once : count == 2 ? bound.twice : bound.more
                    #expect(code >= least, "seed \(seed)")
                }
            }
        }
    }

    @Test("of several versions of a document the last counts, also when it is a removal")
    func versions() throws {
        var maker = MessageMaker(seed: 1)
        let first = maker.message(DocumentKey(conversation: MessageMaker.id(1), seq: 5))
        var second = first
        second.words = ["edited"]
        let other = maker.message(DocumentKey(conversation: MessageMaker.id(1), seq: 6))
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        builder.put(first)
        builder.put(other)
        builder.put(second)
        builder.remove(other.key)
        let file = MemoryFile()
        _ = try builder.write(to: file, fileID: 7, tokens: Segments.tokens)
        #expect(try Segments.open(file.bytes).messages() == [second])
        builder.remove(first.key)
        #expect(try builder.write(to: MemoryFile(), fileID: 8, tokens: Segments.tokens) == nil)
    }

    @Test("times and seqs of any size are kept")
    func extremes() throws {
        let times: [UInt64] = [0, 1, UInt64.max - 1, UInt64.max, 1 << 57, 77]
        let messages = times.enumerated().map { index, time in
            Message(
                document: SearchDocument(
                    key: DocumentKey(
                        conversation: MessageMaker.id(0),
                        seq: UInt64(index) * (UInt64.max / 6)),
                    time: time, sender: MessageMaker.id(index), flags: .mention),
                words: ["x", "x", "y\(index)"])
        }
        let reader = try Segments.reader(messages)
        try reader.verify()
        #expect(try reader.messages() == messages)
    }

    @Test("merging keeps the living, in order", arguments: Long.seeds(300, 10))
    func merge(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        var living: [DocumentKey: Message] = [:]
        var inputs: [SegmentMerger.Input] = []
        for fileID in 1...UInt64(1 + maker.below(5)) {
            let messages = maker.messages(1 + maker.below(600)).filter { living[$0.key] == nil }
            if messages.isEmpty { continue }
            let reader = try Segments.reader(messages, fileID: fileID)
            var dead = DeadDocuments(documents: reader.documentCount)
            let share = [0, 10, 50, 100][maker.below(4)]
            for (index, message) in messages.enumerated() {
                if maker.below(100) < share {
                    let isNew = dead.insert(UInt32(index))
                    #expect(isNew)
                } else {
                    living[message.key] = message
                }
            }
            inputs.append(.init(reader: reader, dead: dead))
        }
        let file = MemoryFile()
        let summary = try SegmentMerger.merge(
            inputs, to: file, fileID: 99, tokens: Segments.tokens)
        let expected = living.values.sorted { $0.key < $1.key }
        #expect((summary == nil) == expected.isEmpty, "seed \(seed)")
        if expected.isEmpty { return }
        let merged = try Segments.open(file.bytes, fileID: 99)
        try merged.verify()
        #expect(try merged.messages() == expected, "seed \(seed)")
        // One build of the same documents gives the same bytes: nothing of the way is left.
        #expect(try Segments.bytes(expected, fileID: 99) == file.bytes, "seed \(seed)")
    }
}
