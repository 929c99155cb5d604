extension SearchSnapshot {
    /// An index of nothing.
    package static let empty = SearchSnapshot(entries: [])

    /// Several indexes of different conversations as one.
    package init(joining snapshots: [SearchSnapshot]) {
        self.init(entries: snapshots.flatMap(\.entries))
    }

    /// What the index would be if what happened in `builder` were committed: it is searched as a
    /// segment in memory, and its documents' earlier versions are dead. Nothing is written.
    package func preview(
        _ builder: SegmentBuilder, tokens: TokenVersion
    ) throws(SearchError) -> SearchSnapshot {
        if builder.isEmpty { return self }
        var entries = entries
        let touched = builder.touched()
        for index in entries.indices {
            try touched.kill(in: entries[index].handle, &entries[index].dead)
        }
        let memory = SegmentMemory()
        let fileID = UInt64.max
        if try builder.write(to: memory, fileID: fileID, tokens: tokens) != nil {
            let reader = try SegmentReader.open(file: memory, fileID: fileID)
            entries.append(
                Entry(
                    handle: SegmentHandle(reader),
                    dead: DeadDocuments(documents: reader.documentCount)))
        }
        return SearchSnapshot(entries: entries)
    }
}
