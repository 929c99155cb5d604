import Bytes
import SortedTable

/// Tables whose bytes are wrong.
enum FuzzTables {
    private static let fileID: UInt64 = 7

    /// A sound table and its map.
    struct Base {
        let bytes: [UInt8]
        let blocks: [BlockReport]
        let keys: [[UInt8]]
    }

    /// Tables of several layouts: raw and lz4, small blocks and large, with and without filters.
    static let bases: [Base] = [
        (60, 50, false, 10, nil), (4096, 4096, false, 10, 2), (120, 70, true, 5, 2),
        (4096, 200, true, 0, nil), (1, 1, false, 1, 1),
    ].flatMap { layout in
        [false, true].compactMap { hasColumns in
            make(layout.0, layout.1, layout.2, layout.3, layout.4, hasColumns: hasColumns)
        }
    }

    /// - Parameter hasColumns: half of the keys are a prefix and a number, and stand in columns.
    private static func make(
        _ blockBytes: Int, _ indexBytes: Int, _ isCompressed: Bool, _ bits: Int, _ prefix: Int?,
        hasColumns: Bool
    ) -> Base? {
        if hasColumns && prefix == nil { return nil }
        let file = MemoryFile("table", [])
        var writer = TableWriter(
            file: file, fileID: fileID,
            options: TableOptions(
                keyspace: 1, blockBytes: blockBytes, indexBlockBytes: indexBytes,
                isCompressed: isCompressed, filterBitsPerKey: bits, filterPrefixLength: prefix,
                isNumbered: hasColumns, isPointRead: bits == 10))
        var keys: [[UInt8]] = []
        do {
            for number in 0..<40 as Range<UInt64> {
                var user = [UInt8(number / 10), 5, UInt8(number), 9]
                if hasColumns, let prefix, number % 20 < 10 {
                    user = user[..<min(1, prefix)] + [UInt8](repeating: 5, count: prefix - 1)
                    user += [UInt8](repeating: 0, count: 7) + [UInt8(number)]
                }
                let key = InternalKey.make(
                    userKey: user, sequence: number + 1, kind: number % 9 == 0 ? .delete : .put)
                let value = [UInt8](repeating: UInt8(number), count: Int(number % 30))
                try key.withUnsafeBytes { key in
                    try value.withUnsafeBytes { try writer.add(internalKey: key, value: $0) }
                }
                keys.append(user)
            }
            writer.add(RangeTombstone(lower: [1], upper: [2], sequence: 50))
            writer.add(RangeTombstone(lower: [1, 9], upper: [3], sequence: 51))
            _ = try writer.finish()
            let reader = try TableReader.open(
                file: file, fileID: fileID, cache: BlockCache(budgetBytes: 0))
            return Base(
                bytes: file.contents, blocks: try reader.layout().blocks, keys: keys)
        } catch {
            return nil
        }
    }

    /// Opens a table and reads all there is to read, in every way.
    private static func read(_ bytes: [UInt8], _ keys: [[UInt8]]) -> FuzzTarget.Outcome {
        do {
            let reader = try TableReader.open(
                file: MemoryFile("table", bytes), fileID: fileID,
                cache: BlockCache(budgetBytes: 1 << 16))
            _ = try? reader.layout()
            var isSound = true
            do { try reader.verify() } catch { isSound = false }
            let rows = try? walk(reader)
            if isSound {
                precondition(rows == reader.properties.rows, "a sound table has all its rows")
            }
            for key in keys { try? look(reader, key) }
            return isSound ? .accepted : .refused
        } catch {
            return .refused
        }
    }

    /// Rows forward, which must be as many backward.
    private static func walk(_ reader: TableReader) throws(TableError) -> UInt64 {
        let iterator = reader.makeIterator()
        var (forward, backward): (UInt64, UInt64) = (0, 0)
        var sum: UInt8 = 0
        try iterator.seekToFirst()
        while iterator.isValid {
            forward += 1
            precondition(forward < 1 << 20, "a small file has few rows")
            for byte in iterator.key { sum &+= byte }
            for byte in iterator.value { sum &+= byte }
            try iterator.next()
        }
        try iterator.seekToLast()
        while iterator.isValid {
            backward += 1
            for byte in iterator.key { sum &-= byte }
            for byte in iterator.value { sum &-= byte }
            try iterator.previous()
        }
        precondition(forward == backward && sum == 0, "both ways show the same rows")
        return forward
    }

    private static func look(_ reader: TableReader, _ key: [UInt8]) throws {
        try key.withUnsafeBytes { key in
            _ = try reader.get(userKey: key, at: InternalKey.sequenceMax) { _, _, value in
                value.reduce(0) { $0 &+ $1 }
            }
            _ = try reader.mayContain(prefix: key)
            let iterator = reader.makeIterator()
            try iterator.seek(userKey: key, trailer: .max)
            if iterator.isValid { try iterator.previous() }
            try iterator.seekForPrevious(userKey: key, trailer: 0)
            if iterator.isValid { try iterator.next() }
        }
    }

