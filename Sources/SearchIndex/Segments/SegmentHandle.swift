internal import Platform
import Synchronization

/// A segment that the manifest names. Who first needs what is in it opens it, for all: so a start
/// reads no segment, and what nobody asks about is never read. Any thread.
///
/// A store removes the file of a segment only after it opened it, or when it throws itself away.
/// Whoever then still holds the handle of a segment that was not opened meets a missing file.
final class SegmentHandle: Sendable {
    /// Where segments come from.
    struct Place: Sendable {
        let files: any FileSystem
        let directory: String
        let tokens: TokenVersion

        func path(_ name: String) -> String { "\(directory)/\(name)" }
    }

    /// What the manifest says of it.
    let summary: SegmentSummary
    private let place: Place?
    private let reader: Mutex<SegmentReader?>
    private let opened: Atomic<Bool>

    /// A segment on the disk.
    init(_ summary: SegmentSummary, at place: Place) {
        self.summary = summary
        self.place = place
        reader = Mutex(nil)
        opened = Atomic(false)
    }

    /// A segment that is open.
    init(_ reader: SegmentReader) {
        summary = reader.summary
        place = nil
        self.reader = Mutex(reader)
        opened = Atomic(true)
    }

    /// True when it was opened. Does not wait for who opens it.
    var isOpen: Bool { opened.load(ordering: .relaxed) }

    /// The open segment. Whoever comes while it is opened waits. After an error the next one tries
    /// again.
    func open() throws(SearchError) -> SegmentReader {
        let result = reader.withLock { reader -> Result<SegmentReader, SearchError> in
            if let reader { return .success(reader) }
            return Result { () throws(SearchError) in
                let found = try read()
                reader = found
                opened.store(true, ordering: .relaxed)
                return found
            }
        }
        return try result.get()
    }

    private func read() throws(SearchError) -> SegmentReader {
        guard let place else { preconditionFailure("a segment is open or lies somewhere") }
        let path = place.path(SegmentFormat.name(summary.fileID))
        let reader = try SearchStore.openSegment(place.files, summary.fileID, path)
        guard reader.summary == summary, reader.tokens == place.tokens else {
            throw .corrupt(
                file: path, offset: 0, expected: "what the manifest says", found: "another segment")
        }
        return reader
    }

    /// Compares the file of an open segment with its checksums again, which rot since the opening
    /// does not pass. One whose file is gone died whole meanwhile.
    func checkAgain() throws(SearchError) {
        guard let place else { return }
        let path = place.path(SegmentFormat.name(summary.fileID))
        let file: any File
        do throws(DiskError) {
            file = try place.files.open(path, .read)
        } catch {
            if error.reason == .notFound { return }
            throw SearchError.reading(path, error)
        }
        defer { file.close() }
        _ = try SegmentFile.check(file, fileID: summary.fileID)
    }
}
