import Platform

/// Memory that only grows and is freed as a whole, addressed by 32-bit offsets.
///
/// A memtable's nodes live here, so that nothing of them is visible to reference counting. The
/// memory comes in chunks of 1 MiB that never move; a 4096-entry table maps the upper 12 bits of
/// an offset to a chunk. An allocation above 1 MiB gets neighbouring chunks from one piece.
/// Offset 0 is never given out and stands for "none".
///
/// One writer allocates; readers may resolve an offset once they got it through an acquiring load
/// of memory that the writer published with a releasing store.
// Sendable: the chunk table is written by the one writer before an offset into it is published.
final class Arena: @unchecked Sendable {
    static let chunkShift: UInt32 = 20
    static let chunkBytes = 1 << 20
    static let chunksMax = 4096

    /// Chunks by number; the memory is this arena's.
    let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let writer: UnsafeMutablePointer<Writer>

    private struct Writer {
        var next: UInt32 = 0
        var end: UInt32 = 0
        var chunksUsed = 0
        var pieces: [UnsafeMutableRawBufferPointer] = []
    }

    init() {
        chunks = .allocate(capacity: Self.chunksMax)
        chunks.initialize(repeating: nil, count: Self.chunksMax)
        writer = .allocate(capacity: 1)
        writer.initialize(to: Writer())
    }

    deinit {
        for piece in writer.pointee.pieces {
            if let base = piece.baseAddress { PageMemory.free(base, piece.count) }
        }
        writer.deinitialize(count: 1)
        writer.deallocate()
        chunks.deallocate()
    }

    /// The memory at an offset that ``allocate(_:)`` gave.
    @inline(__always)
    func pointer(_ offset: UInt32) -> UnsafeMutableRawPointer {
        Self.pointer(chunks, offset)
    }

    /// The memory at an offset, for those who hold ``chunks``.
    @inline(__always)
    static func pointer(
        _ chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ offset: UInt32
    ) -> UnsafeMutableRawPointer {
        let chunk = chunks[Int(truncatingIfNeeded: offset &>> chunkShift)]
        let inside = Int(truncatingIfNeeded: offset & UInt32(chunkBytes - 1))
        return chunk.unsafelyUnwrapped + inside
    }

    /// Takes `count` bytes, aligned to 8, uninitialised.
    ///
    /// - Precondition: the arena holds at most 4 GiB.
    func allocate(_ count: Int) -> UInt32 {
        let room = (count + 7) & ~7
        let state = writer
        if room > Int(state.pointee.end &- state.pointee.next) { grow(room) }
        let offset = state.pointee.next
        state.pointee.next = offset &+ UInt32(truncatingIfNeeded: room)
        return offset
    }

    private func grow(_ room: Int) {
        // 8 bytes of slack: offset 0 is skipped, and `end` stays below 2^32.
        let count = (room + 8 + Self.chunkBytes - 1) / Self.chunkBytes
        let first = writer.pointee.chunksUsed
        precondition(first + count < Self.chunksMax, "a memtable holds at most 4 GiB")
        let bytes = count * Self.chunkBytes
        let piece = PageMemory.allocate(bytes)
        for index in 0..<count { chunks[first + index] = piece + index * Self.chunkBytes }
        writer.pointee.pieces.append(UnsafeMutableRawBufferPointer(start: piece, count: bytes))
        writer.pointee.chunksUsed = first + count
        let base = UInt32(first) &<< Self.chunkShift
        writer.pointee.next = base &+ (first == 0 ? 8 : 0)
        writer.pointee.end = UInt32(first + count) &<< Self.chunkShift
    }
}
