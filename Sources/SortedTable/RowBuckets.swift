/// Buckets behind the offsets of a data block, from which a look-up learns at once in which row a
/// user key stands, or that it does not: where many keys share their first bytes, the heads of rows
/// leave a search with comparisons (``TableBlock/lowerBound(_:_:)``).
///
/// A block of r rows has r * 4 / 3 + 1 buckets of one byte. With `b` the low half of the key's
/// hash, the one its filter takes, and n buckets, the key's is `b * n >> 32`. It says the number of
/// the first row of the one key that has this bucket, or that there is none, or several. Blocks of
/// more than 254 rows have no buckets.
enum RowBuckets {
    static let none: UInt8 = 255
    static let several: UInt8 = 254
    static let rowsMax = 254
    /// Says in the word of the row count that there are buckets.
    static let flag: UInt32 = 1 << 30

    @inline(__always)
    static func count(rows: Int) -> Int { rows &* 4 / 3 &+ 1 }

    @inline(__always)
    static func place(_ hash: UInt64, count: Int) -> Int {
        Int(truncatingIfNeeded: ((hash & 0xFFFF_FFFF) &* UInt64(truncatingIfNeeded: count)) &>> 32)
    }

    /// The buckets of a block.
    ///
    /// - Parameter keys: hash and number of the first row of each user key.
    static func make(_ keys: [(hash: UInt64, row: Int)], rows: Int) -> [UInt8] {
        var buckets = [UInt8](repeating: none, count: count(rows: rows))
        for key in keys {
            let place = place(key.hash, count: buckets.count)
            buckets[place] = buckets[place] == none ? UInt8(clamping: key.row) : several
        }
        return buckets
    }
}

extension TableBlock {
    /// The buckets of a block that has them.
    @inline(__always)
    var buckets: UnsafeRawBufferPointer {
        let count = RowBuckets.count(rows: rowCount)
        return UnsafeRawBufferPointer(start: base + (self.count &- 4 &- count), count: count)
    }

    /// The newest row of a user key at or below a trailer: its own trailer and its value.
    ///
    /// - Parameter hash: of the user key.
    @inline(__always)
    func find(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64, hash: UInt64
    ) -> (trailer: UInt64, value: UnsafeRawBufferPointer)? {
        guard hasBuckets else { return find(userKey, trailer) }
        let buckets = buckets
        let number = buckets[RowBuckets.place(hash, count: buckets.count)]
        if number == RowBuckets.none { return nil }
        if number == RowBuckets.several { return find(userKey, trailer) }
        let row = row(Int(number))
        guard hasUserKey(userKey, row: Int(number), row) else { return nil }
        // A row that is too new has older ones of its key behind it.
        guard row.trailer <= trailer else { return find(userKey, trailer) }
        return (row.trailer, UnsafeRawBufferPointer(start: row.value, count: row.valueBytes))
    }

    /// What is wrong with the buckets of a block whose rows were checked, or nil: a number that is
    /// no row's.
    func checkBuckets() -> BlockProblem? {
        let rows = rowCount
        for (place, number) in buckets.enumerated()
        where Int(number) >= rows && number < RowBuckets.several {
            return BlockProblem(
                offset: count - 4 - buckets.count + place, expected: "a row below \(rows)",
                found: "\(number)")
        }
        return nil
    }
}
