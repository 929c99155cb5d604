/// What can be searched at one moment: it never changes, and may be used on any thread.
package struct SearchSnapshot: Sendable {
    /// One segment, open or not, and what is dead in it.
    struct Entry: Sendable {
        let handle: SegmentHandle
        var dead: DeadDocuments

        var summary: SegmentSummary { handle.summary }

        /// Opens the segment when nobody has yet.
        func open() throws(SearchError) -> Part {
            Part(reader: try handle.open(), dead: dead)
        }
    }

    /// One open segment and what is dead in it.
    struct Part: Sendable {
        let reader: SegmentReader
        var dead: DeadDocuments
    }

    /// Newest first: by highest time, descending.
    let entries: [Entry]

    init(entries: [Entry]) {
        self.entries = entries.sorted {
            ($0.summary.maxTime, $0.summary.fileID) > ($1.summary.maxTime, $1.summary.fileID)
        }
    }

    /// Of open segments.
    init(_ parts: [Part]) {
        self.init(entries: parts.map { Entry(handle: SegmentHandle($0.reader), dead: $0.dead) })
    }

    /// Documents that are alive.
    package var documents: Int {
        entries.reduce(0) { $0 + Int($1.summary.documents) - $1.dead.count }
    }

    /// Documents that are dead: their words are still on the disk.
    package var deadDocuments: Int { entries.reduce(0) { $0 + $1.dead.count } }

    /// Segments.
    package var segments: Int { entries.count }

    /// Bytes of the segments.
    package var bytes: UInt64 { entries.reduce(0) { $0 + $1.summary.bytes } }

    /// Those of segments that were opened: they are mapped, so that what is used of them is in the
    /// page cache.
    package var openedBytes: UInt64 {
        entries.reduce(0) { $1.handle.isOpen ? $0 + $1.summary.bytes : $0 }
    }
}
