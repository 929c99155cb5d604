import SortedTable

// Working around tables in quarantine.
extension CompactionPicker {
    func isQuarantined(_ table: TableMetadata) -> Bool { quarantined.contains(table.fileID) }

    /// The tables of level 0 that may go down, newest first: not those in quarantine, and not what
    /// is newer than a table that stays and overlaps it.
    func movable(_ shape: LevelShape) -> [TableMetadata] {
        let zero = shape.levels[0]
        if quarantined.isEmpty { return zero }
        var staying: [TableMetadata] = []
        var going: [TableMetadata] = []
        for table in zero.reversed() {
            if isQuarantined(table) || staying.contains(where: { $0.overlaps(table) }) {
                staying.append(table)
            } else {
                going.append(table)
            }
        }
        return going.reversed()
    }

    /// Moves a table in quarantine out of level 0, unread, when nothing older overlaps it there: to
    /// the lowest level above everything that it overlaps. Nil when that would leave no level
    /// between it and level 0.
    func sinking(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        if quarantined.isEmpty { return nil }
        let zero = shape.levels[0]
        for (place, table) in zero.enumerated().reversed() where isQuarantined(table) {
            if zero[(place + 1)...].contains(where: { $0.overlaps(table) }) { continue }
            let span = KeySpan(table)
            let met = (1...LevelShape.last).first { !shape.tables($0, overlapping: span).isEmpty }
            let output = (met ?? LevelShape.last + 1) - 1
            if output < 2 { continue }
            return CompactionPlan(
                keyspace: keyspace, work: .move, reason: .levelZero, inputLevel: 0,
                outputLevel: output, inputs: [table], outputs: [], tableBytes: options.tableBytes)
        }
        return nil
    }
}

extension LevelShape {
    /// The first level below 0 that has one of these tables.
    func firstLevel(with quarantined: Set<UInt64>) -> Int? {
        if quarantined.isEmpty { return nil }
        return levels.indices.dropFirst().first { level in
            levels[level].contains { quarantined.contains($0.fileID) }
        }
    }
}