    // MARK: Targets

    static func file(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var bytes = input
        sealFooter(&bytes)
        return read(bytes, bases[0].keys)
    }

    static func block(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let base = bases[Int(input.byte()) % bases.count]
        let block = base.blocks[input.below(base.blocks.count)]
        let type = input.byte()
        let start = Int(block.handle.offset)
        let payload = Array(base.bytes[start..<(start + Int(block.handle.bytes))])
        var changed = Array(input.change(payload).prefix(payload.count))
        var bytes = base.bytes
        if changed.count < payload.count,
            !shorten(block.handle, to: changed.count, base, &bytes)
        {
            changed += payload[changed.count...]
        }
        bytes.replaceSubrange(start..<(start + changed.count), with: changed)
        let end = start + changed.count
        // Mostly the type that it has; another one now and then.
        bytes[end] = type < 0xC0 ? base.bytes[start + payload.count] : type
        seal(start..<end, &bytes)
        return read(bytes, base.keys)
    }

    static func summary(_ input: [UInt8]) -> FuzzTarget.Outcome {
        FuzzFormats.outcome {
            let summary = try ByteReader.readAll(input) { try TableSummary(from: &$0) }
            var writer = ByteWriter()
            summary.encode(into: &writer)
            let again = try ByteReader.readAll(writer.bytes) { try TableSummary(from: &$0) }
            precondition(again == summary, "a summary is what it is written as")
        }
    }

    // MARK: Seals

    /// Makes type and checksum behind a payload right.
    private static func seal(_ payload: Range<Int>, _ bytes: inout [UInt8]) {
        let seed = Checksum.seed(file: fileID, offset: UInt64(payload.lowerBound))
        let sum = Checksum.xxh3(Array(bytes[payload.lowerBound...payload.upperBound]), seed: seed)
        put(sum, at: payload.upperBound + 1, &bytes)
    }

    private static func sealFooter(_ bytes: inout [UInt8]) {
        let offset = bytes.count - TableFormat.footerBytes
        guard offset >= 0 else { return }
        var writer = ByteWriter()
        writer.write(fixed: UInt32(0))
        writer.write(fixed: TableFormat.version)
        writer.write(fixed: fileID)
        bytes.replaceSubrange((offset + 36)..<(offset + 52), with: writer.bytes)
        let seed = Checksum.seed(file: fileID, offset: UInt64(offset))
        put(
            Checksum.xxh3(Array(bytes[offset..<(offset + 52)]), seed: seed), at: offset + 52,
            &bytes)
        put(TableFormat.magic, at: offset + 60, &bytes)
    }

    private static func put(_ value: UInt64, at offset: Int, _ bytes: inout [UInt8]) {
        for index in 0..<8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
    }

    /// Changes the length in the handle that leads to a block, wherever it stands, and seals what
    /// it stands in. False when it is not found: its block is lz4.
    private static func shorten(
        _ handle: BlockHandle, to count: Int, _ base: Base, _ bytes: inout [UInt8]
    ) -> Bool {
        var writer = ByteWriter()
        writer.write(fixed: handle.offset)
        writer.write(fixed: handle.bytes)
        let pattern = writer.bytes
        var length = ByteWriter()
        length.write(fixed: UInt32(count))
        for place in 0...(bytes.count - pattern.count)
        where bytes[place..<(place + pattern.count)].elementsEqual(pattern) {
            bytes.replaceSubrange((place + 8)..<(place + 12), with: length.bytes)
            let parent = base.blocks.first { block in
                let end = block.handle.offset + UInt64(block.handle.bytes)
                return (block.handle.offset..<end).contains(UInt64(place))
            }
            if let parent {
                let start = Int(parent.handle.offset)
                seal(start..<(start + Int(parent.handle.bytes)), &bytes)
            } else {
                sealFooter(&bytes)
            }
            return true
        }
        return false
    }

    // MARK: Seeds

    static var blockSeeds: [[UInt8]] {
        bases.enumerated().flatMap { number, base in
            base.blocks.indices.prefix(30).flatMap { block in
                let head = [UInt8(number), UInt8(block), 0, 0]
                let handle = base.blocks[block].handle
                let start = Int(handle.offset)
                return [
                    head + [0, 3, 0, 0x80], head + [0, 0, 0, 1, 9, 0, 0xFF],
                    head + [1] + base.bytes[start..<(start + Int(handle.bytes))],
                ]
            }
        }
    }

    static var summarySeeds: [[UInt8]] {
        bases.compactMap { base in
            guard
                let reader = try? TableReader.open(
                    file: MemoryFile("table", base.bytes), fileID: fileID,
                    cache: BlockCache(budgetBytes: 0))
            else { return nil }
            var writer = ByteWriter()
            TableSummary(bytes: 1, digest: 2, properties: reader.properties).encode(into: &writer)
            return writer.bytes
        }
    }
}
