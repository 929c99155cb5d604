import SortedTable

/// Range tombstones cut into disjoint, sorted fragments, each with the sequences that cover it.
///
/// Overlapping range deletes would make every lookup visit all of them; fragments need one binary
/// search. A set is a value: a reader keeps the one it took while the writer changes its own.
struct RangeTombstoneSet: Sendable, Equatable {
    /// A piece of key space and what deleted it.
    struct Fragment: Sendable, Equatable {
        var lower: KeyBound
        /// Exclusive.
        var upper: KeyBound
        /// Newest last, never empty.
        var sequences: [SequenceNumber]
    }

    /// Disjoint, ascending.
    private(set) var fragments: [Fragment] = []
    /// False: only the newest sequence of a piece is kept, as in tables.
    let keepsHistory: Bool

    init(keepsHistory: Bool) {
        self.keepsHistory = keepsHistory
    }

    /// A set of the newest tombstones among `tombstones`.
    init(_ tombstones: some Sequence<RangeTombstone>) {
        self.init(keepsHistory: false)
        for tombstone in tombstones { insert(tombstone) }
    }

    var isEmpty: Bool { fragments.isEmpty }

    /// Adds one tombstone; nothing when its range is empty. Answers how many sequences are kept
    /// more than before: with history, one for each piece that the range covers.
    @discardableResult
    mutating func insert(_ tombstone: RangeTombstone) -> Int {
        insert(KeyBound(tombstone.lower), KeyBound(tombstone.upper), [tombstone.sequence])
    }

    /// Adds all fragments of `other`.
    mutating func insert(_ other: RangeTombstoneSet) {
        for fragment in other.fragments {
            insert(fragment.lower, fragment.upper, fragment.sequences)
        }
    }

    @discardableResult
    private mutating func insert(
        _ lower: KeyBound, _ upper: KeyBound, _ sequences: [SequenceNumber]
    ) -> Int {
        guard lower < upper else { return 0 }
        let first = firstIndex(endingAfter: lower.key)
        var index = first
        var cursor = lower
        var pieces: [Fragment] = []
        var kept = 0
        while index < fragments.count, fragments[index].lower < upper {
            // Moved out, so that a long history grows in place and is not copied.
            var old = Fragment(lower: cursor, upper: cursor, sequences: [])
            swap(&old, &fragments[index])
            kept -= old.sequences.count
            if cursor < old.lower {
                add(Fragment(lower: cursor, upper: old.lower, sequences: sequences), to: &pieces)
                cursor = old.lower
            } else if old.lower < cursor {
                add(
                    Fragment(lower: old.lower, upper: cursor, sequences: old.sequences), to: &pieces
                )
            }
            let end = min(old.upper, upper)
            let rest = end < old.upper ? old.sequences : nil
            let oldUpper = old.upper
            merge(sequences, into: &old.sequences)
            (old.lower, old.upper) = (cursor, end)
            add(old, to: &pieces)
            if let rest {
                add(Fragment(lower: end, upper: oldUpper, sequences: rest), to: &pieces)
            }
            cursor = end
            index += 1
        }
        if cursor < upper {
            add(Fragment(lower: cursor, upper: upper, sequences: sequences), to: &pieces)
        }
        kept += pieces.reduce(0) { $0 + $1.sequences.count }
        fragments.replaceSubrange(first..<index, with: pieces)
        return kept
    }

    /// Adds a piece behind the others. Without history neighbours of one sequence are one piece, so
    /// that range deletes that start at one key do not leave a fragment each.
    private func add(_ piece: Fragment, to pieces: inout [Fragment]) {
        if !keepsHistory, let last = pieces.last, last.upper == piece.lower,
            last.sequences == piece.sequences
        {
            pieces[pieces.count - 1].upper = piece.upper
        } else {
            pieces.append(piece)
        }
    }

    /// Appends a fragment that lies after all others.
    mutating func appendLast(_ fragment: Fragment) {
        precondition(
            fragments.last.map { fragment.lower >= $0.upper } ?? true,
            "fragments must ascend")
        fragments.append(fragment)
    }

    private func merge(_ added: [SequenceNumber], into all: inout [SequenceNumber]) {
        guard keepsHistory else {
            all = [max(all[0], added[0])]
            return
        }
        for sequence in added {
            // Nearly always the newest of all.
            let place = all.lastIndex { $0 <= sequence }
            if let place, all[place] == sequence { continue }
            all.insert(sequence, at: place.map { $0 + 1 } ?? 0)
        }
    }

    /// Index of the first fragment whose upper bound lies after `key`.
    func firstIndex(endingAfter key: [UInt8]) -> Int {
        key.withUnsafeBytes { firstIndex(endingAfter: $0) }
    }

    /// Index of the first fragment whose upper bound lies after `key`.
    func firstIndex(endingAfter key: UnsafeRawBufferPointer) -> Int {
        let head = KeyHead(key)
        return fragments.withUnsafeBufferPointer { Self.firstIndex($0, endingAfter: key, head) }
    }

