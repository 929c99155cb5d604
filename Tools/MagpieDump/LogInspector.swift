import Bytes
import Platform
import RaftCore
import RecordLog
import Replication

/// The `log` commands: segments of the replicated log, read only.
///
/// A segment's own marks prove rot inside it. Between segments, each header says where the log
/// left the one before (its layout is drawn in RecordLog's `SegmentHeader`), so a predecessor that
/// ends earlier is rot.
struct LogInspector {
    let places: Places
    let report: Report

    /// What the header record of a segment says.
    struct Header {
        var previous: UInt64
        var previousEnd: UInt64
        var first: UInt64
        var owner: [UInt8]

        init(_ payload: UnsafeRawBufferPointer) throws {
            var reader = ByteReader(payload)
            let version = try reader.readFixed(UInt32.self)
            guard version == 1 else { throw DecodeError.invalid(offset: 0, what: "version") }
            _ = try reader.readFixed(UInt32.self)
            _ = try reader.readFixed(UInt64.self)
            previous = try reader.readFixed()
            previousEnd = try reader.readFixed()
            first = try reader.readFixed()
            owner = [UInt8](try reader.readRaw(reader.remaining))
        }
    }

    /// One segment as it was read.
    struct Segment {
        let path: String
        let id: UInt64
        var header: Header?
        var records = 0
        var end: UInt64 = 0
        var mark: UInt64 = 0
        var cutBytes: UInt64 = 0
        /// Segments below were released, as its records say last.
        var floor: UInt64 = 0
        var isReadable = false
    }

    /// `log dump`: every record in words.
    func dump(_ path: String, showsPayload: Bool = false) throws {
        for path in try paths(path) {
            let segment = try read(path) { offset, type, payload in
                let words = Self.words(type, payload)
                let bytes = showsPayload ? "\n    " + Hex.encode(payload) : ""
                report.add(
                    "record", "  \(offset)  \(words)  \(payload.count) bytes\(bytes)",
                    [
                        ("offset", .number(offset)), ("type", .number(UInt64(type))),
                        ("words", .text(words)), ("bytes", .number(payload.count)),
                    ] + (showsPayload ? [("payload", .text(Hex.encode(payload)))] : []))
            }
            addEnd(segment)
        }
    }

    /// `log verify`: every record, and the links between the segments.
    func verify(_ path: String) throws {
        var byDirectory: [(directory: String, segments: [Segment])] = []
        let all = try paths(path)
        let reusable = try Set(segmentsForReuse(all))
        for path in all {
            if reusable.contains(path) {
                report.add(
                    "reusable", "for reuse: \(path): no part of the log any more",
                    [("file", .text(path))])
                continue
            }
            let segment = try read(path, announces: false) { _, type, payload in
                guard type < RecordFormat.releaseType else { return }
                _ = try RaftLogFormat.decode(type: type, payload)
            }
            let directory = Places.directory(path)
            if byDirectory.last?.directory == directory {
                byDirectory[byDirectory.count - 1].segments.append(segment)
            } else {
                byDirectory.append((directory, [segment]))
            }
        }
        for (_, segments) in byDirectory { verifyChain(segments) }
    }

    /// Segments below what the newest living one says was released: they wait to be written anew,
    /// and may be wiped in part. Recovery never looks at them.
    func segmentsForReuse(_ paths: [String]) throws -> [String] {
        var floors: [String: UInt64] = [:]
        for path in paths.reversed() {
            let directory = Places.directory(path)
            guard floors[directory] == nil, let floor = try floor(of: path) else { continue }
            floors[directory] = floor
        }
        return paths.filter { path in
            guard let id = Places.id(Places.name(path), ending: ".log"),
                let floor = floors[Places.directory(path)]
            else { return false }
            return id < floor
        }
    }

    /// Below which segment the log was released, as a segment says last; nil when it never came to
    /// life or can't be read that far.
    private func floor(of path: String) throws -> UInt64? {
        guard let id = Places.id(Places.name(path), ending: ".log") else { return nil }
        let file = try places.fileSystem.open(path, .read)
        defer { file.close() }
        var floor: UInt64?
        _ = try? RecordFileReader.readAll(file, id: id) {
            (_, type, payload) throws(LogError) in
            if type == RecordFormat.segmentHeaderType {
                floor = (try? Header(payload))?.first
            } else if type == RecordFormat.releaseType, payload.count == 8 {
                let raw = payload.loadUnaligned(as: UInt64.self)
                floor = max(floor ?? 0, UInt64(littleEndian: raw))
            }
        }
        return floor
    }

    func paths(_ path: String) throws -> [String] {
        let paths = try places.segments(path)
        if paths.isEmpty { throw UsageMistake("there is no log segment under \(path)") }
        return paths
    }

