/// What is wrong inside a block's content.
struct BlockProblem {
    /// Where in the content.
    let offset: Int
    let expected: String
    let found: String
}

extension TableBlock {
    /// Rows that a content of so many bytes can have at most; the smallest row takes 12 bytes, the
    /// place of its offset included.
    static func rowsMax(contentBytes: Int) -> Int { contentBytes / 12 + 1 }

    /// Walks a row block once and makes it readable; the answer says what is wrong, or nil. After
    /// it, no access through row numbers can leave the content.
    func checkRows(role: TableFormat.Role) -> BlockProblem? {
        guard count >= 4 else {
            return BlockProblem(offset: 0, expected: "a row count", found: "\(count) bytes")
        }
        let word = UInt32(
            littleEndian: base.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        let hasBuckets = word & RowBuckets.flag != 0
        let rows = Int(word & (RowBuckets.flag - 1))
        let width = word >> 31 == 1 ? 4 : 2
        guard rows <= (count - 4) / (width + 10), rows > 0 || (role == .root && count == 4) else {
            return BlockProblem(
                offset: count - 4, expected: "a row count that fits", found: "\(rows)")
        }
        let end = count - 4 - rows * width - (hasBuckets ? RowBuckets.count(rows: rows) : 0)
        guard !hasBuckets || (role == .data && rows <= RowBuckets.rowsMax && end > 0) else {
            return BlockProblem(
                offset: count - 4, expected: "no buckets, or those of few rows",
                found: "\(rows) rows in a \(role) block")
        }
        header.pointee.offsetBytes = UInt8(width)
        header.pointee.rowsEnd = UInt32(truncatingIfNeeded: end)
        var keyBytesMax = 0
        var baseBytes = 0
        var start = 0
        var stored = rows > 0 ? storedOffset(0) : 0
        var number = 0
        while number < rows {
            guard stored == start else {
                return BlockProblem(
                    offset: end + number * width, expected: "row offset \(start)",
                    found: "\(stored)")
            }
            let next = number &+ 1 < rows ? storedOffset(number &+ 1) : end
            guard next > start, next <= end else {
                return BlockProblem(
                    offset: end + number * width,
                    expected: "a row end above \(start), up to \(end)",
                    found: "\(next)")
            }
            let isBase = number & (TableFormat.bundleRows - 1) == 0
            let user = checkRow(start, next, isBase: isBase, baseBytes: baseBytes, role: role)
            guard user >= 0 else {
                return BlockProblem(
                    offset: start, expected: "a \(role) row",
                    found: "lengths or a kind that do not fit")
            }
            if isBase { baseBytes = user }
            if user > keyBytesMax { keyBytesMax = user }
            start = next
            stored = next
            number &+= 1
        }
        guard start == end else {
            return BlockProblem(offset: start, expected: "rows up to \(end)", found: "a gap")
        }
        header.pointee.rowCount = UInt32(truncatingIfNeeded: rows)
        header.pointee.keyBytesMax = UInt32(
            truncatingIfNeeded: keyBytesMax + InternalKey.trailerBytes)
        if rows > 0 { buildHeads() }
        header.pointee.hasBuckets = hasBuckets
        return hasBuckets ? checkBuckets() : nil
    }

    @inline(__always)
    private func storedOffset(_ number: Int) -> Int {
        let place = rowsEnd &+ number &* offsetBytes
        return offsetBytes == 2
            ? Int(UInt16(littleEndian: base.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
            : Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
    }

    /// Bytes of the row's user key, or -1 when the row is not valid.
    @inline(__always)
    private func checkRow(
        _ start: Int, _ next: Int, isBase: Bool, baseBytes: Int, role: TableFormat.Role
    ) -> Int {
        var pointer = UnsafeRawPointer(base + start)
        let end = UnsafeRawPointer(base + next)
        // A base row's zero is one byte: readers step over it unread.
        if isBase, pointer.load(as: UInt8.self) != 0 { return -1 }
        let shared = RowVarint.readChecked(&pointer, end: end)
        let rest = RowVarint.readChecked(&pointer, end: end)
        guard shared >= 0, rest >= 0, shared <= (isBase ? 0 : baseBytes),
            end - pointer >= rest &+ InternalKey.trailerBytes
        else { return -1 }
        switch role {
        case .data:
            let kind = (pointer + rest).load(as: UInt8.self)
            guard kind == RowKind.put.rawValue || kind == RowKind.delete.rawValue else {
                return -1
            }
        case .index:
            let value = pointer + rest + InternalKey.trailerBytes
            let bytes = UnsafeRawBufferPointer(start: value, count: end - value)
            if Self.blockProperties(bytes) == nil { return -1 }
        case .root:
            let valueBytes = end - pointer - rest - InternalKey.trailerBytes
            guard valueBytes == 3 &* BlockHandle.storedBytes else { return -1 }
        default:
            return -1
        }
        return shared &+ rest
    }
}
