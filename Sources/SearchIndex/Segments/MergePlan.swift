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
        do {
            guard try body(file) != nil else {
                try SearchError.atDisk { () throws(DiskError) in try files.unlink(path) }
                return nil
            }
            return try SegmentReader.open(file: file, fileID: fileID)
        } catch {
            // Half a segment is as readable as a whole one to who looks for erased words.
            try? files.unlink(path)
            throw error
        }
    }
}

/// A merge that is to be done: a value that may go to another thread.
package struct MergePlan: Sendable {
    let inputs: [SegmentMerger.Input]
    /// That of the store when it was planned.
    let generation: UInt64
    let fileID: UInt64
    let tokens: TokenVersion
    let writer: SegmentFileWriter

    /// Living documents that it will rewrite.
    package var documents: Int {
        inputs.reduce(0) { $0 + $1.reader.documentCount - $1.dead.count }
    }

    /// Does it. Blocks, and reads nothing but its inputs. Ends early, as if the file were closed,
    /// once `isCancelled` says so.
    package func run(
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(SearchError) -> MergedSegment {
        let reader = try writer.write(fileID) { (file) throws(SearchError) in
            try SegmentMerger.merge(
                inputs, to: CancellableFile(file, isCancelled), fileID: fileID, tokens: tokens)
        }
        return MergedSegment(inputs: inputs, generation: generation, reader: reader)
    }
}

/// What a merge made.
package struct MergedSegment: Sendable {
    let inputs: [SegmentMerger.Input]
    /// That of the store when the merge was planned.
    let generation: UInt64
    /// Nil when all inputs were dead.
    let reader: SegmentReader?
}

/// A file that takes no more bytes once its writer is to end.
private final class CancellableFile: File {
    private let file: any File
    private let isCancelled: @Sendable () -> Bool

    init(_ file: any File, _ isCancelled: @escaping @Sendable () -> Bool) {
        self.file = file
        self.isCancelled = isCancelled
    }

    var path: String { file.path }

    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError) {
        if isCancelled() { throw DiskError(.closed, "pwrite", path) }
        try file.write(source, at: offset)
    }

    func size() throws(DiskError) -> UInt64 { try file.size() }
    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(DiskError) -> Int {
        try file.read(into: target, at: offset)
    }
    func sync() throws(DiskError) { try file.sync() }
    func preallocate(_ size: UInt64) throws(DiskError) { try file.preallocate(size) }
    func truncate(_ size: UInt64) throws(DiskError) { try file.truncate(size) }
    func close() { file.close() }
}
