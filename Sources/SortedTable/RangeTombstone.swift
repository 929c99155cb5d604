internal import Bytes

/// A delete of all user keys in `lower ..< upper` written before `sequence`.
///
/// Tables keep their tombstones as they were given, sorted by (lower, sequence descending, upper);
/// what they hide is decided by the tree.
package struct RangeTombstone: Equatable, Sendable {
    /// The first user key that is gone.
    package var lower: [UInt8]
    /// The first user key behind the range.
    package var upper: [UInt8]
    /// Rows of the range with a lower sequence number are hidden.
    package var sequence: SequenceNumber

    /// A tombstone over `lower ..< upper`.
    package init(lower: [UInt8], upper: [UInt8], sequence: SequenceNumber) {
        self.lower = lower
        self.upper = upper
        self.sequence = sequence
    }
}

extension RangeTombstone {
    /// The order in the file.
    static func precedes(_ left: RangeTombstone, _ right: RangeTombstone) -> Bool {
        if left.lower != right.lower { return left.lower.lexicographicallyPrecedes(right.lower) }
        if left.sequence != right.sequence { return left.sequence > right.sequence }
        return left.upper.lexicographicallyPrecedes(right.upper)
    }

    static func encode(_ tombstones: [RangeTombstone]) -> [UInt8] {
        var writer = ByteWriter(capacity: tombstones.count * 64)
        writer.write(varint: UInt64(tombstones.count))
        for tombstone in tombstones {
            writer.write(prefixed: tombstone.lower)
            writer.write(prefixed: tombstone.upper)
            writer.write(varint: tombstone.sequence)
        }
        return writer.bytes
    }

    static func decode(_ content: UnsafeRawBufferPointer) throws(DecodeError) -> [RangeTombstone] {
        var reader = ByteReader(content)
        // Each takes three bytes at least, so a rotten count cannot reserve much.
        let count = try reader.readCount(max: content.count / 3)
        var tombstones: [RangeTombstone] = []
        tombstones.reserveCapacity(count)
        for _ in 0..<count {
            let start = reader.offset
            let lower = try reader.readPrefixedBytes()
            let upper = try reader.readPrefixedBytes()
            let tombstone = RangeTombstone(
                lower: lower, upper: upper, sequence: try reader.readVarint())
            guard lower.lexicographicallyPrecedes(upper),
                tombstone.sequence <= InternalKey.sequenceMax,
                tombstones.last.map({ !precedes(tombstone, $0) }) ?? true
            else { throw .invalid(offset: start, what: "range tombstone") }
            tombstones.append(tombstone)
        }
        try reader.expectEnd()
        return tombstones
    }
}

extension TableProperties {
    /// Takes a range tombstone into bounds and sequence numbers.
    mutating func widen(by tombstone: RangeTombstone) {
        let low = InternalKey.make(
            userKey: tombstone.lower, sequence: tombstone.sequence, kind: .rangeDelete)
        let high = InternalKey.make(
            userKey: tombstone.upper, sequence: InternalKey.sequenceMax, kind: .rangeDelete)
        if smallest.isEmpty || InternalKey.compare(low, smallest) < 0 { smallest = low }
        if largest.isEmpty || InternalKey.compare(high, largest) > 0 { largest = high }
        minSequence = min(minSequence, tombstone.sequence)
        maxSequence = max(maxSequence, tombstone.sequence)
    }
}