    private static func firstIndex(
        _ fragments: UnsafeBufferPointer<Fragment>, endingAfter key: UnsafeRawBufferPointer,
        _ head: KeyHead
    ) -> Int {
        var low = 0
        var high = fragments.count
        while low < high {
            let middle = (low + high) / 2
            if fragments[middle].upper.isAbove(key, head) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    /// The fragment that holds `key`, or nil. Scans move in one direction, so the last answer is
    /// tried first.
    ///
    /// - Parameter hint: the fragment that the last look-up hit or stood before.
    func index(covering key: UnsafeRawBufferPointer, hint: inout Int) -> Int? {
        let head = KeyHead(key)
        return fragments.withUnsafeBufferPointer { fragments in
            let isNear =
                hint < fragments.count && fragments[hint].upper.isAbove(key, head)
                && (hint == 0 || !fragments[hint - 1].upper.isAbove(key, head))
            if !isNear { hint = Self.firstIndex(fragments, endingAfter: key, head) }
            let isHit = hint < fragments.count && !fragments[hint].lower.isAbove(key, head)
            return isHit ? hint : nil
        }
    }

    /// The fragment that holds `key`, or nil.
    func index(covering key: UnsafeRawBufferPointer) -> Int? {
        var hint = Int.max
        return index(covering: key, hint: &hint)
    }

    /// The newest tombstone over `key` at or below `sequence`; 0 when there is none.
    func newest(
        covering key: UnsafeRawBufferPointer, at sequence: SequenceNumber
    ) -> SequenceNumber {
        guard let index = index(covering: key) else { return 0 }
        return newest(of: index, at: sequence)
    }

    /// The newest sequence of a fragment at or below `sequence`, or 0.
    func newest(of index: Int, at sequence: SequenceNumber) -> SequenceNumber {
        fragments.withUnsafeBufferPointer { $0[index].newest(at: sequence) }
    }

    /// True when a walk that came from within the fragment has not left it at `key`.
    func reaches(_ key: UnsafeRawBufferPointer, _ index: Int, isForward: Bool) -> Bool {
        fragments.withUnsafeBufferPointer {
            isForward ? $0[index].upper.isAbove(key) : !$0[index].lower.isAbove(key)
        }
    }

    /// The newest tombstone of each piece as a table stores them: neighbours of equal sequence
    /// joined, ascending.
    var newestTombstones: [RangeTombstone] {
        var result: [RangeTombstone] = []
        for fragment in fragments {
            let newest = fragment.newest(at: .max)
            if let last = result.last, last.upper == fragment.lower.key, last.sequence == newest {
                result[result.count - 1] = RangeTombstone(
                    lower: last.lower, upper: fragment.upper.key, sequence: last.sequence)
            } else {
                result.append(
                    RangeTombstone(
                        lower: fragment.lower.key, upper: fragment.upper.key, sequence: newest))
            }
        }
        return result
    }
}

extension RangeTombstoneSet.Fragment {
    /// The newest sequence at or below `sequence`, or 0.
    func newest(at sequence: SequenceNumber) -> SequenceNumber {
        sequences.last { $0 <= sequence } ?? 0
    }
}

/// The first 16 bytes of a key as numbers that order as they do; missing ones are zero.
struct KeyHead: Equatable, Sendable {
    private let high: UInt64
    private let low: UInt64

    init(_ key: UnsafeRawBufferPointer) {
        high = Self.word(key, 0)
        low = Self.word(key, 8)
    }

    private static func word(_ key: UnsafeRawBufferPointer, _ start: Int) -> UInt64 {
        if key.count >= start + 8 {
            return UInt64(bigEndian: key.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
        var word: UInt64 = 0
        for index in start..<(start + 8) {
            word = word << 8 | (index < key.count ? UInt64(key[index]) : 0)
        }
        return word
    }

    /// Below, at or above zero as it sorts before, with or after `other`.
    @inline(__always)
    func compare(_ other: KeyHead) -> Int {
        if high != other.high { return high < other.high ? -1 : 1 }
        return low == other.low ? 0 : low < other.low ? -1 : 1
    }
}

/// A bound of a range of keys. Its head decides most comparisons, which then touch no array.
struct KeyBound: Comparable, Sendable {
    let key: [UInt8]
    private let head: KeyHead

    init(_ key: [UInt8]) {
        self.key = key
        head = key.withUnsafeBytes { KeyHead($0) }
    }

    /// True when it sorts after a key with this head.
    @inline(__always)
    func isAbove(_ key: UnsafeRawBufferPointer, _ head: KeyHead) -> Bool {
        let difference = self.head.compare(head)
        return difference == 0 ? KeyOrder.compare(self.key, key) > 0 : difference > 0
    }

    /// True when it sorts after a key.
    @inline(__always)
    func isAbove(_ key: UnsafeRawBufferPointer) -> Bool { isAbove(key, KeyHead(key)) }

    static func < (left: KeyBound, right: KeyBound) -> Bool {
        let difference = left.head.compare(right.head)
        return difference == 0 ? KeyOrder.less(left.key, right.key) : difference < 0
    }
}
