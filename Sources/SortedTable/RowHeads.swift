internal import Bytes

/// Four bytes of each user key of a row block, side by side, so that a search in a block touches a
/// few neighbouring cache lines instead of as many rows.
///
/// All user keys of a block start with the same bytes, `prefix`: what its first and last key
/// share. The head of a key is the big-endian number of the four bytes behind that (zeros where the
/// key ends), so heads never decrease from row to row and a search over them leaves a short range
/// of rows with equal heads. Built in memory when a block is loaded; not in the file.
struct RowHeads {
    /// Start of the prefix; the heads follow it. Nil in blocks without rows.
    private let memory: UnsafeMutableRawPointer?
    /// Bytes of the shared start.
    let prefixBytes: Int
    private let headsStart: Int
    let allocatedBytes: Int

    init() {
        memory = nil
        prefixBytes = 0
        headsStart = 0
        allocatedBytes = 0
    }

    /// The heads of a block that has rows and was checked.
    init(_ block: TableBlock) {
        let first = block.copyKey(0).dropLast(InternalKey.trailerBytes)
        let last = block.copyKey(block.rowCount - 1).dropLast(InternalKey.trailerBytes)
        let prefix = first.withUnsafeBytes { a in last.withUnsafeBytes { b in sharedPrefix(a, b) } }
        prefixBytes = prefix
        headsStart = (prefix + 3) & ~3
        allocatedBytes = headsStart + block.rowCount * 4
        let memory = UnsafeMutableRawPointer.allocate(byteCount: allocatedBytes, alignment: 16)
        for (place, byte) in first.prefix(prefix).enumerated() {
            memory.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
        }
        var base = UnsafeRawBufferPointer(start: nil, count: 0)
        for number in 0..<block.rowCount {
            let row = block.row(number)
            if number % TableFormat.bundleRows == 0 {
                base = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
            }
            let head = Self.head(of: row, base, behind: prefix)
            memory.storeBytes(of: head, toByteOffset: headsStart + number * 4, as: UInt32.self)
        }
        self.memory = memory
    }

    func deallocate() { memory?.deallocate() }

    /// The rows among which the first row at or above a user key (with any trailer) lies: rows
    /// before the range are below the key, rows behind it above.
    @inline(__always)
    func range(_ userKey: UnsafeRawBufferPointer, rowCount: Int) -> Range<Int> {
        guard let memory else { return 0..<0 }
        let prefix = UnsafeRawBufferPointer(start: memory, count: prefixBytes)
        let common = sharedPrefix(prefix, userKey)
        if common < prefixBytes {
            if common == userKey.count || userKey[common] < prefix[common] { return 0..<0 }
            return rowCount..<rowCount
        }
        let wanted = Self.head(of: userKey, at: prefixBytes)
        let heads = UnsafeRawPointer(memory + headsStart).assumingMemoryBound(to: UInt32.self)
        var low = 0
        var length = rowCount
        while length > 1 {
            let half = length &>> 1
            low = heads[low &+ half &- 1] < wanted ? low &+ half : low
            length &-= half
        }
        if heads[low] < wanted { low &+= 1 }
        if low == rowCount || heads[low] != wanted { return low..<low }
        var high = low &+ 1
        while high < rowCount, heads[high] == wanted { high &+= 1 }
        return low..<high
    }

    /// Whether the shared start is known to cover `count` bytes, and `key` starts with them; nil
    /// when the shared start is shorter.
    @inline(__always)
    func starts(_ key: UnsafeRawBufferPointer, count: Int) -> Bool? {
        guard let memory, count <= prefixBytes else { return nil }
        return sharedPrefix(UnsafeRawBufferPointer(start: memory, count: count), key) == count
    }

    @inline(__always)
    private static func head(of key: UnsafeRawBufferPointer, at start: Int) -> UInt32 {
        if start &+ 4 <= key.count {
            return UInt32(bigEndian: key.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        }
        var head: UInt32 = 0
        for place in start..<(start &+ 4) {
            head = head &<< 8 | (place < key.count ? UInt32(key[place]) : 0)
        }
        return head
    }

    private static func head(
        of row: BlockRow, _ base: UnsafeRawBufferPointer, behind prefix: Int
    ) -> UInt32 {
        let rest = UnsafeRawBufferPointer(start: row.rest, count: row.restBytes)
        if prefix >= row.shared { return head(of: rest, at: prefix - row.shared) }
        var head: UInt32 = 0
        for place in prefix..<(prefix + 4) {
            var byte: UInt8 = 0
            if place < row.shared {
                byte = base[place]
            } else if place - row.shared < rest.count {
                byte = rest[place - row.shared]
            }
            head = head << 8 | UInt32(byte)
        }
        return head
    }
}
