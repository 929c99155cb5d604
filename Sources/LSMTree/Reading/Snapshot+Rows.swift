import Bytes

extension Snapshot {
    /// The rows of `lower ..< upper` as readers see them, from the first on until their packed form
    /// passes `bytesMax`; one row at least, however large. Go on at ``RowChunk/next``. Memory: the
    /// chunk. Blocks on the disk.
    ///
    /// Rows of expiring keyspaces are there until compaction drops them, as for every reader.
    package func rows(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8], bytesMax: Int
    ) throws(TreeError) -> RowChunk {
        var chunk = RowChunk()
        let iterator = try makeIterator(keyspace, lower: lower, upper: upper)
        var writer = ByteWriter(capacity: 4096)
        var lastKey = 0..<0
        try iterator.seekToFirst()
        while iterator.isValid {
            let (key, value) = (iterator.key, iterator.value)
            // Two lengths take six bytes at most, within the limits of a batch.
            if chunk.count > 0, writer.count + key.count + value.count + 6 > bytesMax { break }
            writer.write(varint: UInt64(key.count))
            lastKey = writer.count..<(writer.count + key.count)
            writer.write(raw: key)
            writer.write(varint: UInt64(value.count))
            writer.write(raw: value)
            chunk.count += 1
            try iterator.next()
        }
        chunk.isFinished = !iterator.isValid
        chunk.packed = writer.bytes
        if chunk.count > 0 { chunk.lastKey = Array(chunk.packed[lastKey]) }
        return chunk
    }
}
