import LSMTree
import SortedTable

/// What a run of manifest edits did.
struct EditSummary: Equatable {
    /// Edits of the run.
    var edits = 0
    /// Edits with a state: cuts of the memtable, and ingests.
    var cuts = 0
    /// Tables that they brought.
    var flushedTables = 0
    var flushedBytes: UInt64 = 0
    var merges = 0
    var mergeInputBytes: UInt64 = 0
    var mergeOutputBytes: UInt64 = 0
    var moves = 0
    var movedBytes: UInt64 = 0
    var drops = 0
    var droppedBytes: UInt64 = 0

    /// Bytes written for each byte that came from memory; nil when none came.
    var writeAmplification: Double? {
        flushedBytes == 0
            ? nil : Double(flushedBytes + mergeOutputBytes) / Double(flushedBytes)
    }

    /// Counts an edit; `sizes` has the bytes of listed tables.
    mutating func count(_ edit: ManifestEdit, _ sizes: [UInt64: UInt64]) {
        edits += 1
        let removed = Set(edit.removals.map(\.fileID))
        let added = Set(edit.additions.map(\.summary.fileID))
        let addedBytes = edit.additions.reduce(0) { $0 + $1.summary.bytes }
        let removedBytes = edit.removals.reduce(0) { $0 + (sizes[$1.fileID] ?? 0) }
        if edit.state != nil {
            cuts += 1
            flushedTables += added.count
            flushedBytes += addedBytes
        } else if !removed.isEmpty, removed == added {
            moves += 1
            movedBytes += addedBytes
        } else if !removed.isEmpty, added.isEmpty {
            drops += 1
            droppedBytes += removedBytes
        } else {
            merges += 1
            mergeInputBytes += removedBytes
            mergeOutputBytes += addedBytes
        }
    }

    static func += (left: inout EditSummary, right: EditSummary) {
        left.edits += right.edits
        left.cuts += right.cuts
        left.flushedTables += right.flushedTables
        left.flushedBytes += right.flushedBytes
        left.merges += right.merges
        left.mergeInputBytes += right.mergeInputBytes
        left.mergeOutputBytes += right.mergeOutputBytes
        left.moves += right.moves
        left.movedBytes += right.movedBytes
        left.drops += right.drops
        left.droppedBytes += right.droppedBytes
    }
}

extension ManifestInspector {
    /// `manifest summarize`: what the edits did, in runs of `every` edits. Records have no time, so
    /// runs are counted in edits. A merge whose rows were all hidden writes nothing and counts as a
    /// drop.
    func summarize(_ path: String, every: Int) throws {
        try each(path) { directory, id, manifest in
            report.add("file", "\(manifest):", [("file", .text(manifest))])
            var sizes: [UInt64: UInt64] = [:]
            var run = EditSummary()
            var runStart: UInt64?
            var total = EditSummary()
            func endRun(at end: UInt64) {
                guard let start = runStart else { return }
                add("run", "records \(start)…\(end)", run, start...max(start, end))
                total += run
                run = EditSummary()
                runStart = nil
            }
            var last: UInt64 = 0
            try ManifestReader.read(
                fileSystem: places.fileSystem, directory: directory, id: id
            ) { offset, edit in
                if !edit.isOpening {
                    if run.edits == every { endRun(at: last) }
                    runStart = runStart ?? offset
                    run.count(edit, sizes)
                    last = offset
                }
                for removal in edit.removals { sizes[removal.fileID] = nil }
                for addition in edit.additions {
                    sizes[addition.summary.fileID] = addition.summary.bytes
                }
            }
            endRun(at: last)
            add("total", "total", total, nil)
        }
    }

    private func add(
        _ kind: String, _ label: String, _ summary: EditSummary, _ range: ClosedRange<UInt64>?
    ) {
        let amplification = summary.writeAmplification
        report.add(
            kind,
            "  \(label): \(summary.edits) edits: \(summary.cuts) cuts with "
                + "\(summary.flushedTables) tables of \(summary.flushedBytes) bytes, "
                + "\(summary.merges) merges of \(summary.mergeInputBytes) into "
                + "\(summary.mergeOutputBytes) bytes, \(summary.moves) moves of "
                + "\(summary.movedBytes) bytes, \(summary.drops) drops of "
                + "\(summary.droppedBytes) bytes, write amplification "
                + (amplification.map(Decimals.text) ?? "unknown"),
            (range.map { [("from", .number($0.lowerBound)), ("to", .number($0.upperBound))] } ?? [])
                + [
                    ("edits", .number(summary.edits)), ("cuts", .number(summary.cuts)),
                    ("flushedTables", .number(summary.flushedTables)),
                    ("flushedBytes", .number(summary.flushedBytes)),
                    ("merges", .number(summary.merges)),
                    ("mergeInputBytes", .number(summary.mergeInputBytes)),
                    ("mergeOutputBytes", .number(summary.mergeOutputBytes)),
                    ("moves", .number(summary.moves)), ("movedBytes", .number(summary.movedBytes)),
                    ("drops", .number(summary.drops)),
                    ("droppedBytes", .number(summary.droppedBytes)),
                ] + (amplification.map { [("writeAmplification", .real($0))] } ?? []))
    }
}
