import Bytes
import LSMTree
import Platform
import ShardStore
import SortedTable

/// The `manifest` and `db` commands: what the tree says it consists of, and whether it does.
struct ManifestInspector {
    let places: Places
    let report: Report
    var keys = KeyText()

    var tables: TableInspector {
        TableInspector(places: places, report: report, keys: keys)
    }

    // MARK: manifest

    /// `manifest dump`: every record.
    func dump(_ path: String) throws {
        try each(path) { directory, id, manifest in
            report.add("file", "\(manifest):", [("file", .text(manifest))])
            try ManifestReader.read(
                fileSystem: places.fileSystem, directory: directory, id: id
            ) { offset, edit in add(edit, at: offset) }
        }
    }

    /// `manifest check`: every record, and that they add up.
    func check(_ path: String) throws {
        try each(path) { directory, id, manifest in
            _ = try checkedShape(directory, id, manifest)
        }
    }

    // MARK: db

    /// `db check`: manifests, the tables they list (presence, size, digest, every block and row),
    /// and the log.
    func checkDatabase(_ path: String) throws {
        try each(path) { directory, id, manifest in
            guard let shape = try checkedShape(directory, id, manifest) else { return }
            for listed in shape.tables { try checkTable(listed, directory, manifest) }
            try addOrphans(directory, shape)
        }
        if try !places.segments(path).isEmpty, places.names(path) != nil {
            try LogInspector(places: places, report: report).verify(path)
        }
    }

    /// `db props`: totals of each keyspace and level.
    func databaseProperties(_ path: String) throws {
        try each(path) { directory, id, manifest in
            guard let shape = try shape(directory, id, manifest) else { return }
            report.add(
                "tree",
                "\(directory): \(shape.tables.count) tables, last sequence \(shape.lastSequence), "
                    + "next file \(TableInspector.hex(shape.nextFileID))",
                [
                    ("directory", .text(directory)), ("tables", .number(shape.tables.count)),
                    ("lastSequence", .number(shape.lastSequence)),
                ])
            addTotals(shape.tables)
            addState(shape.state)
        }
    }

    /// `db lsm`: the tables of each level.
    func levels(_ path: String) throws {
        try each(path) { directory, id, manifest in
            guard let shape = try shape(directory, id, manifest) else { return }
            report.add("tree", "\(directory):", [("directory", .text(directory))])
            var place: (UInt8, Int)?
            for listed in shape.tables {
                let keyspace = listed.summary.keyspace
                if place.map({ $0 != (keyspace, listed.level) }) ?? true {
                    place = (keyspace, listed.level)
                    let name = KeyText.keyspaceName(keyspace)
                    report.add(
                        "level", "  \(name) level \(listed.level)",
                        [("keyspace", .text(name)), ("level", .number(listed.level))])
                }
                add(listed)
            }
        }
    }

    /// `db find`: every manifest record and every table that ever spoke of keys that start with
    /// `prefix`, with the rows.
    func find(_ prefix: [UInt8], _ path: String) throws {
        var found = 0
        try each(path) { directory, id, manifest in
            report.add("file", "\(manifest):", [("file", .text(manifest))])
            try ManifestReader.read(
                fileSystem: places.fileSystem, directory: directory, id: id
            ) { offset, edit in
                for addition in edit.additions where addition.summary.mayHold(prefix) {
                    report.add(
                        "edit",
                        "  \(offset)  \(TableName.make(addition.summary.fileID)) came to "
                            + "\(KeyText.keyspaceName(addition.summary.keyspace)) level "
                            + "\(addition.level)",
                        [
                            ("offset", .number(offset)),
                            ("table", .text(TableName.make(addition.summary.fileID))),
                            ("level", .number(UInt64(addition.level))),
                        ])
                }
            }
        }
        for table in try places.tables(path) {
            try report.guarding(table) {
                let reader = try tables.open(table)
                found += try tables.find(prefix, in: reader, label: table)
            }
        }
        report.add("found", "\(found) rows and range deletes", [("found", .number(found))])
    }

    // MARK: Walks