    /// Follows the links from the last living segment down.
    private func verifyChain(_ segments: [Segment]) {
        for segment in segments where segment.isReadable {
            addEnd(segment)
        }
        guard var current = segments.last(where: { $0.header != nil }) else { return }
        // What the newest segment says was released may be gone, whatever older ones say.
        let floor = max(current.header?.first ?? 0, current.floor)
        while let header = current.header, header.previous > 0, header.previous >= floor {
            guard let before = segments.first(where: { $0.id == header.previous }),
                before.header != nil
            else {
                // A single segment was asked for: its neighbours are not ours to miss.
                if segments.count > 1 {
                    report.addCorrupt(
                        file: current.path, offset: 0,
                        expected: "the segment before it, \(TableInspector.hex(header.previous))",
                        found: "no such living segment")
                }
                return
            }
            if before.isReadable, before.end < header.previousEnd {
                report.addCorrupt(
                    file: before.path, offset: before.end,
                    expected: "records up to \(header.previousEnd), as \(current.path) says",
                    found: "the last readable one ends here")
            }
            current = before
        }
    }

    func read(
        _ path: String, announces: Bool = true,
        _ visit: (UInt64, UInt8, UnsafeRawBufferPointer) throws -> Void
    ) throws -> Segment {
        let file = try places.fileSystem.open(path, .read)
        defer { file.close() }
        guard let id = Places.id(Places.name(path), ending: ".log") else {
            throw UsageMistake("\(path) is not named as a segment is: 16 hexadecimal digits.log")
        }
        if announces { report.add("file", "\(path):", [("file", .text(path))]) }
        var segment = Segment(path: path, id: id)
        try report.guarding(path) {
            let summary = try RecordFileReader.readAll(file, id: id) {
                (position, type, payload) throws(LogError) in
                do {
                    if type == RecordFormat.segmentHeaderType {
                        segment.header = try Header(payload)
                    } else if type == RecordFormat.releaseType, payload.count == 8 {
                        let raw = payload.loadUnaligned(as: UInt64.self)
                        segment.floor = max(segment.floor, UInt64(littleEndian: raw))
                    }
                    try visit(position.offset, type, payload)
                } catch {
                    throw .rejected(position, "\(error)")
                }
                segment.records += 1
            }
            segment.end = summary.end
            segment.mark = summary.mark
            segment.cutBytes = summary.cutBytes
            segment.isReadable = true
        }
        return segment
    }

    private func addEnd(_ segment: Segment) {
        guard segment.isReadable else { return }
        let life = segment.header == nil ? "never came to life" : "ok"
        report.add(
            "segment",
            "\(life): \(segment.path): \(segment.records) records up to \(segment.end), "
                + "durable mark \(segment.mark), then \(segment.cutBytes) bytes without records",
            [
                ("file", .text(segment.path)), ("isAlive", .flag(segment.header != nil)),
                ("records", .number(segment.records)), ("end", .number(segment.end)),
                ("mark", .number(segment.mark)), ("cutBytes", .number(segment.cutBytes)),
            ])
    }

    /// A record in words.
    private static func words(_ type: UInt8, _ payload: UnsafeRawBufferPointer) -> String {
        switch type {
        case RecordFormat.segmentHeaderType:
            guard let header = try? Header(payload) else { return "header of another version" }
            let states = header.owner.withUnsafeBytes { owner in
                try? RaftLogFormat.decode(type: RecordFormat.segmentHeaderType, owner)
            }
            return "segment header  previous \(TableInspector.hex(header.previous)) up to "
                + "\(header.previousEnd), first \(TableInspector.hex(header.first))"
                + (states.map { "  " + words($0) } ?? "")
        case RecordFormat.markType: return "mark"
        case RecordFormat.releaseType: return "release"
        default:
            do {
                return words(try RaftLogFormat.decode(type: type, payload))
            } catch {
                return "type \(type), not a Raft record: \(error)"
            }
        }
    }

    private static func words(_ record: RaftLogFormat.Record) -> String {
        switch record {
        case .entries(let group, let replica, let entries):
            "entries  " + words(group, replica, entries)
        case .copies(let group, let replica, let entries):
            "copies  " + words(group, replica, entries)
        case .hardState(let group, let replica, let state):
            "hard state  group \(group) replica \(replica) term \(state.term) vote "
                + (state.vote.map { "\($0)" } ?? "none")
        case .reset(let group, let replica, let base):
            "reset  group \(group) replica \(replica) base \(base.index)/\(base.term)"
        case .states(let states):
            "states of \(states.count) groups"
                + states.map { state in
                    "\n    group \(state.group) replica \(state.replica) term "
                        + "\(state.hardState.term) base \(state.baseIndex)/\(state.baseTerm) "
                        + "voters \(state.voters.map { "\($0)" }.joined(separator: ","))"
                }.joined()
        }
    }

    private static func words(_ group: GroupID, _ replica: ReplicaID, _ entries: [Entry]) -> String
    {
        let bytes = entries.reduce(0) { $0 + $1.payload.count }
        let range = "\(entries.first?.index ?? 0)…\(entries.last?.index ?? 0)"
        return "group \(group) replica \(replica) index \(range) term \(entries.last?.term ?? 0), "
            + "\(bytes) bytes of commands"
    }
}
