import Bytes
import LSMTree
import Platform
import RecordLog
import Synchronization

/// A tree's own files, and rows on their way into it.
enum FuzzTrees {
    private static let directory = "tree"
    private static let first = Keyspace(rawValue: 1)
    private static let second = Keyspace(rawValue: 2)

    private static var options: TreeOptions {
        var options = TreeOptions(keyspaces: [
            KeyspaceOptions(first, name: "first", filterPrefixLength: 1, isNumbered: true),
            KeyspaceOptions(second, name: "second", isExpiring: true, isPointRead: true),
        ])
        options.blockBytes = 60
        options.tableBytes = 400
        options.levelZeroTables = 3
        options.levelBaseBytes = 800
        options.blockCacheBytes = 0
        return options
    }

    /// A sound tree, closed.
    struct Base {
        let disk: MemoryDisk
        let manifest: String
        let id: UInt64
        let edits: [ManifestEdit]
        let current: [UInt8]
    }

    static let base: Base = {
        do {
            return try makeBase()
        } catch {
            preconditionFailure("a sound tree is made: \(error)")
        }
    }()

    private static func makeBase() throws -> Base {
        let disk = MemoryDisk()
        let scheduler = QueueScheduler()
        let tree = try open(disk, scheduler)
        for number in 0..<12 as Range<UInt8> {
            var batch = WriteBatch()
            for step in 0..<6 as Range<UInt8> {
                let value = [UInt8](repeating: step, count: 20)
                batch.put(step % 2 == 0 ? first : second, key: [number % 5, step], value: value)
            }
            if number % 4 == 3 { batch.deleteRange(first, from: [1], to: [2]) }
            tree.apply(batch)
            tree.cut(state: [number]) { _ in }
            scheduler.run()
        }
        tree.close()
        scheduler.end()
        let current = disk[directory + "/CURRENT"] ?? []
        guard let id = try ManifestReader.currentID(fileSystem: disk, directory: directory),
            let path = disk.paths.first(where: { $0.hasSuffix(".manifest") })
        else { preconditionFailure("a tree has a manifest") }
        var edits: [ManifestEdit] = []
        try ManifestReader.read(fileSystem: disk, directory: directory, id: id) { (_, edit) in
            edits.append(edit)
        }
        return Base(disk: disk, manifest: path, id: id, edits: edits, current: current)
    }

    private static func open(
        _ disk: MemoryDisk, _ scheduler: QueueScheduler
    ) throws(TreeError) -> Tree {
        try Tree.open(
            fileSystem: disk, directory: directory, options: options, scheduler: scheduler,
            onFailure: { _ in })
    }

    // MARK: Targets

    static func edit(_ input: [UInt8]) -> FuzzTarget.Outcome {
        FuzzFormats.outcome {
            try input.dropFirst().withUnsafeBytes { raw in
                let edit = try ManifestEdit.decode(type: input.first ?? 0, raw)
                let again = try edit.encode().withUnsafeBytes {
                    try ManifestEdit.decode(type: input.first ?? 0, $0)
                }
                precondition(again == edit, "an edit is what it is written as")
            }
        }
    }

    /// Opens the tree behind a manifest in which one record is another, and has it work on.
    static func manifest(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let disk = base.disk.copy()
        let changed = input.below(base.edits.count)
        var bytes: [UInt8] = []
        for (index, edit) in base.edits.enumerated() {
            let payload = edit.encode()
            let type: UInt8 = edit.isOpening ? 1 : 2
            (index == changed ? input.change(payload) : payload).withUnsafeBytes { raw in
                RecordFormat.append(
                    type: type, payload: raw, mark: 0, id: base.id, offset: UInt64(bytes.count),
                    to: &bytes)
            }
        }
        disk[base.manifest] = bytes
        return look(disk)
    }

    static func current(_ input: [UInt8]) -> FuzzTarget.Outcome {
        let disk = base.disk.copy()
        disk[directory + "/CURRENT"] = input
        return look(disk)
    }

