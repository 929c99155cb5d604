extension SearchSnapshot {
    /// An index of nothing.
    package static let empty = SearchSnapshot([])

    /// Several indexes of different conversations as one.
    package init(joining snapshots: [SearchSnapshot]) {
        self.init(snapshots.flatMap(\.parts))
    }

    /// What the index would be if what happened in `builder` were committed: it is searched as a
    /// segment in memory, and its documents' earlier versions are dead. Nothing is written.
    package func preview(
        _ builder: SegmentBuilder, tokens: TokenVersion
    ) throws(SearchError) -> SearchSnapshot {
        if builder.isEmpty { return self }
        var parts = parts
        for key in builder.touchedKeys() {
            for index in parts.indices {
                guard let document = parts[index].reader.find(key) else { continue }
                _ = parts[index].dead.insert(document)
            }
        }
        let memory = SegmentMemory()
        let fileID = UInt64.max
        if try builder.write(to: memory, fileID: fileID, tokens: tokens) != nil {
            let reader = try SegmentReader.open(file: memory, fileID: fileID)
            parts.append(
                Part(reader: reader, dead: DeadDocuments(documents: reader.documentCount)))
        }
        return SearchSnapshot(parts)
    }

    /// Documents that are dead: their words are still on the disk.
    package var deadDocuments: Int { parts.reduce(0) { $0 + $1.dead.count } }
}
