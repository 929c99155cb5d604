import Bytes
import Testing

@testable import SearchIndex

@Suite("Search formats")
struct SearchFormatTests {
    /// Three messages of two conversations.
    static let messages: [Message] = {
        func message(
            _ conversation: UInt64, _ seq: UInt64, _ time: UInt64, _ sender: UInt64,
            _ flags: DocumentFlags, _ words: [String]
        ) -> Message {
            Message(
                document: SearchDocument(
                    key: DocumentKey(
                        conversation: SearchID(high: 0xC0, low: conversation), seq: seq),
                    time: time, sender: SearchID(high: 0xA0, low: sender), flags: flags),
                words: words)
        }
        return [
            message(1, 4, 1_700_000_001_000, 1, [], ["tea", "or", "tea"]),
            message(1, 6, 1_700_000_005_000, 2, .link, ["tea", "please"]),
            message(2, 1, 1_700_000_003_000, 1, [], ["hot", "tea"]),
        ]
    }()

    @Test("a segment is written as the page says")
    func segment() throws {
        try Golden.check("three.segment", try Segments.bytes(Self.messages, fileID: 0x2A))
    }

    @Test("a list with blocks is written as the page says")
    func blocks() throws {
        var maker = MessageMaker(seed: 77)
        try Golden.check("blocks.segment", try Segments.bytes(maker.messages(300), fileID: 0x2B))
    }

