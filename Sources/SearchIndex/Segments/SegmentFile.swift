internal import Bytes
internal import Platform

/// Checks the file of a segment against its checksums, through one small buffer.
struct SegmentFile {
    private let file: any File
    private let fileID: UInt64

    private init(_ file: any File, _ fileID: UInt64) {
        self.file = file
        self.fileID = fileID
    }

    /// Reads all of it; what its footer says, and its size.
    static func check(
        _ file: any File, fileID: UInt64
    ) throws(SearchError) -> (footer: SegmentFooter, bytes: UInt64) {
        let size = try SearchError.whileReading(file.path) { () throws(DiskError) in
            try file.size()
        }
        return (try SegmentFile(file, fileID).check(size), size)
    }

    private func check(_ size: UInt64) throws(SearchError) -> SegmentFooter {
        guard size >= UInt64(SegmentFooter.bytes), size <= UInt64(Int.max) else {
            throw rot(0, "at least \(SegmentFooter.bytes) bytes", "\(size)")
        }
        let footerOffset = size - UInt64(SegmentFooter.bytes)
        let footer = try decode(try read(footerOffset..<size), at: footerOffset)
        let body = footer.ends[SegmentFormat.Section.allCases.count - 1]
        let pieceBytes = UInt64(SegmentFormat.pieceBytes)
        let pieces = (body + pieceBytes - 1) / pieceBytes
        guard footerOffset - body == pieces * 8 else {
            throw rot(body, "\(pieces) checksums", "\(footerOffset - body) bytes")
        }
        let table = try read(body..<footerOffset)
        guard
            Checksum.xxh3(table, seed: Checksum.seed(file: fileID, offset: body))
                == footer.tableChecksum
        else { throw rot(body, "the checksum of the checksums", "another") }
        var buffer = [UInt8](repeating: 0, count: Int(min(body, pieceBytes)))
        for index in 0..<Int(pieces) {
            let start = UInt64(index) * pieceBytes
            try fill(&buffer, start..<min(body, start + pieceBytes))
            let found = Checksum.xxh3(buffer, seed: Checksum.seed(file: fileID, offset: start))
            let expected = table.withUnsafeBytes {
                UInt64(
                    littleEndian: $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            guard found == expected else {
                throw rot(start, "checksum \(expected)", "\(found)")
            }
        }
        return footer
    }

    /// The footer, of which the sections lie in order and before it.
    private func decode(_ bytes: [UInt8], at offset: UInt64) throws(SearchError) -> SegmentFooter {
        let footer: SegmentFooter
        do throws(Rot) {
            let result = bytes.withUnsafeBytes { raw in
                Result { () throws(Rot) in
                    try SegmentFooter.decode(raw, fileID: fileID, at: offset)
                }
            }
            footer = try result.get()
        } catch {
            throw error.error(in: file.path)
        }
        var last: UInt64 = 0
        for end in footer.ends {
            guard end >= last, end <= offset else {
                throw rot(offset, "sections in order", "one that ends at \(end)")
            }
            last = end
        }
        return footer
    }

    private func read(_ range: Range<UInt64>) throws(SearchError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try fill(&bytes, range)
        return bytes
    }

    /// Makes `buffer` the bytes of a stretch, which is not longer than it.
    private func fill(
        _ buffer: inout [UInt8], _ range: Range<UInt64>
    ) throws(SearchError) {
        buffer.removeLast(buffer.count - range.count)
        let result = buffer.withUnsafeMutableBytes { raw in
            Result { () throws(DiskError) in try file.read(into: raw, at: range.lowerBound) }
        }
        let got = try SearchError.whileReading(file.path) { () throws(DiskError) in
            try result.get()
        }
        guard got == range.count else {
            throw rot(range.lowerBound + UInt64(got), "\(range.count) bytes", "\(got)")
        }
    }

    private func rot(_ offset: UInt64, _ expected: String, _ found: String) -> SearchError {
        Rot(offset, expected, found).error(in: file.path)
    }
}
