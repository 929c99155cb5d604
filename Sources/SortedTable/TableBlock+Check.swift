/// What is wrong inside a block's content.
struct BlockProblem {
    /// Where in the content.
    let offset: Int
    let expected: String
    let found: String
}

extension TableBlock {
    /// Walks a row block once and makes it readable; the answer says what is wrong, or nil. After
    /// it, no access through row numbers can leave the content.
    func checkRows(role: TableFormat.Role) -> BlockProblem? {
        guard count >= 4 else {
            return BlockProblem(offset: 0, expected: "a row count", found: "\(count) bytes")
        }
        let word = UInt32(
            littleEndian: base.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        let rows = Int(word & 0x7FFF_FFFF)
        let width = word >> 31 == 1 ? 4 : 2
        guard rows <= (count - 4) / width, rows > 0 || (role == .root && count == 4) else {
            return BlockProblem(
                offset: count - 4, expected: "a row count that fits", found: "\(rows)")
        }
        let end = count - 4 - rows * width
        setRows(count: rows, offsetBytes: width, rowsEnd: end, keyBytesMax: 0)
        var keyBytesMax = 0
        var baseBytes = 0
        var start = 0
        for number in 0..<rows {
            let stored = storedOffset(number)
            guard stored == start else {
                return BlockProblem(
                    offset: end + number * width, expected: "row offset \(start)",
                    found: "\(stored)")
            }
            let next = number + 1 < rows ? storedOffset(number + 1) : end
            guard next > start, next <= end else {
                return BlockProblem(
                    offset: end + number * width,
                    expected: "a row end above \(start), up to \(end)",
                    found: "\(next)")
            }
            if number % TableFormat.bundleRows == 0 { baseBytes = 0 }
            guard let user = checkRow(number, start..<next, baseBytes: baseBytes, role: role) else {
                return BlockProblem(
                    offset: start, expected: "a \(role) row",
                    found: "lengths or a kind that do not fit")
            }
            if number % TableFormat.bundleRows == 0 { baseBytes = user }
            keyBytesMax = max(keyBytesMax, user + InternalKey.trailerBytes)
            start = next
        }
        guard start == end else {
            return BlockProblem(offset: start, expected: "rows up to \(end)", found: "a gap")
        }
        setRows(count: rows, offsetBytes: width, rowsEnd: end, keyBytesMax: keyBytesMax)
        buildHeads()
        return nil
    }

    private func storedOffset(_ number: Int) -> Int {
        let place = rowsEnd + number * offsetBytes
        return offsetBytes == 2
            ? Int(UInt16(littleEndian: base.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
            : Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
    }

    /// Bytes of the row's user key, or nil when the row is not valid.
    private func checkRow(
        _ number: Int, _ range: Range<Int>, baseBytes: Int, role: TableFormat.Role
    ) -> Int? {
        var pointer = UnsafeRawPointer(base + range.lowerBound)
        let end = UnsafeRawPointer(base + range.upperBound)
        guard let shared = RowVarint.readChecked(&pointer, end: end), shared <= baseBytes,
            let rest = RowVarint.readChecked(&pointer, end: end),
            end - pointer >= rest + InternalKey.trailerBytes
        else { return nil }
        // A base row's zero is one byte: readers step over it unread.
        if number % TableFormat.bundleRows == 0,
            base.load(fromByteOffset: range.lowerBound, as: UInt8.self) != 0
        {
            return nil
        }
        let valueBytes = end - pointer - rest - InternalKey.trailerBytes
        switch role {
        case .data:
            let kind = (pointer + rest).load(as: UInt8.self)
            guard kind == RowKind.put.rawValue || kind == RowKind.delete.rawValue else {
                return nil
            }
        case .index:
            guard valueBytes == BlockHandle.storedBytes else { return nil }
        case .root:
            guard valueBytes == 3 * BlockHandle.storedBytes else { return nil }
        default:
            return nil
        }
        return shared + rest
    }
}