    private static func look(_ disk: MemoryDisk) -> FuzzTarget.Outcome {
        let scheduler = QueueScheduler()
        guard let tree = try? open(disk, scheduler) else { return .refused }
        defer {
            tree.close()
            scheduler.end()
        }
        let isReadable = (try? readAll(tree.snapshot())) != nil
        var batch = WriteBatch()
        batch.put(first, key: [2, 2], value: [1])
        // A manifest may say that all sequences are taken.
        guard tree.lastSequence < 1 << 55 else { return .refused }
        tree.apply(batch)
        tree.cut(state: [77]) { _ in }
        tree.requestCompaction(first)
        scheduler.run(limit: 200)
        _ = try? readAll(tree.snapshot())
        return isReadable ? .accepted : .refused
    }

    private static func readAll(_ snapshot: Snapshot) throws(TreeError) -> Int {
        var rows = 0
        for keyspace in [first, second] {
            let iterator = try snapshot.makeIterator(keyspace)
            try iterator.seekToFirst()
            while iterator.isValid {
                rows += 1
                try iterator.next()
            }
            for key in 0..<5 as Range<UInt8> {
                _ = try snapshot.get(keyspace, key: [key, key])
            }
        }
        return rows
    }

    static func packedRows(_ input: [UInt8]) -> FuzzTarget.Outcome {
        FuzzFormats.outcome {
            try input.withUnsafeBytes { raw in
                var reader = PackedRowReader(raw)
                var end = 0
                while let row = try reader.next() {
                    precondition(row.offset >= end, "rows follow each other")
                    end = row.offset + row.key.count + row.value.count
                }
                precondition(end <= raw.count, "rows end with their bytes")
            }
        }
    }

    /// Rows that a tree takes are all there once they are installed; others change nothing.
    static func ingest(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let keyspace = Keyspace(rawValue: input.byte() % 4)
        let rows = input.rest()
        let scheduler = QueueScheduler()
        return FuzzFormats.outcome {
            let tree = try open(MemoryDisk(), scheduler)
            defer {
                tree.close()
                scheduler.end()
            }
            let ingest = try tree.beginIngest(ranges: [
                KeyRange(lower: [], upper: [0x40]), KeyRange(lower: [0x80], upper: [0xFF]),
            ])
            defer { ingest.abandon() }
            try ingest.add(keyspace, packed: rows)
            try ingest.seal()
            tree.install(ingest, state: [2], memtableState: [1]) { _ in }
            scheduler.run()
            precondition(tree.installedState == [2], "an ingest is installed")
            let chunk = try tree.snapshot().rows(
                keyspace, from: [], to: [0xFF], bytesMax: 1 << 30)
            let expected = try canonical(rows)
            precondition(chunk.packed == expected, "all rows are there")
        }
    }

    /// The same rows with the shortest lengths.
    private static func canonical(_ rows: [UInt8]) throws -> [UInt8] {
        var writer = ByteWriter()
        try rows.withUnsafeBytes { raw in
            var reader = PackedRowReader(raw)
            while let row = try reader.next() {
                writer.write(prefixed: row.key)
                writer.write(prefixed: row.value)
            }
        }
        return writer.bytes
    }

    // MARK: Seeds

    static var editSeeds: [[UInt8]] {
        base.edits.map { [$0.isOpening ? 1 : 2] + $0.encode() }
    }

    static var manifestSeeds: [[UInt8]] {
        base.edits.indices.flatMap { index -> [[UInt8]] in
            let head = [UInt8(index), 0]
            return [
                head + [0, 2, 0, 9], head + [0, 0, 0, 1, 12, 0, 0xFF, 40, 0, 0x80],
                head + [1] + base.edits[index].encode(), head + [2, 5, 0, 4, 0, 1, 2, 3],
            ]
        }
    }

    static var rowSeeds: [[UInt8]] {
        [[1, 1, 1, 1, 7], [2, 1, 1, 1, 7, 2, 0x90, 1, 0], [1, 0, 2, 5, 5, 1, 0, 3, 1, 2, 3]]
    }
}
