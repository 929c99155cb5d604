internal import Bytes

extension TableReader {
    /// About how many bytes of the file belong to keys of `lower ..< upper`. It reads nothing: the
    /// root knows the partitions, and a partition in which a bound lies counts half.
    package func estimatedBytes(from lower: [UInt8], to upper: [UInt8]) -> UInt64 {
        let (start, end) = (estimatedOffset(lower), estimatedOffset(upper))
        return end > start ? end - start : 0
    }

    /// About how many bytes of the file belong to keys before `key`.
    private func estimatedOffset(_ key: [UInt8]) -> UInt64 {
        let isBefore = key.withUnsafeBytes { key in
            properties.smallest.withUnsafeBytes {
                OrderedKey.compare(key, InternalKey.userKey($0)) <= 0
            }
        }
        if isBefore { return 0 }
        let partition = key.withUnsafeBytes { root.lowerBound($0, .max) }
        guard partition < root.rowCount else { return bytes }
        let start = partition == 0 ? 0 : end(of: partition - 1)
        return start + (max(start, end(of: partition)) - start) / 2
    }

    /// Where the index block of a partition ends, which is its last block.
    private func end(of partition: Int) -> UInt64 {
        let handle = root.handle(partition)
        return min(handle.offset &+ handle.totalBytes, bytes)
    }
}
