internal import Bytes
internal import Platform

/// The bytes of a segment on their way to its file: cut into pieces, each with its checksum. Holds
/// one piece.
struct SegmentOutput {
    private let file: any File
    private let fileID: UInt64
    private var piece: [UInt8] = []
    private var checksums = ByteWriter()
    /// Bytes taken so far.
    private(set) var count: UInt64 = 0

    init(file: any File, fileID: UInt64) {
        self.file = file
        self.fileID = fileID
        piece.reserveCapacity(SegmentFormat.pieceBytes)
    }

    mutating func append(_ bytes: [UInt8]) throws(SearchError) {
        var start = 0
        while start < bytes.count {
            let room = SegmentFormat.pieceBytes - piece.count
            let end = min(bytes.count, start + room)
            piece.append(contentsOf: bytes[start..<end])
            count += UInt64(end - start)
            start = end
            if piece.count == SegmentFormat.pieceBytes { try emit() }
        }
    }

    private mutating func emit() throws(SearchError) {
        let offset = count - UInt64(piece.count)
        let seed = Checksum.seed(file: fileID, offset: offset)
        checksums.write(fixed: Checksum.xxh3(piece, seed: seed))
        let bytes = piece
        let file = file
        try SearchError.atDisk { () throws(DiskError) in try file.write(bytes, at: offset) }
        piece.removeAll(keepingCapacity: true)
    }

    /// Writes the last piece, the checksums and the footer, and makes all durable; the file's
    /// bytes.
    mutating func finish(_ footer: SegmentFooter) throws(SearchError) -> UInt64 {
        if !piece.isEmpty { try emit() }
        var footer = footer
        let tableOffset = count
        footer.tableChecksum = Checksum.xxh3(
            checksums.bytes, seed: Checksum.seed(file: fileID, offset: tableOffset))
        let footerOffset = tableOffset + UInt64(checksums.count)
        let end = checksums.bytes + footer.encode(at: footerOffset)
        let file = file
        try SearchError.atDisk { () throws(DiskError) in
            try file.write(end, at: tableOffset)
            try file.sync()
        }
        return tableOffset + UInt64(end.count)
    }
}
