extension PostingsCursor {
    /// What no document of a stretch of the list exceeds.
    struct Bound {
        /// The last document of the stretch.
        let last: UInt32
        /// Highest frequency; 255 stands for any.
        let frequency: UInt8
        /// Lowest LengthCode of the documents that have the term once, twice, more often; 255 where
        /// there are none.
        let once: UInt8
        let twice: UInt8
        let more: UInt8

        /// Lowest LengthCode of all.
        @inline(__always)
        var shortest: UInt8 { min(once, min(twice, more)) }

        init(last: UInt32, _ bytes: UnsafeRawPointer) {
            self.last = last
            frequency = bytes.load(as: UInt8.self)
            once = bytes.load(fromByteOffset: 1, as: UInt8.self)
            twice = bytes.load(fromByteOffset: 2, as: UInt8.self)
            more = bytes.load(fromByteOffset: 3, as: UInt8.self)
        }

        /// Of documents that nothing is known of.
        init(last: UInt32) {
            self.last = last
            frequency = 255
            once = 0
            twice = 0
            more = 0
        }
    }
}

/// A bound as it is built: see SegmentFormat.
struct PostingsBound {
    private(set) var frequency: UInt8 = 0
    /// Lowest LengthCode of documents that have the term once, twice, more often.
    private var lengths = (once: UInt8.max, twice: UInt8.max, more: UInt8.max)

    var bytes: [UInt8] { [frequency, lengths.once, lengths.twice, lengths.more] }

    /// Of a list without positions the frequency is 0, and lengths are as if it were 1.
    @inline(__always)
    mutating func include(frequency count: Int, lengthCode: UInt8) {
        frequency = max(frequency, UInt8(clamping: count))
        switch count {
        case 0, 1: lengths.once = min(lengths.once, lengthCode)
        case 2: lengths.twice = min(lengths.twice, lengthCode)
        default: lengths.more = min(lengths.more, lengthCode)
        }
    }

    mutating func include(_ other: Self) {
        frequency = max(frequency, other.frequency)
        lengths.once = min(lengths.once, other.lengths.once)
        lengths.twice = min(lengths.twice, other.lengths.twice)
        lengths.more = min(lengths.more, other.lengths.more)
    }
}
