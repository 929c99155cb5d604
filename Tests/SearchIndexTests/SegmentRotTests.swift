import Bytes
import Testing

@testable import SearchIndex

@Suite("Rotten segment")
struct SegmentRotTests {
    @Test("any flipped bit is seen when it is opened")
    func flips() throws {
        var maker = MessageMaker(seed: 3)
        let bytes = try Segments.bytes(maker.messages(20))
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: SearchError.self, "bit \(bit)") { try Segments.open(flipped) }
        }
    }

    @Test("any shortened file is refused")
    func cuts() throws {
        var maker = MessageMaker(seed: 4)
        let bytes = try Segments.bytes(maker.messages(20))
        for count in 0..<bytes.count {
            #expect(throws: SearchError.self, "\(count) bytes") {
                try Segments.open(Array(bytes.prefix(count)))
            }
        }
    }

    @Test("under another file's id it is refused")
    func otherID() throws {
        var maker = MessageMaker(seed: 5)
        let bytes = try Segments.bytes(maker.messages(20))
        #expect(throws: SearchError.self) { try Segments.open(bytes, fileID: 8) }
    }

    @Test("a term that shares less with the one before than it could is seen")
    func sharesLess() throws {
        var maker = MessageMaker(seed: 6)
        let message = Message(
            document: maker.message().document, words: ["link", "linumber"])
        var bytes = try Segments.bytes([message])
        // 3 shared bytes, 5 more: "umber".
        let entry: [UInt8] = [3, 5] + Array("umber".utf8)
        let place = try #require(
            bytes.indices.first { bytes[$0...].prefix(entry.count).elementsEqual(entry) })
        (bytes[place], bytes[place + 2]) = (2, UInt8(ascii: "n"))
        let reader = try Segments.open(#require(Segments.seal(bytes)))
        #expect(try reader.find(term: Array("linmber".utf8)) == nil)
        #expect(throws: SearchError.self) { try reader.verify() }
    }

    @Test("forged bytes with right checksums never trap", arguments: Long.seeds(0, 10))
    func forged(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let original = try Segments.bytes(maker.messages(1 + maker.below(500)))
        var opened = 0
        for _ in 0..<25 {
            var bytes = original
            for _ in 0...maker.below(4) {
                let at = maker.below(bytes.count)
                switch maker.below(3) {
                case 0: bytes[at] ^= 1 << UInt8(maker.below(8))
                case 1: bytes[at] = UInt8(maker.below(256))
                default: bytes[at] = 255
                }
            }
            guard let sealed = Segments.seal(bytes), let reader = try? Segments.open(sealed)
            else { continue }
            opened += 1
            let isSound = (try? reader.verify()) != nil
            let read = try? reader.messages()
            if isSound { #expect(read != nil, "seed \(seed)") }
            var cursorWork = 0
            for rank in 0..<20 {
                let word = Array(MessageMaker.spelling(rank).utf8)
                guard let postings = try? reader.find(term: word) else { continue }
                var cursor = PostingsCursor(postings, in: reader)
                while cursor.document != PostingsCursor.end, cursorWork < 100_000 {
                    let bound = cursor.bound(at: cursor.document)
                    cursorWork += 1 + cursor.positions().count + Int(bound.once) / 256
                    cursor.advance(to: cursor.document + UInt32(maker.below(200)))
                    if cursor.document != PostingsCursor.end { cursor.next() }
                }
            }
            let file = MemoryFile()
            let dead = DeadDocuments(documents: reader.documentCount)
            _ = try? SegmentMerger.merge(
                [.init(reader: reader, dead: dead)], to: file, fileID: 9,
                tokens: Segments.tokens)
        }
        #expect(opened > 0, "seed \(seed): some get past the first checks")
    }
}
