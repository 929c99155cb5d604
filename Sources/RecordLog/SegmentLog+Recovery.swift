import Bytes
package import Platform

/// What the start of a log found.
package struct LogRecovery: Equatable, Sendable {
    /// Segments that were read.
    package var segments = 0
    /// Records of the owner that were visited.
    package var records = 0
    /// Records that were past the last durable mark, and were written again.
    package var movedRecords = 0
    /// Where the records of the last segment ended; nil when there was no segment.
    package var end: LogPosition?
}

/// Starting a log.
///
/// 1. The last segment is the one with the highest id whose header is valid. Files above it never
///    came to life, unless a record in them proves otherwise: rot. That there is no last segment is
///    rot where the owner knows that there was a log.
/// 2. Its records are read up to the first place that does not parse. A mark beyond that place is
///    rot. Otherwise the tail is torn there.
/// 3. The segments before it are found through the headers' links, down to the lowest that was not
///    released. Each must be readable up to the end that its successor states: less is rot.
/// 4. The owner sees every record below the last mark, and the last segment's header in any case.
/// 5. What lies past the last mark may have been read from memory that never reached the platter.
///    It is copied to a fresh segment; copies first, sync, then the header that makes them count
///    and the old tail not count, sync. Then the owner sees the copies, at their new positions.
extension SegmentLog {
    /// What a visitor gets: position, type, payload. The payload lives as long as the call.
    package typealias Visit = (
        LogPosition, UInt8, UnsafeRawBufferPointer
    ) throws(LogError) -> Void

    /// Opens the log in `directory`, which is made when missing.
    ///
    /// - Parameters:
    ///   - lane: makes and takes back files in the background; nil: the caller's thread does.
    ///   - segmentHeader: what the owner writes at the start of each segment: the state of its
    ///     world at this point of the log. Called here once, after all records below the last mark
    ///     were visited and before those past it; and in ``append(_:)`` before the records it is
    ///     about to write. The log keeps it: it must not keep the owner of the log alive.
    ///   - visit: sees every record in order. A segment header comes as type
    ///     ``RecordFormat/segmentHeaderType`` with the owner's bytes.
    /// - Throws: ``LogError/rot(file:offset:expected:found:)`` when something durable can't be
    ///   read.
    package static func recover(
        fileSystem: any FileSystem, directory: String,
        options: SegmentLogOptions = SegmentLogOptions(), lane: (any Lane)? = nil,
        segmentHeader: @escaping () -> [UInt8], visit: Visit
    ) throws(LogError) -> SegmentLog {
        var start = try LogStart(
            fileSystem: fileSystem, directory: directory, options: options, lane: lane)
        try start.findSegments()
        try start.visitDurable(visit)
        try start.writeFresh(header: segmentHeader())
        try start.visitMoved(visit)
        return start.finish(segmentHeader)
    }
}

/// The steps of a start, in the order of its methods.
private struct LogStart {
    private struct Found {
        let header: SegmentHeader
        let file: any File
        /// The mark of its header record.
        let mark: UInt64
        /// Where the log leaves it: the end of records that are durable.
        var end: UInt64 = 0
    }

    private let fileSystem: any FileSystem
    private let directory: String
    private let options: SegmentLogOptions
    private let pool: SegmentPool
    private let ids: [UInt64]
    private var chain: [Found] = []
    /// Where the last segment stops being readable.
    private var readableEnd: UInt64 = 0
    private var floor: UInt64 = 1
    private var fresh: SegmentLog.Segment?
    private var freshHeaderEnd: UInt64 = 0
    private var report = LogRecovery()

