internal import Bytes

/// One row of a row block, as pointers into it.
struct BlockRow {
    /// Bytes of the user key that stand in the bundle's base key.
    let shared: Int
    /// The rest of the user key; the trailer stands behind it.
    let rest: UnsafeRawPointer
    let restBytes: Int
    let value: UnsafeRawPointer
    let valueBytes: Int

    @inline(__always)
    var trailer: UInt64 {
        UInt64(littleEndian: rest.loadUnaligned(fromByteOffset: restBytes, as: UInt64.self))
    }
}

/// Reading the rows of a block that was checked. Every pointer handed out lives as long as the
/// block does.
extension TableBlock {
    @inline(__always)
    private func rowOffset(_ row: Int) -> Int {
        let offsets = base + rowsEnd
        if offsetBytes == 2 {
            return Int(
                UInt16(
                    littleEndian: offsets.loadUnaligned(fromByteOffset: row &<< 1, as: UInt16.self))
            )
        }
        return Int(
            UInt32(littleEndian: offsets.loadUnaligned(fromByteOffset: row &<< 2, as: UInt32.self)))
    }

    /// The row with this number, which must be below ``rowCount``.
    @inline(__always)
    func row(_ number: Int) -> BlockRow {
        let end = number &+ 1 < rowCount ? rowOffset(number &+ 1) : rowsEnd
        var pointer = UnsafeRawPointer(base + rowOffset(number))
        let shared = RowVarint.read(&pointer)
        let restBytes = RowVarint.read(&pointer)
        let value = pointer + restBytes + InternalKey.trailerBytes
        return BlockRow(
            shared: shared, rest: pointer, restBytes: restBytes, value: value,
            valueBytes: UnsafeRawPointer(base + end) - value)
    }

    /// The user key that rows of this row's bundle share the start of.
    @inline(__always)
    func baseKey(ofRow number: Int) -> UnsafeRawBufferPointer {
        var pointer = UnsafeRawPointer(base + rowOffset(number & ~(TableFormat.bundleRows - 1)))
        pointer += 1
        let bytes = RowVarint.read(&pointer)
        return UnsafeRawBufferPointer(start: pointer, count: bytes)
    }

    /// The first row at or above (user key, trailer); ``rowCount`` when all are below.
    @inline(__always)
    func lowerBound(_ userKey: UnsafeRawBufferPointer, _ trailer: UInt64) -> Int {
        let range = headRange(userKey)
        var start = range.lowerBound
        var end = range.upperBound
        if start == end { return start }
        // Rows with equal heads: first find the bundle among them by base keys, then the row.
        let bundleRows = TableFormat.bundleRows
        var low = (start &+ bundleRows &- 1) / bundleRows
        var high = (end &+ bundleRows &- 1) / bundleRows
        while low < high {
            let middle = (low &+ high) &>> 1
            let row = row(middle &* bundleRows)
            let key = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
            let order = OrderedKey.compare(key, userKey)
            if order < 0 || (order == 0 && row.trailer > trailer) {
                low = middle &+ 1
                start = middle &* bundleRows &+ 1
            } else {
                high = middle
                end = middle &* bundleRows
            }
        }
        if start >= end { return end }
        return lowerBound(userKey, trailer, start, end)
    }

    /// The same among rows of one bundle whose base row is known to be below the key.
    ///
    /// A row that shares more with the base than the key does stands on the base's side, below the
    /// key; one that shares less has already left the base upward, above the key.
    @inline(__always)
    private func lowerBound(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64, _ start: Int, _ end: Int
    ) -> Int {
        let common = sharedPrefix(baseKey(ofRow: start), userKey)
        let tail = UnsafeRawBufferPointer(rebasing: userKey[common...])
        var low = start
        var high = end
        while low < high {
            let middle = (low &+ high) &>> 1
            let row = row(middle)
            let isBelow: Bool
            if row.shared == common {
                let rest = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
                let order = OrderedKey.compare(rest, tail)
                isBelow = order < 0 || (order == 0 && row.trailer > trailer)
            } else {
                isBelow = row.shared > common
            }
            if isBelow { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// Whether the row has this user key.
    @inline(__always)
    func hasUserKey(_ userKey: UnsafeRawBufferPointer, row number: Int, _ row: BlockRow) -> Bool {
        guard row.shared &+ row.restBytes == userKey.count else { return false }
        guard let key = userKey.baseAddress else { return true }
        let rest = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
        let tail = UnsafeRawBufferPointer(start: key + row.shared, count: row.restBytes)
        guard OrderedKey.compare(rest, tail) == 0 else { return false }
        if row.shared == 0 { return true }
        if let isSame = startsAsAll(userKey, count: row.shared) { return isSame }
        let head = UnsafeRawBufferPointer(start: key, count: row.shared)
        return sharedPrefix(baseKey(ofRow: number), head) == row.shared
    }

    /// The newest row of a user key at or below a trailer: its own trailer and its value.
    @inline(__always)
    func find(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64
    ) -> (trailer: UInt64, value: UnsafeRawBufferPointer)? {
        if isColumnar {
            let (row, hasKey) = columnLowerBound(userKey, trailer)
            return hasKey ? (columnTrailer(row), columnValue(row)) : nil
        }
        let number = lowerBound(userKey, trailer)
        guard number < rowCount else { return nil }
        let row = row(number)
        guard hasUserKey(userKey, row: number, row) else { return nil }
        return (row.trailer, UnsafeRawBufferPointer(start: row.value, count: row.valueBytes))
    }

    /// Trailer and value of a row, in either kind of block.
    func parts(_ number: Int) -> (trailer: UInt64, value: UnsafeRawBufferPointer) {
        if isColumnar { return (columnTrailer(number), columnValue(number)) }
        let row = row(number)
        return (row.trailer, UnsafeRawBufferPointer(start: row.value, count: row.valueBytes))
    }

    /// The handle at `part` of the value of an index or root row.
    @inline(__always)
    func handle(_ number: Int, part: Int = 0) -> BlockHandle {
        return BlockHandle(at: row(number).value + part &* BlockHandle.storedBytes)
    }

    /// A copy of a row's internal key, for reports and checks.
    func copyKey(_ number: Int) -> [UInt8] {
        if isColumnar { return copyColumnKey(number) }
        let row = row(number)
        var key = [UInt8](baseKey(ofRow: number).prefix(row.shared))
        key.append(
            contentsOf: UnsafeRawBufferPointer(
                start: row.rest, count: row.restBytes + InternalKey.trailerBytes))
        return key
    }
}
