private import CLZ4

/// Block compression through the system's liblz4.
package enum LZ4 {
    /// The most bytes that compressing `count` bytes can give.
    package static func bound(_ count: Int) -> Int {
        precondition(count >= 0 && count <= Int(LZ4_MAX_INPUT_SIZE), "lz4 input too large")
        return Int(LZ4_compressBound(Int32(count)))
    }

    /// Compresses `source` into `target`; the compressed size, or nil when it does not fit.
    package static func compress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard source.count <= Int(LZ4_MAX_INPUT_SIZE), let from = source.baseAddress,
            let to = target.baseAddress
        else { return nil }
        let capacity = Int32(clamping: target.count)
        let written = LZ4_compress_default(
            from.assumingMemoryBound(to: CChar.self), to.assumingMemoryBound(to: CChar.self),
            Int32(source.count), capacity)
        return written > 0 ? Int(written) : nil
    }

    /// Expands `source` into exactly `target.count` bytes; false when the bytes are not that.
    package static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let from = source.baseAddress, let to = target.baseAddress,
            source.count <= Int(Int32.max), target.count <= Int(Int32.max)
        else { return false }
        let written = LZ4_decompress_safe(
            from.assumingMemoryBound(to: CChar.self), to.assumingMemoryBound(to: CChar.self),
            Int32(source.count), Int32(target.count))
        return Int(written) == target.count
    }
}
