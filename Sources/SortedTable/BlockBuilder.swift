/// Builds the content of a row block; see `TableFormat`. Keys must be added in order.
struct BlockBuilder: ~Copyable {
    private var rows: RawBuilder
    private var offsets: [UInt32] = []
    private var baseStart = 0
    private var baseBytes = 0
    private let hasBuckets: Bool
    /// Hash and first row of each user key, for the buckets.
    private var keys: [(hash: UInt64, row: Int)] = []

    init(capacity: Int, hasBuckets: Bool = false) {
        rows = RawBuilder(capacity: capacity)
        self.hasBuckets = hasBuckets
    }

    var rowCount: Int { offsets.count }
    var isEmpty: Bool { offsets.isEmpty }
    /// Bytes of the content if it were finished now (with short offsets).
    var contentBytes: Int {
        rows.count + offsets.count * 2 + 4
            + (isBucketed ? RowBuckets.count(rows: offsets.count) : 0)
    }

    private var isBucketed: Bool { hasBuckets && offsets.count <= RowBuckets.rowsMax }

    /// Adds a row of a block with buckets.
    ///
    /// - Parameters:
    ///   - hash: of the user key.
    ///   - isSame: whether the row before has the same user key.
    @inline(__always)
    mutating func add(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64, _ value: UnsafeRawBufferPointer,
        hash: UInt64, isSame: Bool
    ) {
        if !isSame || isEmpty { keys.append((hash, offsets.count)) }
        add(userKey, trailer, value)
    }

    /// Adds a row: a user key, a trailer, and a value.
    @inline(__always)
    mutating func add(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64, _ value: UnsafeRawBufferPointer
    ) {
        let isBase = offsets.count & (TableFormat.bundleRows - 1) == 0
        offsets.append(UInt32(truncatingIfNeeded: rows.count))
        rows.reserve(userKey.count + value.count + 16)
        if isBase {
            rows.append(varint: 0)
            rows.append(varint: userKey.count)
            baseStart = rows.count
            baseBytes = userKey.count
            rows.append(userKey)
        } else {
            let base = UnsafeRawBufferPointer(start: rows.base + baseStart, count: baseBytes)
            let shared = sharedPrefix(base, userKey)
            rows.append(varint: shared)
            rows.append(varint: userKey.count - shared)
            rows.append(UnsafeRawBufferPointer(rebasing: userKey[shared...]))
        }
        rows.append(fixed: trailer)
        rows.append(value)
    }

    /// Adds the offsets and the count and lets `body` have the content; then the builder is empty.
    mutating func finish<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let isWide = rows.count > Int(UInt16.max)
        rows.reserve(offsets.count * 4 + 4)
        for offset in offsets {
            if isWide {
                rows.append(fixed: offset)
            } else {
                rows.append(fixed: UInt16(truncatingIfNeeded: offset))
            }
        }
        var word = UInt32(truncatingIfNeeded: offsets.count) | (isWide ? 1 << 31 : 0)
        if isBucketed {
            RowBuckets.make(keys, rows: offsets.count).withUnsafeBytes { rows.append($0) }
            word |= RowBuckets.flag
        }
        rows.append(fixed: word)
        defer {
            keys.removeAll(keepingCapacity: true)
            rows.removeAll()
            offsets.removeAll(keepingCapacity: true)
        }
        return try body(rows.bytes)
    }
}
