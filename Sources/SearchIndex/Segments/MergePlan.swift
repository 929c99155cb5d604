internal import Platform

/// Writes segments into the directory of an index.
struct SegmentFileWriter: Sendable {
    let files: any FileSystem
    let directory: String

    /// Writes one segment and reads it back; nil, and no file, when there was nothing to write.
    func write(
        _ fileID: UInt64, _ body: (any File) throws(SearchError) -> SegmentSummary?
    ) throws(SearchError) -> SegmentReader? {
        let path = "\(directory)/\(SegmentFormat.name(fileID))"
        let file = try SearchError.atDisk { () throws(DiskError) in
            try files.open(path, .create)
        }
        defer { file.close() }
        guard try body(file) != nil else {
            try SearchError.atDisk { () throws(DiskError) in try files.unlink(path) }
            return nil
        }
        return try SegmentReader.open(file: file, fileID: fileID)
    }
}

/// A merge that is to be done: a value that may go to another thread.
package struct MergePlan: Sendable {
    let inputs: [SegmentMerger.Input]
    let fileID: UInt64
    let tokens: TokenVersion
    let writer: SegmentFileWriter

    /// Living documents that it will rewrite.
    package var documents: Int {
        inputs.reduce(0) { $0 + $1.reader.documentCount - $1.dead.count }
    }

    /// Does it. Blocks, and reads nothing but its inputs.
    package func run() throws(SearchError) -> MergedSegment {
        let reader = try writer.write(fileID) { (file) throws(SearchError) in
            try SegmentMerger.merge(inputs, to: file, fileID: fileID, tokens: tokens)
        }
        return MergedSegment(inputs: inputs, reader: reader)
    }
}

/// What a merge made.
package struct MergedSegment: Sendable {
    let inputs: [SegmentMerger.Input]
    /// Nil when all inputs were dead.
    let reader: SegmentReader?
}
