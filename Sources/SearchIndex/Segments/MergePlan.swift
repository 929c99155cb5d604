internal import Platform

/// Writes segments into the directory of an index.
struct SegmentFileWriter: Sendable {
    let place: SegmentHandle.Place

    /// Writes one segment; nil, and no file, when there was nothing to write.
    func write<Written>(
        _ fileID: UInt64, _ body: (any File) throws(SearchError) -> Written?
    ) throws(SearchError) -> Written? {
        let path = place.path(SegmentFormat.name(fileID))
        let files = place.files
        let file = try SearchError.atDisk { () throws(DiskError) in
            try files.open(path, .create)
        }
        defer { file.close() }
        do {
            if let written = try body(file) { return written }
            try SearchError.atDisk { () throws(DiskError) in try files.unlink(path) }
            return nil
        } catch {
            // Half a segment is as readable as a whole one to who looks for erased words.
            try? files.unlink(path)
            throw error
        }
    }
}

/// A merge that is to be done: a value that may go to another thread.
package struct MergePlan: Sendable {
    let inputs: [SearchSnapshot.Entry]
    /// That of the store when it was planned.
    let generation: UInt64
    let fileID: UInt64
    let place: SegmentHandle.Place

    /// Living documents that it will rewrite.
    package var documents: Int {
        inputs.reduce(0) { $0 + Int($1.summary.documents) - $1.dead.count }
    }

    /// Does it. Blocks, and reads nothing but its inputs. Ends early, as if the file were closed,
    /// once `isCancelled` says so.
    ///
    /// Inputs are compared with their checksums once more: the result has new ones, which would
    /// make sound what had become rotten since an input was opened.
    package func run(
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(SearchError) -> MergedSegment {
        var opened: [SegmentMerger.Input] = []
        for input in inputs {
            if input.handle.isOpen { try input.handle.checkAgain() }
            opened.append(.init(reader: try input.handle.open(), dead: input.dead))
        }
        let (fileID, tokens) = (fileID, place.tokens)
        let merged = try SegmentFileWriter(place: place).write(fileID) {
            (file) throws(SearchError) in
            try SegmentMerger.mergeNumbered(
                opened, to: CancellableFile(file, isCancelled), fileID: fileID, tokens: tokens)
        }
        return MergedSegment(
            inputs: inputs, generation: generation, summary: merged?.summary,
            numbers: merged?.numbers ?? [])
    }
}

/// What a merge made.
package struct MergedSegment: Sendable {
    let inputs: [SearchSnapshot.Entry]
    /// That of the store when the merge was planned.
    let generation: UInt64
    /// Nil when all inputs were dead.
    let summary: SegmentSummary?
    /// The new numbers of the documents of each input.
    let numbers: [[UInt32]]
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
