import Bytes

/// What a token stands for; the index does not keep it, a query is planned by it.
enum TokenKind {
    /// A word, a part of an identifier, a number, an emoji.
    case word
    /// Two characters of a run without spaces.
    case pair
    /// The last character of a run of several.
    case last
    /// The only character of a run.
    case lone
    /// All of a run of Hangul, at the position of its last character.
    case whole
}

/// Turns text into the terms of the index: one implementation for messages and for queries. The
/// rules, with an example and what they cannot do, are in docs/formats/search-tokens.md; a change
/// that gives any text other terms is a new `version`.
///
/// ASCII words are folded in one loop. From the first other byte of a token on, the text goes
/// scalar by scalar through the tables: a scalar is mapped (NFKC_Casefold, decomposed), and what
/// comes out is stripped, composed and gathered into the open token. Nothing is allocated but the
/// buffer of `init`, and no text makes the work more than linear: of a word the first 1,020 bytes
/// or so are looked at, of a character 16 marks.
package struct Tokenizer: ~Copyable {
    /// The number of these rules.
    package static let version: UInt16 = 1
    /// The version of Unicode of the tables: 15_00_00 is 15.0.0.
    package static let unicodeVersion = UnicodeClasses.version
    /// The longest token in bytes. A longer one is its beginning, "~" and 16 hexadecimal digits.
    package static let tokenBytesMax = 64
    /// The tokens of one text; what follows them is not indexed.
    package static let tokensMax = 4096

    static let marksMax = 16
    static let bufferBytes = 1024
    /// Runs move to the buffer's beginning from here on: two characters of 68 bytes fit behind it.
    static let runBytesMax = 768

    typealias Sink = (TokenKind, UnsafeRawBufferPointer, UInt32, Int, Int) -> Void

    /// The open token, folded, and behind it the place where a token is cut to its longest.
    let buffer: UnsafeMutablePointer<UInt8>
    var token = OpenToken()
    private var position: UInt32 = 0
    private var count = 0

    /// A tokenizer for any number of texts, one after the other.
    package init() {
        buffer = .allocate(capacity: Self.bufferBytes + Self.tokenBytesMax)
        buffer.initialize(repeating: 0, count: Self.bufferBytes + Self.tokenBytesMax)
    }

    deinit {
        buffer.deallocate()
    }

    /// Calls `body` for each token of `text`: its bytes (1 to 64, valid only inside the call), its
    /// position, and the bytes of the text that it comes from, `start ..< end`. Positions never
    /// fall and are dense from 0; the spaced Korean word shares that of its last character. Bytes
    /// that are no UTF-8 separate tokens.
    package mutating func tokenize(
        _ text: UnsafeRawBufferPointer,
        _ body: (
            _ token: UnsafeRawBufferPointer, _ position: UInt32, _ start: Int, _ end: Int
        ) -> Void
    ) {
        scan(text) { body($1, $2, $3, $4) }
    }

    /// `tokenize` with what each token stands for; inlined, so that `tokenize` pays nothing for it.
    @inline(__always)
    mutating func scan(_ text: UnsafeRawBufferPointer, _ sink: Sink) {
        position = 0
        count = 0
        token = OpenToken()
        let ascii = ScalarTables.ascii
        var offset = 0
        while offset < text.count, count < Self.tokensMax {
            var folded = ascii[Int(text[offset])]
            if folded < Self.wordBytes.lowerBound {
                offset &+= 1
                continue
            }
            let start = offset
            let limit = min(text.count, start &+ Self.tokenBytesMax)
            while folded <= Self.wordBytes.upperBound {
                buffer[offset &- start] = folded
                offset &+= 1
                if offset == limit { break }
                folded = ascii[Int(text[offset])]
                if folded < Self.wordBytes.lowerBound { break }
            }
            if offset < text.count, ascii[Int(text[offset])] >= Self.wordBytes.lowerBound {
                offset = scanScalars(text, from: start, sink)
            } else {
                emit(.word, 0..<(offset &- start), start, offset, sink)
            }
        }
    }

    /// What `ScalarTables.ascii` makes of letters and digits.
    static let wordBytes: ClosedRange<UInt8> = 0x30...0x7A

    /// Gives a token of the buffer, cut to the longest.
    mutating func emit(
        _ kind: TokenKind, _ range: Range<Int>, _ start: Int, _ end: Int, _ sink: Sink
    ) {
        guard count < Self.tokensMax else { return }
        count &+= 1
        var bytes = UnsafeRawBufferPointer(start: buffer + range.lowerBound, count: range.count)
        if range.count > Self.tokenBytesMax { bytes = cut(bytes) }
        if kind == .whole {
            sink(kind, bytes, position &- 1, start, end)
        } else {
            sink(kind, bytes, position, start, end)
            position &+= 1
        }
    }

    /// The beginning up to a scalar's end, "~", which no other token holds, and the hash of all.
    private func cut(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let short = buffer + Self.bufferBytes
        var size = Self.tokenBytesMax - 17
        while bytes[size] & 0xC0 == 0x80 { size &-= 1 }
        for index in 0..<size { short[index] = bytes[index] }
        short[size] = UInt8(ascii: "~")
        var hash = Checksum.xxh3(bytes)
        for index in 1...16 {
            hash = hash &<< 4 | hash &>> 60
            let digit = UInt8(truncatingIfNeeded: hash & 15)
            short[size &+ index] = digit < 10 ? 0x30 + digit : 0x57 + digit
        }
        return UnsafeRawBufferPointer(start: short, count: size &+ 17)
    }
}
