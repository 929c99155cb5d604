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
        insert(tombstone.lower, tombstone.upper, [tombstone.sequence])
    }

    /// Adds all fragments of `other`.
    mutating func insert(_ other: RangeTombstoneSet) {
        for fragment in other.fragments {
            insert(fragment.lower, fragment.upper, fragment.sequences)
        }
    }

    @discardableResult
    private mutating func insert(
        _ lower: [UInt8], _ upper: [UInt8], _ sequences: [SequenceNumber]
    ) -> Int {
        guard KeyOrder.less(lower, upper) else { return 0 }
        let first = firstIndex(endingAfter: lower)
        var index = first
        var cursor = lower
        var pieces: [Fragment] = []
        var kept = 0
        while index < fragments.count, KeyOrder.less(fragments[index].lower, upper) {
            // Moved out, so that a long history grows in place and is not copied.
            var old = Fragment(lower: [], upper: [], sequences: [])
            swap(&old, &fragments[index])
            kept -= old.sequences.count
            if KeyOrder.less(cursor, old.lower) {
                add(Fragment(lower: cursor, upper: old.lower, sequences: sequences), to: &pieces)
                cursor = old.lower
            } else if KeyOrder.less(old.lower, cursor) {
                add(
                    Fragment(lower: old.lower, upper: cursor, sequences: old.sequences), to: &pieces
                )
            }
            let end = KeyOrder.lesser(old.upper, upper)
            let rest = KeyOrder.less(end, old.upper) ? old.sequences : nil
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
        if KeyOrder.less(cursor, upper) {
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
            fragments.last.map { !KeyOrder.less(fragment.lower, $0.upper) } ?? true,
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
            let newest = fragment.newest(at: .max)
            if let last = result.last, last.upper == fragment.lower, last.sequence == newest {
                result[result.count - 1] = RangeTombstone(
                    lower: last.lower, upper: fragment.upper, sequence: last.sequence)
            } else {
                result.append(
                    RangeTombstone(
                        lower: fragment.lower, upper: fragment.upper, sequence: newest))
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
