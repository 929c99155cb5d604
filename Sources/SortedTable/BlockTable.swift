import Synchronization

/// From places to cached blocks: open addressing with linear probing, at most half full. Readers
/// take no lock; one writer at a time changes it.
///
///     mask of places (8 bytes), 8 bytes unused, then one word for each place
///
/// A word is 0, or a block's address with sixteen bits of the place's hash above it. While the
/// writer closes the gap of a removed block, a reader may miss a block that is there: it then reads
/// the disk and meets the block when it wants to insert its own.
struct BlockTable {
    private static let headerBytes = 16
    private static let addressBits: UInt64 = 48

    let memory: UnsafeMutableRawPointer

    /// An empty table; `capacity` is a power of two.
    init(capacity: Int) {
        precondition(capacity > 1 && capacity & (capacity - 1) == 0, "a power of two")
        let bytes = Self.headerBytes + capacity * 8
        memory = .allocate(byteCount: bytes, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        memory.storeBytes(of: capacity - 1, as: Int.self)
    }

    /// The table at an address that ``address`` gave.
    @inline(__always)
    init(address: UInt) {
        memory = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    }

    func deallocate() { memory.deallocate() }

    var address: UInt { UInt(bitPattern: memory) }

    @inline(__always)
    private var mask: Int { memory.load(as: Int.self) }
    var capacity: Int { mask + 1 }

    @inline(__always)
    private func word(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (memory + (Self.headerBytes &+ place &* 8)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(__always)
    private static func block(_ word: UInt64) -> TableBlock? {
        let address = UInt(truncatingIfNeeded: word & ((1 &<< addressBits) &- 1))
        return UnsafeMutableRawPointer(bitPattern: address).map { TableBlock(memory: $0) }
    }

    /// The block at a place, or nil.
    @inline(__always)
    func find(hash: UInt64, fileID: UInt64, offset: UInt64) -> TableBlock? {
        let mask = mask
        var place = Int(truncatingIfNeeded: hash) & mask
        while true {
            let word = word(place).pointee.load(ordering: .acquiring)
            guard let block = Self.block(word) else { return nil }
            if word &>> Self.addressBits == hash &>> Self.addressBits,
                block.header.pointee.offset == offset, block.header.pointee.fileID == fileID
            {
                return block
            }
            place = (place &+ 1) & mask
        }
    }

    /// Adds a block that is not there; the table must have room.
    func insert(_ block: TableBlock, hash: UInt64) {
        let address = UInt64(UInt(bitPattern: block.memory))
        precondition(address >> Self.addressBits == 0, "addresses have 48 bits")
        var place = Int(truncatingIfNeeded: hash) & mask
        while word(place).pointee.load(ordering: .relaxed) != 0 { place = (place + 1) & mask }
        let tag = (hash &>> Self.addressBits) &<< Self.addressBits
        word(place).pointee.store(tag | address, ordering: .releasing)
    }

    /// Removes a block that is there and closes the gap (Knuth, volume 3, 6.4 algorithm R).
    func remove(_ block: TableBlock, hash: UInt64) {
        let mask = mask
        var gap = Int(truncatingIfNeeded: hash) & mask
        while Self.block(word(gap).pointee.load(ordering: .relaxed))?.memory != block.memory {
            gap = (gap + 1) & mask
        }
        var place = (gap + 1) & mask
        while let other = Self.block(word(place).pointee.load(ordering: .relaxed)) {
            let home = Int(truncatingIfNeeded: CacheShard.hash(of: other)) & mask
            if (place - home) & mask >= (place - gap) & mask {
                let moved = word(place).pointee.load(ordering: .relaxed)
                word(gap).pointee.store(moved, ordering: .releasing)
                gap = place
            }
            place = (place + 1) & mask
        }
        word(gap).pointee.store(0, ordering: .releasing)
    }

    /// A table of twice the capacity with the same blocks.
    func grown() -> BlockTable {
        let larger = BlockTable(capacity: capacity * 2)
        for place in 0..<capacity {
            if let block = Self.block(word(place).pointee.load(ordering: .relaxed)) {
                larger.insert(block, hash: CacheShard.hash(of: block))
            }
        }
        return larger
    }
}
