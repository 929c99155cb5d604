import Synchronization

/// A piece of the cache's memory: blocks one behind the other, filled once, freed as a whole.
///
///     header (64 bytes)   block   block   …          (see `TableBlock`)
///
/// Everything but ``pins`` belongs to whoever holds the shard's lock.
struct CacheSegment: Equatable {
    static let headerBytes = 64

    struct Header {
        /// Bytes of memory, header included.
        var capacity: Int
        /// Bytes in use, header included.
        var used = CacheSegment.headerBytes
        /// Blocks that the cache still knows.
        var keptBlocks = 0
        /// Set when it was taken out of sight.
        var epoch: UInt64 = 0
        var isMain = false
    }

    let memory: UnsafeMutableRawPointer

    /// Takes memory for `capacity` bytes.
    init(capacity: Int) {
        memory = .allocate(byteCount: capacity, alignment: TableBlock.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.headerBytes)
        header.initialize(to: Header(capacity: capacity))
    }

    init(address: UInt) {
        guard let memory = UnsafeMutableRawPointer(bitPattern: address) else {
            preconditionFailure("a cached block has a segment")
        }
        self.memory = memory
    }

    func deallocate() { memory.deallocate() }

    var header: UnsafeMutablePointer<Header> { memory.assumingMemoryBound(to: Header.self) }
    var address: UInt { UInt(bitPattern: memory) }

    /// Those who read a block of the segment without standing in the gate.
    var pins: UnsafeMutablePointer<Atomic<Int>> {
        (memory + (Self.headerBytes &- 8)).assumingMemoryBound(to: Atomic<Int>.self)
    }

    /// Makes an emptied segment new.
    func reset() {
        header.pointee = Header(capacity: header.pointee.capacity)
    }

    /// Copies a block behind the others; nil without room for it.
    func append(_ source: TableBlock, fileID: UInt64, offset: UInt64) -> TableBlock? {
        let bytes = Self.roomBytes(source)
        guard header.pointee.used + bytes <= header.pointee.capacity else { return nil }
        let target = memory + header.pointee.used
        target.copyMemory(from: source.memory, byteCount: source.totalBytes)
        let block = TableBlock(memory: target)
        block.header.pointee.fileID = fileID
        block.header.pointee.offset = offset
        block.header.pointee.segment = address
        header.pointee.used += bytes
        return block
    }

    /// What a block takes of a segment.
    static func roomBytes(_ block: TableBlock) -> Int {
        (block.totalBytes + TableBlock.alignment - 1) & ~(TableBlock.alignment - 1)
    }

    /// Visits all blocks, kept or not, in the order in which they came.
    func forEach(_ body: (TableBlock) -> Void) {
        var offset = Self.headerBytes
        while offset < header.pointee.used {
            let block = TableBlock(memory: memory + offset)
            offset += Self.roomBytes(block)
            body(block)
        }
    }
}

extension TableBlock {
    /// Keeps the block's memory beyond the stay in the cache's gate, until ``unpin()``.
    @inline(__always)
    func pin() {
        CacheSegment(address: header.pointee.segment).pins.pointee.add(1, ordering: .relaxed)
    }

    /// Ends what ``pin()`` began.
    @inline(__always)
    func unpin() {
        CacheSegment(address: header.pointee.segment).pins.pointee
            .subtract(1, ordering: .releasing)
    }
}
