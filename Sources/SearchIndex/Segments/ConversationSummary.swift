internal import Bytes

/// Which conversations a segment may have messages of, small enough to stand in the manifest: who
/// looks for others need not open the segment.
///
/// A filter of Bloom with one bit for each conversation, of which one in eight is set at most while
/// there are few. It errs to one side alone: what it denies is not there.
package struct ConversationSummary: Equatable, Sendable {
    /// One that denies nothing.
    static let any = ConversationSummary(words: [])
    static let bytesMax = 8192
    /// Of more conversations nothing is written down: hardly any would be denied.
    static let conversationsMax = 32_768

    /// The bits: a power of two; none: any conversation may be there.
    let words: [UInt64]

    private init(words: [UInt64]) { self.words = words }

    /// Of the conversations of a segment's table.
    init(table: UnsafeRawBufferPointer) {
        let count = table.count / SegmentFormat.conversationBytes
        if count > Self.conversationsMax {
            self = .any
            return
        }
        var bits = 64
        while bits < count * 8, bits < Self.bytesMax * 8 { bits *= 2 }
        var words = [UInt64](repeating: 0, count: bits / 64)
        for index in 0..<count {
            let at = index * SegmentFormat.conversationBytes
            let id = SearchID(
                high: table.loadUnaligned(fromByteOffset: at, as: UInt64.self),
                low: table.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
            let bit = Int(truncatingIfNeeded: Self.hash(id)) & (bits - 1)
            words[bit >> 6] |= 1 &<< UInt64(bit & 63)
        }
        self.words = words
    }

    /// Of stored words; nil when a segment cannot have such.
    init?(stored words: [UInt64]) {
        let count = words.count
        if count > 0 {
            guard count * 8 <= Self.bytesMax, count & (count - 1) == 0,
                words.contains(where: { $0 != 0 })
            else { return nil }
        }
        self.words = words
    }

    /// False: the segment has no message of the conversation.
    func mayHave(_ id: SearchID) -> Bool { mayHave(hash: Self.hash(id)) }

    /// The same, of a hash that is asked of several segments.
    func mayHave(hash: UInt64) -> Bool {
        if words.isEmpty { return true }
        let bit = Int(truncatingIfNeeded: hash) & (words.count * 64 - 1)
        return words[bit >> 6] &>> UInt64(bit & 63) & 1 == 1
    }

    /// XXH3 of the sixteen bytes of an id.
    static func hash(_ id: SearchID) -> UInt64 {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { Checksum.xxh3($0) }
    }
}
