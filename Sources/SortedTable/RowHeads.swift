internal import Bytes

/// Four bytes of each user key of a row block, side by side, so that a search in a block touches a
/// few neighbouring cache lines instead of as many rows.
///
/// All user keys of a block start with the same bytes, its *prefix*: what its first and last key
/// share. The head of a key is the big-endian number of the four bytes behind that (zeros where the
/// key ends), so heads never decrease from row to row and a search over them leaves a short range
/// of rows with equal heads. Built in memory when a block is loaded; not in the file.
extension TableBlock {
    /// What all user keys start with: the start of the first row's key, which is whole.
    @inline(__always)
    private var prefix: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: row(0).rest, count: Int(truncatingIfNeeded: header.pointee.prefixBytes))
    }

    @inline(__always)
    private var heads: UnsafeMutablePointer<UInt32> {
        (base + Int(truncatingIfNeeded: header.pointee.headsStart))
            .assumingMemoryBound(to: UInt32.self)
    }

    /// Fills in the heads of a block that has rows and was checked; there is room for them.
    func buildHeads() {
        let rows = rowCount
        let first = UnsafeRawBufferPointer(start: row(0).rest, count: row(0).restBytes)
        let shared = sharedPrefix(first, ofRow: rows - 1)
        header.pointee.prefixBytes = UInt32(truncatingIfNeeded: shared)
        header.pointee.totalBytes += UInt32(truncatingIfNeeded: rows * 4)
        var base = first
        for number in 0..<rows {
            let row = row(number)
            if number & (TableFormat.bundleRows - 1) == 0 {
                base = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
            }
            heads[number] = Self.head(of: row, base, behind: shared)
        }
    }

    private func sharedPrefix(_ key: UnsafeRawBufferPointer, ofRow number: Int) -> Int {
        let row = row(number)
        let common = SortedTable.sharedPrefix(key, baseKey(ofRow: number))
        if common < row.shared { return common }
        let rest = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
        let tail = UnsafeRawBufferPointer(rebasing: key[row.shared...])
        return row.shared + SortedTable.sharedPrefix(tail, rest)
    }

    /// The rows among which the first row at or above a user key (with any trailer) lies: rows
    /// before the range are below the key, rows behind it above.
    @inline(__always)
    func headRange(_ userKey: UnsafeRawBufferPointer) -> Range<Int> {
        let rows = rowCount
        if rows == 0 { return 0..<0 }
        let prefix = prefix
        let common = SortedTable.sharedPrefix(prefix, userKey)
        if common < prefix.count {
            if common == userKey.count || userKey[common] < prefix[common] { return 0..<0 }
            return rows..<rows
        }
        let wanted = Self.head(of: userKey, at: prefix.count)
        let heads = heads
        var low = 0
        var length = rows
        while length > 1 {
            let half = length &>> 1
            low = heads[low &+ half &- 1] < wanted ? low &+ half : low
            length &-= half
        }
        if heads[low] < wanted { low &+= 1 }
        if low == rows || heads[low] != wanted { return low..<low }
        var high = low &+ 1
        while high < rows, heads[high] == wanted { high &+= 1 }
        return low..<high
    }

    /// Whether all keys of the block are known to share `count` bytes, and `key` starts with them;
    /// nil when they share fewer.
    @inline(__always)
    func startsAsAll(_ key: UnsafeRawBufferPointer, count: Int) -> Bool? {
        let prefix = prefix
        guard count <= prefix.count else { return nil }
        let start = UnsafeRawBufferPointer(start: prefix.baseAddress, count: count)
        return SortedTable.sharedPrefix(start, key) == count
    }

    @inline(__always)
    private static func head(of key: UnsafeRawBufferPointer, at start: Int) -> UInt32 {
        if start &+ 4 <= key.count {
            return UInt32(bigEndian: key.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        }
        var head: UInt32 = 0
        var place = start
        while place < start &+ 4 {
            head = head &<< 8 | (place < key.count ? UInt32(key[place]) : 0)
            place &+= 1
        }
        return head
    }

    @inline(__always)
    private static func head(
        of row: BlockRow, _ base: UnsafeRawBufferPointer, behind prefix: Int
    ) -> UInt32 {
        let rest = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
        if prefix >= row.shared { return head(of: rest, at: prefix &- row.shared) }
        var head: UInt32 = 0
        var place = prefix
        while place < prefix &+ 4 {
            var byte: UInt8 = 0
            if place < row.shared {
                byte = base[place]
            } else if place &- row.shared < rest.count {
                byte = rest[place &- row.shared]
            }
            head = head &<< 8 | UInt32(byte)
            place &+= 1
        }
        return head
    }
}
