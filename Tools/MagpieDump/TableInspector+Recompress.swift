import ChatEngine
import LSMTree
import Platform
import SortedTable

/// One way of writing a table.
struct Packing: Equatable {
    let blockBytes: Int
    let isCompressed: Bool

    /// The combinations of block sizes and encodings that a command line names.
    static func parse(blockBytes: String, encodings: String) throws -> [Packing] {
        let sizes = try blockBytes.split(separator: ",").map { text in
            guard let size = Int(text), size > 0, size <= 1 << 24 else {
                throw UsageMistake("a block has 1 to 16777216 bytes, not '\(text)'")
            }
            return size
        }
        let compressed = try encodings.split(separator: ",").map { text in
            switch text {
            case "raw": false
            case "lz4": true
            default: throw UsageMistake("an encoding is raw or lz4, not '\(text)'")
            }
        }
        if sizes.isEmpty || compressed.isEmpty {
            throw UsageMistake("at least one block size and one encoding")
        }
        return sizes.flatMap { size in
            compressed.map { Packing(blockBytes: size, isCompressed: $0) }
        }
    }
}

extension TableInspector {
    /// `sst recompress`: writes each table anew in memory, once for each packing, reads it back,
    /// and says what that costs. The table itself stays as it is.
    func recompress(_ path: String, _ packings: [Packing], clock: any Clock = LinuxClock()) throws {
        try each(path) { path, reader in
            let properties = reader.properties
            let raw = properties.rawKeyBytes + properties.rawValueBytes
            report.add(
                "file", "\(path): \(reader.bytes) bytes, \(raw) bytes of keys and values",
                [
                    ("file", .text(path)), ("bytes", .number(reader.bytes)),
                    ("rawBytes", .number(raw)),
                ])
            for packing in packings { try recompress(reader, packing, raw: raw, clock) }
        }
    }

    private func recompress(
        _ reader: TableReader, _ packing: Packing, raw: UInt64, _ clock: any Clock
    ) throws {
        let file = MemoryFile("a copy in memory")
        let start = clock.monotonicNanoseconds()
        let summary = try rewrite(reader, packing, into: file)
        let written = clock.monotonicNanoseconds()
        let copy = try TableReader.open(
            file: file, fileID: reader.fileID,
            cache: BlockCache(budgetBytes: 1 << 20, shardsMax: 1))
        let rows = copy.makeIterator()
        var count: UInt64 = 0
        try rows.seekToFirst()
        while rows.isValid {
            count += 1
            try rows.next()
        }
        let read = clock.monotonicNanoseconds()
        precondition(count == reader.properties.rows, "a copy has the rows of its table")
        let properties = summary.properties
        let ratio = raw == 0 ? 0 : Double(summary.bytes) / Double(raw)
        let seconds = (write: Double(written - start) / 1e9, read: Double(read - written) / 1e9)
        report.add(
            "packing",
            "  blocks of \(packing.blockBytes) \(packing.isCompressed ? "lz4" : "raw"): "
                + "\(summary.bytes) bytes, ratio \(Decimals.text(ratio)), "
                + "\(properties.dataBlocks) blocks, \(properties.compressedBlocks) compressed, "
                + "\(properties.refusedBlocks) refused, write \(Decimals.text(seconds.write)) s, "
                + "read \(Decimals.text(seconds.read)) s",
            [
                ("blockBytes", .number(packing.blockBytes)),
                ("encoding", .text(packing.isCompressed ? "lz4" : "raw")),
                ("bytes", .number(summary.bytes)), ("ratio", .real(ratio)),
                ("dataBytes", .number(properties.dataBytes)),
                ("indexBytes", .number(properties.indexBytes)),
                ("filterBytes", .number(properties.filterBytes)),
                ("dataBlocks", .number(properties.dataBlocks)),
                ("compressedBlocks", .number(properties.compressedBlocks)),
                ("refusedBlocks", .number(properties.refusedBlocks)),
                ("writeSeconds", .real(seconds.write)), ("readSeconds", .real(seconds.read)),
            ])
    }

    private func rewrite(
        _ reader: TableReader, _ packing: Packing, into file: MemoryFile
    ) throws -> TableSummary {
        let properties = reader.properties
        let schema = KeySchema.all.first { $0.keyspace.rawValue == properties.keyspace }
        let defaults = TableOptions(keyspace: properties.keyspace)
        var writer = TableWriter(
            file: file, fileID: reader.fileID,
            options: TableOptions(
                keyspace: properties.keyspace, blockBytes: packing.blockBytes,
                isCompressed: packing.isCompressed,
                filterBitsPerKey: properties.filterBytes > 0 ? defaults.filterBitsPerKey : 0,
                filterPrefixLength: properties.filterPrefixLength,
                isNumbered: schema?.isNumbered ?? false, isExpiring: schema?.isExpiring ?? false,
                isPointRead: schema?.isPointRead ?? false))
        for tombstone in reader.rangeTombstones { writer.add(tombstone) }
        let rows = reader.makeIterator()
        try rows.seekToFirst()
        while rows.isValid {
            try writer.add(internalKey: rows.key, value: rows.value)
            try rows.next()
        }
        return try writer.finish()
    }
}

/// Numbers with three decimals.
enum Decimals {
    /// `number`, rounded.
    static func text(_ number: Double) -> String {
        let thousandths = (number.magnitude * 1000).rounded()
        guard thousandths < 1e15 else { return "\(number)" }
        let whole = Int(thousandths)
        let rest = "\(whole % 1000)"
        let zeros = String(repeating: "0", count: 3 - rest.count)
        return (number < 0 ? "-" : "") + "\(whole / 1000)." + zeros + rest
    }
}