    init(
        fileSystem: any FileSystem, directory: String, options: SegmentLogOptions,
        lane: (any Lane)?
    ) throws(LogError) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.options = options
        pool = SegmentPool(
            fileSystem: fileSystem, directory: directory, options: options, lane: lane)
        let names = try onDisk { () throws(DiskError) in
            try fileSystem.makeDirectory(directory)
            return try fileSystem.list(directory)
        }
        ids = names.compactMap(SegmentName.id).sorted()
    }

    // MARK: 1–3: what is there

    mutating func findSegments() throws(LogError) {
        for id in ids.reversed() {
            if let found = try open(id) {
                chain = [found]
                break
            }
        }
        if chain.isEmpty {
            if options.mayBeNew { return }
            throw .rot(
                file: directory, offset: 0, expected: "the segments of a log that was in use",
                found: ids.isEmpty ? "none" : "only files that never held a record")
        }
        try readLast()
        while let oldest = chain.first, oldest.header.previous >= floor, oldest.header.previous > 0
        {
            let id = oldest.header.previous
            guard ids.contains(id), var found = try open(id) else {
                throw .rot(
                    file: path(id), offset: 0,
                    expected: "the segment before \(path(oldest.header.segment))",
                    found: ids.contains(id) ? "no valid header" : "no file")
            }
            found.end = oldest.header.previousEnd
            chain.insert(found, at: 0)
        }
    }

    /// Opens a segment; nil when it never came to life.
    private func open(_ id: UInt64) throws(LogError) -> Found? {
        let file = try onDisk { () throws(DiskError) in try fileSystem.open(path(id), .readWrite) }
        var scanner = try RecordScanner(file, id: id)
        switch try scanner.scan(at: 0) {
        case .record(let record, let payload, _):
            guard record.type == RecordFormat.segmentHeaderType,
                let header = SegmentHeader(payload), header.segment == id
            else {
                throw .rot(
                    file: path(id), offset: 0, expected: "a segment header of version 1",
                    found: "type \(record.type), \(record.length) bytes")
            }
            return Found(header: header, file: file, mark: record.mark)
        case .unreadable(let expected, let found):
            if try scanner.proof(beyond: 0) != nil {
                throw .rot(file: path(id), offset: 0, expected: expected, found: found)
            }
            file.close()
            return nil
        }
    }

    private mutating func readLast() throws(LogError) {
        let last = chain[0]
        let id = last.header.segment
        var scanner = try RecordScanner(last.file, id: id)
        var offset: UInt64 = 0
        var mark = last.mark
        floor = max(1, last.header.first)
        reading: while true {
            switch try scanner.scan(at: offset) {
            case .record(let record, let payload, let end):
                mark = max(mark, record.mark)
                if record.type == RecordFormat.releaseType, payload.count == 8 {
                    let raw = payload.loadUnaligned(as: UInt64.self)
                    floor = max(floor, min(id, UInt64(littleEndian: raw)))
                }
                offset = end
            case .unreadable(let expected, let found):
                let proof = try scanner.proof(beyond: offset)
                #if PlantedBugs
                    if PlantedBug.cutRot.isOn {
                        mark = min(mark, offset)
                        break reading
                    }
                #endif
                if mark > offset || proof != nil {
                    throw .rot(file: path(id), offset: offset, expected: expected, found: found)
                }
                break reading
            }
        }
        readableEnd = offset
        report.end = LogPosition(segment: id, offset: offset)
        // Without a mark not even the header is proved; what follows it is carried over then, and
        // the fresh segment's header takes its place.
        chain[0].end = mark
    }

    // MARK: 4: what is durable

    mutating func visitDurable(_ visit: SegmentLog.Visit) throws(LogError) {
        for found in chain {
            report.segments += 1
            let id = found.header.segment
            var scanner = try RecordScanner(found.file, id: id)
            var offset: UInt64 = 0
            repeat {
                guard case .record(let record, let payload, let end) = try scanner.scan(at: offset),
                    end <= found.end || found.end == 0
                else { throw try rot(&scanner, offset, end: found.end) }
                let position = LogPosition(segment: id, offset: offset)
                if offset == 0 {
                    let owner = payload[SegmentHeader.fixedBytes...]
                    try visit(position, record.type, UnsafeRawBufferPointer(rebasing: owner))
                } else if record.type <= RecordFormat.ownerTypeMax {
                    report.records += 1
                    try visit(position, record.type, payload)
                }
                offset = end
            } while offset < found.end
        }
    }

    private func rot(
        _ scanner: inout RecordScanner, _ offset: UInt64, end: UInt64
    ) throws(LogError) -> LogError {
        switch try scanner.scan(at: offset) {
        case .unreadable(let expected, let found):
            .rot(file: scanner.file.path, offset: offset, expected: expected, found: found)
        case .record:
            .rot(
                file: scanner.file.path, offset: offset, expected: "a record that ends by \(end)",
                found: "a longer one")
        }
    }

    // MARK: 5: a fresh segment for the tail

    /// Calls `body` for every record of the owner past the last mark.
    private func forTail(
        _ body: (UInt8, UnsafeRawBufferPointer) throws(LogError) -> Void
    ) throws(LogError) {
        guard let last = chain.last else { return }
        var scanner = try RecordScanner(last.file, id: last.header.segment)
        var offset = last.end
        while offset < readableEnd {
            guard case .record(let record, let payload, let end) = try scanner.scan(at: offset)
            else { throw try rot(&scanner, offset, end: readableEnd) }
            if record.type <= RecordFormat.ownerTypeMax { try body(record.type, payload) }
            offset = end
        }
    }

    mutating func writeFresh(header owner: [UInt8]) throws(LogError) {
        let id = (ids.last ?? 0) + 1
        var header = SegmentHeader(
            segment: id, previous: 0, previousEnd: 0, first: chain.isEmpty ? id : floor)
        if let last = chain.last {
            let isProved = last.end > 0
            header.previous = isProved ? last.header.segment : last.header.previous
            header.previousEnd = isProved ? last.end : last.header.previousEnd
        }
        let payload = header.encode(owner: owner)
        let headerEnd = UInt64(RecordFormat.size(payload: payload.count))
        let made = try onDisk { () throws(DiskError) in try pool.prepare(id: id) }
        var buffer: [UInt8] = []
        var written = headerEnd
        try forTail { (type, payload) throws(LogError) in
            RecordFormat.append(
                type: type, payload: payload, mark: 0, id: id,
                offset: written + UInt64(buffer.count), to: &buffer)
            if buffer.count >= 1 << 20 {
                try onDisk { () throws(DiskError) in try made.file.write(buffer, at: written) }
                written += UInt64(buffer.count)
                buffer.removeAll(keepingCapacity: true)
            }
        }
        let end = written + UInt64(buffer.count)
        var front: [UInt8] = []
        payload.withUnsafeBytes { raw in
            RecordFormat.append(
                type: RecordFormat.segmentHeaderType, payload: raw,
                mark: end > headerEnd ? end : 0, id: id, offset: 0, to: &front)
        }
        try onDisk { () throws(DiskError) in
            if end > headerEnd {
                try made.file.write(buffer, at: written)
                try made.file.sync()
            }
            try made.file.write(front, at: 0)
            try made.file.sync()
        }
        fresh = SegmentLog.Segment(id: id, file: made.file, end: end)
        freshHeaderEnd = headerEnd
    }

    mutating func visitMoved(_ visit: SegmentLog.Visit) throws(LogError) {
        guard let id = fresh?.id else { return }
        var offset = freshHeaderEnd
        var moved = 0
        try forTail { (type, payload) throws(LogError) in
            try visit(LogPosition(segment: id, offset: offset), type, payload)
            offset += UInt64(RecordFormat.size(payload: payload.count))
            moved += 1
        }
        report.movedRecords = moved
        report.records += moved
    }

    func finish(_ segmentHeader: @escaping () -> [UInt8]) -> SegmentLog {
        var chain = chain
        if let last = chain.last, last.end == 0 { chain.removeLast() }
        // What lies behind counts no more; its space comes back. Failing to is harmless.
        if let last = chain.last { try? last.file.truncate(last.end) }
        let kept = Set(chain.map(\.header.segment))
        pool.retire(ids.filter { !kept.contains($0) }.map(SegmentName.name), mustWipe: true)
        let segments = chain.map {
            SegmentLog.Segment(id: $0.header.segment, file: $0.file, end: $0.end)
        }
        return SegmentLog(
            directory: directory, options: options, pool: pool, segmentHeader: segmentHeader,
            recovery: report, segments: segments + (fresh.map { [$0] } ?? []),
            floor: floor)
    }

    private func path(_ id: UInt64) -> String {
        "\(directory)/\(SegmentName.name(id))"
    }
}
