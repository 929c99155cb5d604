import Bytes

@testable import SearchIndex

/// A message as the model knows it.
struct Message: Equatable {
    var document: SearchDocument
    var words: [String]

    var key: DocumentKey { document.key }

    /// What the index keeps of its length.
    var length: Int { Int(LengthCode.lengths[Int(LengthCode.encode(words.count))]) }

    func positions(of word: String) -> [UInt32] {
        words.indices.filter { words[$0] == word }.map { UInt32($0) }
    }
}

extension SegmentBuilder {
    /// Adds a message, its words at positions 0, 1, 2…
    mutating func put(_ message: Message) {
        put(message.document) { give in
            for (position, word) in message.words.enumerated() {
                Array(word.utf8).withUnsafeBytes { give($0, UInt32(position)) }
            }
        }
    }
}

/// Makes messages out of a seed: few conversations, words with a heavy-tailed law.
struct MessageMaker {
    var generator: SplitMix64
    let conversations: Int
    let senders: Int
    let vocabulary: Int
    private var lastTime: UInt64 = 1_700_000_000_000

    init(seed: UInt64) {
        generator = SplitMix64(seed: seed)
        conversations = 1 + Int(generator.next() % 9)
        senders = 1 + Int(generator.next() % 5)
        vocabulary = 2 + Int(generator.next() % 60)
    }

    mutating func below(_ count: Int) -> Int { Int(generator.next() % UInt64(max(1, count))) }

    static func id(_ number: Int) -> SearchID {
        SearchID(high: SplitMix64.mix(UInt64(number) + 1), low: UInt64(number))
    }

    mutating func word() -> String {
        let rank = min(below(vocabulary), below(vocabulary), below(vocabulary))
        return Self.spelling(rank)
    }

    /// Words that share beginnings.
    static func spelling(_ rank: Int) -> String {
        let letters = Array("abcdefgh")
        var text = ""
        var rest = rank
        repeat {
            text.append(letters[rest % letters.count])
            rest /= letters.count
        } while rest > 0
        return rank % 7 == 3 ? text + text + "ö" : text
    }

    mutating func key() -> DocumentKey {
        DocumentKey(
            conversation: Self.id(below(conversations)), seq: 1 + UInt64(below(4000)))
    }

    mutating func message(_ key: DocumentKey? = nil) -> Message {
        let key = key ?? self.key()
        lastTime += UInt64(below(4)) * 1000
        let longest = below(20) == 0 ? 120 : 12
        let count = below(longest)
        return Message(
            document: SearchDocument(
                key: key, time: lastTime, sender: Self.id(100 + below(senders)),
                flags: DocumentFlags(rawValue: UInt8(below(4) == 0 ? below(16) : 0))),
            words: (0..<count).map { _ in word() })
    }

    /// Messages with different keys, by key.
    mutating func messages(_ count: Int) -> [Message] {
        var byKey: [DocumentKey: Message] = [:]
        for _ in 0..<count {
            let message = message()
            byKey[message.key] = message
        }
        return byKey.values.sorted { $0.key < $1.key }
    }
}

/// Makes segments in memory.
enum Segments {
    static let tokens = TokenVersion(tokenizer: 1, unicode: 0x0F_0000)

    static func bytes(_ messages: [Message], fileID: UInt64 = 7) throws -> [UInt8] {
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        for message in messages { builder.put(message) }
        let file = MemoryFile()
        _ = try builder.write(to: file, fileID: fileID, tokens: tokens)
        return file.bytes
    }

    static func open(_ bytes: [UInt8], fileID: UInt64 = 7) throws -> SegmentReader {
        try SegmentReader.open(file: GuardedFile("test.segment", bytes), fileID: fileID)
    }

    static func reader(_ messages: [Message], fileID: UInt64 = 7) throws -> SegmentReader {
        try open(bytes(messages, fileID: fileID), fileID: fileID)
    }

    /// Makes checksums right again after bytes were changed; nil when the footer's numbers allow
    /// no checksums.
    static func seal(_ changed: [UInt8], fileID: UInt64 = 7) -> [UInt8]? {
        var bytes = changed
        let footerOffset = bytes.count - SegmentFooter.bytes
        guard footerOffset >= 0 else { return nil }
        func word(_ at: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[footerOffset + at + $1]) << UInt64($1 * 8) }
        }
        func put(_ value: UInt64, at offset: Int) {
            for index in 0..<8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
            }
        }
        let body = Int(clamping: word(56))
        guard body <= footerOffset else { return nil }
        let pieces = (body + SegmentFormat.pieceBytes - 1) / SegmentFormat.pieceBytes
        guard footerOffset - body == pieces * 8 else { return nil }
        for piece in 0..<pieces {
            let start = piece * SegmentFormat.pieceBytes
            let end = min(body, start + SegmentFormat.pieceBytes)
            let seed = Checksum.seed(file: fileID, offset: UInt64(start))
            put(Checksum.xxh3(Array(bytes[start..<end]), seed: seed), at: body + piece * 8)
        }
        let tableSeed = Checksum.seed(file: fileID, offset: UInt64(body))
        let table = Checksum.xxh3(Array(bytes[body..<footerOffset]), seed: tableSeed)
        put(table, at: footerOffset + 136)
        let seed = Checksum.seed(file: fileID, offset: UInt64(footerOffset))
        let footer = Array(bytes[footerOffset..<(footerOffset + 144)])
        put(Checksum.xxh3(footer, seed: seed), at: footerOffset + 144)
        return bytes
    }
}

extension SegmentReader {
    /// All documents with their words, read back through the lists.
    func messages() throws -> [Message] {
        var words = [[UInt32: String]](repeating: [:], count: documentCount)
        var iterator = TermIterator(self)
        while try iterator.advance() {
            var cursor = PostingsCursor(iterator.postings, in: self)
            let word = String(decoding: iterator.term, as: UTF8.self)
            while cursor.document != PostingsCursor.end {
                for position in cursor.positions() { words[Int(cursor.document)][position] = word }
                cursor.next()
            }
            if cursor.isRotten {
                throw SearchError.corrupt(file: path, offset: 0, expected: "list", found: word)
            }
        }
        return (0..<UInt32(documentCount)).map { document in
            Message(
                document: self.document(document),
                words: words[Int(document)].sorted { $0.key < $1.key }.map(\.value))
        }
    }
}
