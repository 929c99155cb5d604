import Bytes
import Platform
import Synchronization

extension BlobStore {
    /// Calls `visit` with the bytes of `range`, in order, in pieces of at most 64 KiB, each checked
    /// before. A piece lives as long as the call. Nothing wrong is ever shown: damage
    /// throws ``BlobError/rot(_:)``, after whole good pieces may have been visited.
    ///
    /// - Parameter range: bytes of the blob; nil: all.
    package func read(
        _ hash: BlobHash, _ range: Range<UInt64>? = nil,
        visit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard let location = location(hash) else { throw BlobError.missing(hash) }
        let range = range ?? 0..<location.length
        guard range.upperBound <= location.length else {
            throw BlobError.range(location.length)
        }
        if range.isEmpty { return }
        let salt = state.withLock { $0.salts[location.volume] } ?? 0
        let file = try onDisk { () throws(DiskError) in try files.file(location.volume) }
        let pageBytes = UInt64(BlobFormat.pageBytes)
        for index in (range.lowerBound / pageBytes)...((range.upperBound - 1) / pageBytes) {
            let start = index * pageBytes
            let count = Int(min(pageBytes, location.length - start))
            let page = try self.page(index, count, location, salt, file, hash)
            let from = Int(max(range.lowerBound, start) - start)
            let to = Int(min(range.upperBound, start + UInt64(count)) - start)
            try page.withUnsafeBytes { raw in
                try visit(UnsafeRawBufferPointer(rebasing: raw[from..<to]))
            }
        }
    }

    /// The bytes of `range` at once.
    package func bytes(
        _ hash: BlobHash, _ range: Range<UInt64>? = nil
    ) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try read(hash, range) { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Reads all of a blob to see whether it is whole; throws what ``read(_:_:visit:)`` throws.
    package func verify(_ hash: BlobHash) throws {
        try read(hash) { _ in }
    }

    private func page(
        _ index: UInt64, _ count: Int, _ location: BlobLocation, _ salt: UInt64, _ file: any File,
        _ hash: BlobHash
    ) throws(BlobError) -> [UInt8] {
        let offset = BlobFormat.pageOffset(record: location.offset, index: index)
        let bytes = try onDisk { () throws(DiskError) in
            try file.read(count + BlobFormat.checksumBytes, at: offset)
        }
        if let (expected, found) = VolumePage.damage(
            in: bytes, count: count, salt: salt, offset: offset)
        {
            // From now on the blob counts as missing, so that a good copy can be put in its place.
            state.withLock { state in
                if state.index[hash] == location { state.damaged.insert(hash) }
            }
            throw .rot(
                BlobDamage(file: file.path, offset: offset, expected: expected, found: found))
        }
        return bytes
    }
}
