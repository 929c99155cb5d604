/// What can be searched at one moment: it never changes, and may be used on any thread.
package struct SearchSnapshot: Sendable {
    /// One segment and what is dead in it.
    struct Part: Sendable {
        let reader: SegmentReader
        var dead: DeadDocuments
    }

    /// Newest first: by highest time, descending.
    let parts: [Part]

    init(_ parts: [Part]) {
        self.parts = parts.sorted {
            ($0.reader.summary.maxTime, $0.reader.summary.fileID)
                > ($1.reader.summary.maxTime, $1.reader.summary.fileID)
        }
    }

    /// Documents that are alive.
    package var documents: Int {
        parts.reduce(0) { $0 + $1.reader.documentCount - $1.dead.count }
    }

    /// Segments.
    package var segments: Int { parts.count }

    /// Bytes of memory that the segments take.
    package var memoryBytes: UInt64 { parts.reduce(0) { $0 + $1.reader.memoryBytes } }
}
