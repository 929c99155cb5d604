internal import Bytes

/// A table in words: every block with its place, every row with its parts.
///
/// The golden file of the tests has such a dump beside it, and `magpie-dump sst raw` prints one.
package enum TableDump {
    /// Hands the lines of the dump to `line`, in file order. `keyText` gives a user key a readable
    /// form; values are hexadecimal.
    package static func write(
        _ reader: TableReader, keyText: ([UInt8]) -> String = { Hex.encode($0) },
        _ line: (String) -> Void
    ) throws(TableError) {
        for block in try reader.layout().blocks {
            let start = block.handle.offset
            let end = start + UInt64(block.handle.bytes)
            line(
                "\(start): \(block.role) block, payload \(block.handle.bytes) bytes, "
                    + "content \(block.contentBytes) bytes, \(block.encoding)")
            let loaded = try reader.loader.load(block.handle, block.role)
            let content = loaded.block
            switch block.role {
            case .data, .index, .root:
                writeRows(content, block.role, keyText, line)
            case .columns:
                writeColumns(content, keyText, line)
            case .filter, .prefixFilter:
                line("    \(content.count / 64) lines of 64 bytes")
                line("    probes \(content.content[content.count - 1])")
            case .tombstones:
                for tombstone in reader.rangeTombstones {
                    line(
                        "    from \(keyText(tombstone.lower)) to before "
                            + "\(keyText(tombstone.upper)) at \(tombstone.sequence)")
                }
            case .properties:
                for (name, value) in fields(reader.properties) { line("    \(name) \(value)") }
            }
            let type = TableFormat.type(block.role, block.encoding)
            let typeText = hexadecimal(UInt64(type)).suffix(2)
            line("\(end): type \(typeText), checksum \(hexadecimal(block.checksum))")
        }
        let footer = reader.footer
        line("\(reader.loader.endOffset): footer")
        line("    properties at \(footer.properties.offset), \(footer.properties.bytes) bytes")
        line("    root at \(footer.root.offset), \(footer.root.bytes) bytes")
        line(
            "    range tombstones at \(footer.tombstones.offset), \(footer.tombstones.bytes) bytes")
        line("    version \(TableFormat.version), file id \(hexadecimal(reader.fileID))")
        line("\(reader.bytes): end")
    }

    /// The properties by name, as reports show them.
    package static func fields(_ properties: TableProperties) -> [(name: String, value: String)] {
        func limit(_ value: UInt64, _ none: UInt64) -> String {
            value == none ? "none" : "\(value)"
        }
        return [
            ("fileID", hexadecimal(properties.fileID)),
            ("keyspace", "\(properties.keyspace)"),
            ("filterPrefixLength", properties.filterPrefixLength.map { "\($0)" } ?? "none"),
            ("rows", "\(properties.rows)"),
            ("deletes", "\(properties.deletes)"),
            ("rangeDeletes", "\(properties.rangeDeletes)"),
            ("minSequence", limit(properties.minSequence, .max)),
            ("maxSequence", "\(properties.maxSequence)"),
            ("minExpiry", limit(properties.minExpiry, .max)),
            ("maxExpiry", limit(properties.maxExpiry, .max)),
            ("rawKeyBytes", "\(properties.rawKeyBytes)"),
            ("rawValueBytes", "\(properties.rawValueBytes)"),
            ("dataBlocks", "\(properties.dataBlocks)"),
            ("compressedBlocks", "\(properties.compressedBlocks)"),
            ("refusedBlocks", "\(properties.refusedBlocks)"),
            ("deleteDenseBlocks", "\(properties.deleteDenseBlocks)"),
            ("dataBytes", "\(properties.dataBytes)"),
            ("indexBytes", "\(properties.indexBytes)"),
            ("filterBytes", "\(properties.filterBytes)"),
            ("smallest", Hex.encode(properties.smallest)),
            ("largest", Hex.encode(properties.largest)),
        ]
    }

    private static func writeRows(
        _ block: TableBlock, _ role: TableFormat.Role, _ keyText: ([UInt8]) -> String,
        _ line: (String) -> Void
    ) {
        for number in 0..<block.rowCount {
            let row = block.row(number)
            let offset = row.rest - UnsafeRawPointer(block.base) - headerBytes(row)
            let key = [UInt8](block.copyKey(number).dropLast(InternalKey.trailerBytes))
            var text = "    +\(offset) row \(number): shared \(row.shared), rest \(row.restBytes), "
            text += "key \(keyText(key)), sequence \(row.trailer >> 8), "
            text += "kind \(kindText(UInt8(truncatingIfNeeded: row.trailer))), "
            if role == .data {
                let value = UnsafeRawBufferPointer(start: row.value, count: row.valueBytes)
                text += "value \(Hex.encode(value))"
            } else {
                text += (0..<(role == .index ? 1 : 3)).map { part in
                    let handle = block.handle(number, part: part)
                    return "\(handle.offset)+\(handle.bytes)"
                }.joined(separator: ", ")
                if role == .index, let properties = block.blockProperties(number) {
                    text += blockText(properties)
                }
            }
            line(text)
        }
        line("    +\(block.rowsEnd) \(block.rowCount) offsets of \(block.offsetBytes) bytes")
        if block.hasBuckets {
            let start = block.count - 4 - block.buckets.count
            line("    +\(start) buckets \(Hex.encode(block.buckets))")
        }
    }

    private static func blockText(_ properties: BlockProperties) -> String {
        let expiries = [properties.minExpiry, properties.maxExpiry].map { expiry in
            expiry == .max ? "none" : "\(expiry)"
        }
        return ", rows \(properties.rows), deletes \(properties.deletes), "
            + "sequences \(properties.minSequence) to \(properties.maxSequence), "
            + "expiries \(expiries[0]) to \(expiries[1])"
    }

    private static func writeColumns(
        _ block: TableBlock, _ keyText: ([UInt8]) -> String, _ line: (String) -> Void
    ) {
        let places = block.columns.pointee
        for number in 0..<Int(places.runCount) {
            let run = block.columnRun(number)
            line("    run \(number): rows \(run.firstRow) to before \(run.endRow)")
            for row in run.firstRow..<run.endRow {
                let key = [UInt8](block.copyColumnKey(row).dropLast(InternalKey.trailerBytes))
                let (trailer, value) = block.parts(row)
                line(
                    "    row \(row): key \(keyText(key)), sequence \(trailer >> 8), "
                        + "kind \(kindText(UInt8(truncatingIfNeeded: trailer))), "
                        + "value \(Hex.encode(value))")
            }
        }
        line("    +\(places.runs) \(places.runCount) runs, prefixes of \(places.prefixBytes) bytes")
        line("    +\(places.gaps) gaps of \(places.gapWidth) bytes")
        line(
            "    +\(places.trailers) trailers of \(places.trailerWidth) bytes above "
                + "\(places.trailerBase)")
        line("    +\(places.ends) ends of \(places.endWidth) bytes")
    }

    private static func headerBytes(_ row: BlockRow) -> Int {
        [row.shared, row.restBytes].reduce(0) { $0 + ($1 < 0x80 ? 1 : ($1 < 0x4000 ? 2 : 3)) }
    }

    /// The name of a kind byte.
    package static func kindText(_ kind: UInt8) -> String {
        RowKind(rawValue: kind).map { "\($0)" } ?? "\(kind)"
    }
}
