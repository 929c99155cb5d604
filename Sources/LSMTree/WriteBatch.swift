/// Rows that become visible, and durable, together.
///
/// One flat buffer, no object per row. Row by row, in the order they were added:
///
///     u8       kind: 1 delete, 2 put, 3 range delete
///     u8       keyspace
///     varint   length of the key, then the key (range delete: the lower bound)
///     varint   length of the value, then the value (put);
///              length of the upper bound, then the bound (range delete); absent for delete
///
/// The bytes are the same on every replica that applies the same commands, so their hash can be
/// compared between replicas. A later row of a batch wins over an earlier one.
package struct WriteBatch: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Rows in the batch.
    package private(set) var count = 0
    /// Range deletes among them.
    package private(set) var rangeDeletes = 0

    /// An empty batch.
    package init() {}

    /// Bytes of the flat form.
    package var byteCount: Int { bytes.count }
    /// True without rows.
    package var isEmpty: Bool { count == 0 }

    /// Forgets all rows.
    package mutating func removeAll(keepingCapacity: Bool = true) {
        bytes.removeAll(keepingCapacity: keepingCapacity)
        count = 0
        rangeDeletes = 0
    }

    /// Sets `key` to `value`.
    package mutating func put(_ keyspace: Keyspace, key: [UInt8], value: [UInt8]) {
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { put(keyspace, key: key, value: $0) }
        }
    }

    /// Sets `key` to `value`.
    package mutating func put(
        _ keyspace: Keyspace, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) {
        precondition(value.count <= TreeOptions.valueBytesMax, "value too long")
        begin(.put, keyspace, key)
        append(value)
    }

    /// Removes `key`, which need not exist.
    package mutating func delete(_ keyspace: Keyspace, key: [UInt8]) {
        key.withUnsafeBytes { delete(keyspace, key: $0) }
    }

    /// Removes `key`, which need not exist.
    package mutating func delete(_ keyspace: Keyspace, key: UnsafeRawBufferPointer) {
        begin(.delete, keyspace, key)
    }

    /// Removes every key in `lower ..< upper`; nothing when the range is empty.
    package mutating func deleteRange(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8]
    ) {
        lower.withUnsafeBytes { lower in
            upper.withUnsafeBytes { deleteRange(keyspace, from: lower, to: $0) }
        }
    }

    /// Removes every key in `lower ..< upper`; nothing when the range is empty.
    package mutating func deleteRange(
        _ keyspace: Keyspace, from lower: UnsafeRawBufferPointer, to upper: UnsafeRawBufferPointer
    ) {
        guard KeyOrder.compare(lower, upper) < 0 else { return }
        precondition(upper.count <= TreeOptions.keyBytesMax, "key too long")
        begin(.rangeDelete, keyspace, lower)
        rangeDeletes += 1
        append(upper)
    }

    /// Adds all rows of `other` after those here.
    package mutating func append(_ other: WriteBatch) {
        bytes.append(contentsOf: other.bytes)
        count += other.count
        rangeDeletes += other.rangeDeletes
    }

    /// The flat form, e.g. for a state hash.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try bytes.withRaw(body)
    }

    /// What a row does.
    package enum Kind: UInt8, Sendable {
        /// The key is gone.
        case delete = 1
        /// The key has the row's value.
        case put = 2
        /// The keys of a range are gone.
        case rangeDelete = 3
    }

    /// One row, as bytes that live only during the visit.
    package struct Row {
        /// What the row does.
        package let kind: Kind
        /// Where.
        package let keyspace: Keyspace
        /// The key; a range delete's lower bound.
        package let key: UnsafeRawBufferPointer
        /// The value; a range delete's exclusive upper bound; empty for a delete.
        package let value: UnsafeRawBufferPointer
    }

    /// Visits the rows in their order.
    package func forEach(_ body: (Row) -> Void) {
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset < raw.count {
                // The buffer was built here, so its lengths are right by construction.
                let kind = Kind(rawValue: raw[offset]) ?? .delete
                let keyspace = Keyspace(rawValue: raw[offset + 1])
                offset += 2
                let key = Self.prefixed(raw, &offset)
                let value =
                    kind == .delete
                    ? UnsafeRawBufferPointer(start: nil, count: 0) : Self.prefixed(raw, &offset)
                body(Row(kind: kind, keyspace: keyspace, key: key, value: value))
            }
        }
    }

    private mutating func begin(
        _ kind: Kind, _ keyspace: Keyspace, _ key: UnsafeRawBufferPointer
    ) {
        precondition(key.count <= TreeOptions.keyBytesMax, "key too long")
        bytes.append(kind.rawValue)
        bytes.append(keyspace.rawValue)
        append(key)
        count += 1
    }

    private mutating func append(_ part: UnsafeRawBufferPointer) {
        var rest = part.count
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
        bytes.append(contentsOf: part)
    }

    @inline(__always)
    private static func prefixed(
        _ raw: UnsafeRawBufferPointer, _ offset: inout Int
    ) -> UnsafeRawBufferPointer {
        var length = 0
        var shift = 0
        while true {
            let byte = raw[offset]
            offset &+= 1
            length |= Int(byte & 0x7f) &<< shift
            if byte < 0x80 { break }
            shift &+= 7
        }
        let part = UnsafeRawBufferPointer(rebasing: raw[offset..<(offset + length)])
        offset += length
        return part
    }
}
