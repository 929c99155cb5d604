import SortedTable

/// Range tombstones cut into disjoint, sorted fragments, each with the sequences that cover it.
///
/// Overlapping range deletes would make every lookup visit all of them; fragments need one binary
/// search. A set is a value: a reader keeps the one it took while the writer changes its own.
struct RangeTombstoneSet: Sendable, Equatable {
    /// A piece of key space and what deleted it.
    struct Fragment: Sendable, Equatable {
        var lower: [UInt8]
        /// Exclusive.
        var upper: [UInt8]
        /// Newest first, never empty.
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

    /// Adds one tombstone; nothing when its range is empty.
    mutating func insert(_ tombstone: RangeTombstone) {
        insert(tombstone.lower, tombstone.upper, [tombstone.sequence])
    }

    /// Adds all fragments of `other`.
    mutating func insert(_ other: RangeTombstoneSet) {
        for fragment in other.fragments {
            insert(fragment.lower, fragment.upper, fragment.sequences)
        }
    }

    private mutating func insert(
        _ lower: [UInt8], _ upper: [UInt8], _ sequences: [SequenceNumber]
    ) {
        guard KeyOrder.less(lower, upper) else { return }
        let first = firstIndex(endingAfter: lower)
        var index = first
        var cursor = lower
        var pieces: [Fragment] = []
        while index < fragments.count, KeyOrder.less(fragments[index].lower, upper) {
            let old = fragments[index]
            if KeyOrder.less(cursor, old.lower) {
                pieces.append(Fragment(lower: cursor, upper: old.lower, sequences: sequences))
                cursor = old.lower
            } else if KeyOrder.less(old.lower, cursor) {
                pieces.append(
                    Fragment(lower: old.lower, upper: cursor, sequences: old.sequences))
            }
            let end = KeyOrder.lesser(old.upper, upper)
            let both = merged(old.sequences, sequences)
            pieces.append(Fragment(lower: cursor, upper: end, sequences: both))
            if KeyOrder.less(end, old.upper) {
                pieces.append(Fragment(lower: end, upper: old.upper, sequences: old.sequences))
            }
            cursor = end
            index += 1
        }
        if KeyOrder.less(cursor, upper) {
            pieces.append(Fragment(lower: cursor, upper: upper, sequences: sequences))
        }
        fragments.replaceSubrange(first..<index, with: pieces)
    }

    /// Appends a fragment that lies after all others.
    mutating func appendLast(_ fragment: Fragment) {
        precondition(
            fragments.last.map { !KeyOrder.less(fragment.lower, $0.upper) } ?? true,
            "fragments must ascend")
        fragments.append(fragment)
    }

    private func merged(_ left: [SequenceNumber], _ right: [SequenceNumber]) -> [SequenceNumber] {
        guard keepsHistory else { return [max(left[0], right[0])] }
        var all = left
        for sequence in right where !all.contains(sequence) {
            let place = all.firstIndex { $0 < sequence } ?? all.endIndex
            all.insert(sequence, at: place)
        }
        return all
    }

    /// Index of the first fragment whose upper bound lies after `key`.
    func firstIndex(endingAfter key: [UInt8]) -> Int {
        key.withUnsafeBytes { firstIndex(endingAfter: $0) }
    }

    /// Index of the first fragment whose upper bound lies after `key`.
    func firstIndex(endingAfter key: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = fragments.count
        while low < high {
            let middle = (low + high) / 2
            if KeyOrder.compare(fragments[middle].upper, key) <= 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The fragment that holds `key`, or nil.
    func index(covering key: UnsafeRawBufferPointer) -> Int? {
        let index = firstIndex(endingAfter: key)
        guard index < fragments.count, KeyOrder.compare(fragments[index].lower, key) <= 0 else {
            return nil
        }
        return index
    }

    /// The newest tombstone over `key` at or below `sequence`; 0 when there is none.
    func newest(
        covering key: UnsafeRawBufferPointer, at sequence: SequenceNumber
    ) -> SequenceNumber {
        guard let index = index(covering: key) else { return 0 }
        return fragments[index].newest(at: sequence)
    }

    /// The newest tombstone of each piece as a table stores them: neighbours of equal sequence
    /// joined, ascending.
    var newestTombstones: [RangeTombstone] {
        var result: [RangeTombstone] = []
        for fragment in fragments {
            if let last = result.last, last.upper == fragment.lower,
                last.sequence == fragment.sequences[0]
            {
                result[result.count - 1] = RangeTombstone(
                    lower: last.lower, upper: fragment.upper, sequence: last.sequence)
            } else {
                result.append(
                    RangeTombstone(
                        lower: fragment.lower, upper: fragment.upper,
                        sequence: fragment.sequences[0]))
            }
        }
        return result
    }
}

extension RangeTombstoneSet.Fragment {
    /// The newest sequence at or below `sequence`, or 0.
    func newest(at sequence: SequenceNumber) -> SequenceNumber {
        sequences.first { $0 <= sequence } ?? 0
    }
}