    @Test("a list of dead documents is written as the page says")
    func dead() throws {
        var dead = DeadDocuments(documents: 1000)
        for document: UInt32 in [0, 3, 999] { _ = dead.insert(document) }
        let bytes = DeadFormat.encode(dead, segment: 0x2A, version: 5)
        try Golden.check("three.dead", bytes)
        #expect(
            try DeadFormat.decode(bytes, segment: 0x2A, version: 5, documents: 1000) == dead)
    }

    @Test("a manifest is written as the page says")
    func manifest() throws {
        let summary = SegmentSummary(
            fileID: 0x2A, documents: 3, bytes: 527, minTime: 1_700_000_001_000,
            maxTime: 1_700_000_005_000,
            conversations: try Segments.reader(Self.messages).summary.conversations)
        let manifest = SearchManifest(
            generation: 5, nextFileID: 0x2B, cursor: [1, 2, 3],
            entries: [.init(summary: summary, deadVersion: 5, dead: 1)])
        let bytes = SearchManifestFormat.encode(manifest, tokens: Segments.tokens)
        try Golden.check("one.manifest", bytes)
        let decoded = try SearchManifestFormat.decode(bytes)
        #expect(decoded.manifest == manifest && decoded.tokens == Segments.tokens)
    }

    @Test("forged manifests and dead lists never trap", arguments: Long.seeds(0, 40))
    func forged(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        var dead = DeadDocuments(documents: 200)
        for _ in 0..<maker.below(50) { _ = dead.insert(UInt32(maker.below(200))) }
        let summary = SegmentSummary(
            fileID: 1, documents: 3, bytes: 527, minTime: 1, maxTime: 5,
            conversations: .any)
        let manifest = SearchManifest(
            generation: 5, nextFileID: 9, cursor: [1, 2, 3],
            entries: [.init(summary: summary, deadVersion: 0, dead: 0)])
        func change(_ bytes: [UInt8], _ seed: (Int) -> UInt64) -> [UInt8] {
            var body = Array(bytes.dropLast(8))
            for _ in 0...maker.below(3) {
                switch maker.below(3) {
                case 0: body[maker.below(body.count)] = UInt8(maker.below(256))
                case 1: body.append(UInt8(maker.below(256)))
                default: if body.count > 1 { body.removeLast() }
                }
            }
            var writer = ByteWriter()
            writer.write(raw: body)
            writer.write(fixed: Checksum.xxh3(body, seed: seed(body.count + 8)))
            return writer.bytes
        }
        for _ in 0..<300 {
            let list = change(DeadFormat.encode(dead, segment: 1, version: 2)) { _ in
                Checksum.seed(file: 1, offset: 2)
            }
            if let read = try? DeadFormat.decode(list, segment: 1, version: 2, documents: 200) {
                let again = DeadFormat.encode(read, segment: 1, version: 2)
                #expect(
                    try DeadFormat.decode(again, segment: 1, version: 2, documents: 200) == read,
                    "seed \(seed)")
            }
            let bytes = change(SearchManifestFormat.encode(manifest, tokens: Segments.tokens)) {
                Checksum.seed(file: 0, offset: UInt64($0))
            }
            if let (read, tokens) = try? SearchManifestFormat.decode(bytes) {
                #expect(
                    SearchManifestFormat.encode(read, tokens: tokens) == bytes, "seed \(seed)")
            }
        }
    }

    @Test("lengths up to forty are exact, longer ones within a sixteenth")
    func lengths() {
        for length in 0...5000 {
            let back = Int(LengthCode.lengths[Int(LengthCode.encode(length))])
            #expect(back <= length && back * 17 >= length * 16 - 17, "\(length)")
            if length <= 40 { #expect(back == length) }
        }
        #expect(LengthCode.encode(.max) == 255 && LengthCode.encode(-1) == 0)
    }

    @Test("numbers come back from lanes and runs of any width")
    func packing() {
        var generator = SplitMix64(seed: 5)
        for width in 0...32 {
            let mask = width == 32 ? UInt32.max : (1 << UInt32(width)) - 1
            let numbers = (0..<128).map { _ in
                UInt32(truncatingIfNeeded: generator.next()) & mask
            }
            var bytes: [UInt8] = []
            numbers.withUnsafeBufferPointer {
                if let base = $0.baseAddress {
                    BitPacking.appendLanes(base, width: width, to: &bytes)
                }
            }
            #expect(bytes.count == 16 * width)
            bytes += [UInt8](repeating: 0xAA, count: BitPacking.slack)
            // Added up, as far as the numbers of documents go.
            var sum = generator.next() % 2 == 0 ? UInt64.max : generator.next() % (1 << 20)
            let before = UInt32(truncatingIfNeeded: sum)
            let sums = numbers.map { gap in
                sum = sum &+ UInt64(gap) &+ 1
                return sum
            }
            for last in [UInt32(truncatingIfNeeded: sum), UInt32(truncatingIfNeeded: sum) &- 1] {
                var back = [UInt32](repeating: 0, count: 128)
                let isSound = back.withUnsafeMutableBufferPointer { target in
                    bytes.withUnsafeBytes { source in
                        guard let from = source.baseAddress, let to = target.baseAddress else {
                            return false
                        }
                        return BitPacking.unpackAscending(
                            from, width: width, after: before, last: last, into: to)
                    }
                }
                #expect(back == sums.map { UInt32(truncatingIfNeeded: $0) }, "width \(width)")
                #expect(isSound == (UInt64(last) == sum), "width \(width)")
            }
        }
        for width in Array(0...56) + [64] {
            let mask = width == 64 ? UInt64.max : (1 << UInt64(width)) - 1
            let numbers = (0..<77).map { _ in generator.next() & mask }
            var bytes: [UInt8] = []
            numbers.withUnsafeBufferPointer {
                BitPacking.appendRun($0, width: width, to: &bytes)
            }
            #expect(bytes.count == BitPacking.runBytes(count: 77, width: width))
            bytes += [UInt8](repeating: 0xAA, count: BitPacking.slack)
            bytes.withUnsafeBytes { source in
                guard let base = source.baseAddress else { return }
                for index in numbers.indices {
                    #expect(BitPacking.read(base, index, width: width) == numbers[index])
                }
            }
        }
    }

    @Test("a block is searched as one by one")
    func searching() {
        var generator = SplitMix64(seed: 6)
        for spread in [1, 2, 7, 1000, 8_000_000] as [UInt64] {
            var number: UInt64 = generator.next() % spread
            let numbers = (0..<128).map { _ in
                number += 1 + generator.next() % spread
                return UInt32(number)
            }
            let targets = numbers + numbers.map { $0 + 1 } + [0, 1, UInt32(Int32.max)]
            numbers.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return }
                for target in targets {
                    let expected = numbers.filter { $0 < target }.count
                    #expect(BitPacking.countBelow(target, base) == expected, "\(target)")
                }
            }
        }
    }
}