    func each(_ path: String, _ body: (String, UInt64, String) throws -> Void) throws {
        var manifests: [(directory: String, id: UInt64)] = []
        try report.guarding(path) { manifests = try places.manifests(path) }
        if manifests.isEmpty, report.problems == 0 {
            throw UsageMistake("there is no manifest under \(path)")
        }
        for (directory, id) in manifests {
            let manifest = directory + "/" + TableInspector.hex(id) + ".manifest"
            try report.guarding(manifest) { try body(directory, id, manifest) }
        }
    }

    /// What the manifest adds up to; nil when a record is refused, which is reported.
    func shape(
        _ directory: String, _ id: UInt64, _ manifest: String
    ) throws -> TreeShape? {
        var shape = TreeShape()
        var isSound = true
        try ManifestReader.read(fileSystem: places.fileSystem, directory: directory, id: id) {
            offset, edit in
            if let problem = shape.apply(edit, at: offset) {
                isSound = false
                report.addCorrupt(
                    file: manifest, offset: offset,
                    expected: "a record that follows on those before", found: problem)
            }
        }
        return isSound ? shape : nil
    }

    private func checkedShape(
        _ directory: String, _ id: UInt64, _ manifest: String
    ) throws -> TreeShape? {
        guard let shape = try shape(directory, id, manifest) else { return nil }
        for (left, right) in shape.overlaps {
            report.addCorrupt(
                file: manifest, offset: right.offset,
                expected: "\(TableName.make(right.summary.fileID)) above "
                    + "\(TableName.make(left.summary.fileID)) on level \(right.level)",
                found: "an overlap")
        }
        if let state = shape.state, !state.isEmpty {
            do {
                _ = try CutStateFormat.decode(state)
            } catch {
                report.addCorrupt(
                    file: manifest, offset: 0, expected: "a cut's state", found: "\(error)")
            }
        }
        report.add(
            "manifest",
            "ok: \(manifest): \(shape.records) records, \(shape.tables.count) tables",
            [
                ("file", .text(manifest)), ("records", .number(shape.records)),
                ("tables", .number(shape.tables.count)),
            ])
        return shape
    }

    private func checkTable(
        _ listed: TreeShape.Listed, _ directory: String, _ manifest: String
    ) throws {
        let path = directory + "/" + TableName.make(listed.summary.fileID)
        guard try places.fileSystem.exists(path) else {
            report.addCorrupt(
                file: path, offset: 0,
                expected: "the table that \(manifest) lists at \(listed.offset)", found: "no file")
            return
        }
        try report.guarding(path) {
            let reader = try tables.open(path)
            let digest = try reader.verify()
            if reader.bytes != listed.summary.bytes {
                report.addCorrupt(
                    file: path, offset: 0, expected: "\(listed.summary.bytes) bytes",
                    found: "\(reader.bytes)")
            } else if digest != listed.summary.digest {
                report.addCorrupt(
                    file: path, offset: 0,
                    expected: "digest \(TableInspector.hex(listed.summary.digest))",
                    found: TableInspector.hex(digest))
            } else if reader.properties != listed.summary.properties {
                report.addCorrupt(
                    file: path, offset: 0, expected: "the properties that the manifest states",
                    found: "others")
            } else {
                report.add("table", "ok: \(path)", [("file", .text(path))])
            }
        }
    }

    private func addOrphans(_ directory: String, _ shape: TreeShape) throws {
        let listed = Set(shape.tables.map(\.summary.fileID))
        for name in try places.fileSystem.list(directory) {
            guard let id = TableName.fileID(name), !listed.contains(id) else { continue }
            report.add(
                "orphan", "orphan: \(directory)/\(name): no manifest lists it",
                [("file", .text(directory + "/" + name))])
        }
    }
}

extension TableSummary {
    /// Whether keys that start with `prefix` can lie between the bounds.
    func mayHold(_ prefix: [UInt8]) -> Bool {
        let isAtOrAboveSmallest =
            !prefix.lexicographicallyPrecedes(smallestUserKey)
            || smallestUserKey.starts(with: prefix)
        return isAtOrAboveSmallest && !largestUserKey.lexicographicallyPrecedes(prefix)
    }
}
