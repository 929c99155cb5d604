/// A parser that takes bytes which nobody vouches for, and how to feed it.
///
/// The targets are fed twice: by `FuzzSmokeTests`, which mutates the seeds a fixed number of times,
/// and by libFuzzer (`Tools/fuzz`), which watches what code an input reaches. Where the bytes of a
/// format have a checksum, the target makes it right: so the parser behind it is met, not the
/// checksum.
///
/// Every target may accept or refuse an input. It must not trap, hang or read outside of the
/// buffer, and what it accepts must agree with itself: that is checked by preconditions.
package enum FuzzTarget: UInt8, CaseIterable, Sendable {
    /// A whole table file; the footer's checksum is made right.
    case tableFile
    /// One block of a sound table is replaced or patched, and sealed again.
    case tableBlock
    /// The properties and bounds of a table as the manifest has them.
    case tableSummary
    /// A record file as it is.
    case recordFile
    /// Records of any type and mark, sealed.
    case records
    /// Segments of a log whose header and records are sealed; the log is started twice.
    case segments
    /// The payload of a manifest record.
    case manifestEdit
    /// A record of a tree's manifest is replaced or patched, and sealed again; the tree is opened.
    case manifest
    /// The file that names the manifest.
    case current
    /// The state that ties a cut to shards.
    case cutState
    /// A chunk of a snapshot's rows.
    case packedRows
    /// The same, on its way into a tree.
    case ingest
    /// A group's members.
    case configuration
    /// A record of the shared Raft log.
    case raftRecord
    /// Messages of a peer.
    case raftMessages
    /// A segment of the search index; its checksums are made right.
    case searchSegment
    /// A list of dead documents, sealed.
    case searchDead
    /// The manifest of a search index, patched or replaced, and sealed again; the index is opened.
    case searchManifest
    /// What somebody typed, and a text in which it is marked.
    case searchText
    /// A text, into terms.
    case tokens

    /// What became of an input.
    package enum Outcome: Sendable {
        /// It was read.
        case accepted
        /// It was refused with an error, or, where nothing is an error, there was nothing in it.
        case refused
    }

    /// Feeds one input.
    package func run(_ input: [UInt8]) -> Outcome {
        switch self {
        case .tableFile: FuzzTables.file(input)
        case .tableBlock: FuzzTables.block(input)
        case .tableSummary: FuzzTables.summary(input)
        case .recordFile: FuzzLogs.file(input)
        case .records: FuzzLogs.records(input)
        case .segments: FuzzLogs.segments(input)
        case .manifestEdit: FuzzTrees.edit(input)
        case .manifest: FuzzTrees.manifest(input)
        case .current: FuzzTrees.current(input)
        case .cutState: FuzzFormats.cutState(input)
        case .packedRows: FuzzTrees.packedRows(input)
        case .ingest: FuzzTrees.ingest(input)
        case .configuration: FuzzFormats.configuration(input)
        case .raftRecord: FuzzFormats.raftRecord(input)
        case .raftMessages: FuzzFormats.raftMessages(input)
        case .searchSegment: FuzzSearch.segment(input)
        case .searchDead: FuzzSearch.dead(input)
        case .searchManifest: FuzzSearch.manifest(input)
        case .searchText: FuzzSearch.text(input)
        case .tokens: FuzzSearch.tokens(input)
        }
    }

    /// Inputs to start from.
    package var seeds: [[UInt8]] {
        switch self {
        case .tableFile: FuzzTables.bases.map(\.bytes)
        case .tableBlock: FuzzTables.blockSeeds
        case .tableSummary: FuzzTables.summarySeeds
        case .recordFile: [FuzzLogs.sample]
        case .records: FuzzLogs.recordSeeds
        case .segments: FuzzLogs.segmentSeeds
        case .manifestEdit: FuzzTrees.editSeeds
        case .manifest: FuzzTrees.manifestSeeds
        case .current: [FuzzTrees.base.current]
        case .cutState: FuzzFormats.cutStateSeeds
        case .packedRows, .ingest: FuzzTrees.rowSeeds
        case .configuration: FuzzFormats.configurationSeeds
        case .raftRecord: FuzzFormats.raftRecordSeeds
        case .raftMessages: FuzzFormats.raftMessageSeeds
        case .searchSegment: FuzzSearch.segmentSeeds
        case .searchDead: FuzzSearch.deadSeeds
        case .searchManifest: FuzzSearch.manifestSeeds
        case .searchText: FuzzSearch.textSeeds
        case .tokens: FuzzSearch.tokenSeeds
        }
    }

    /// Feeds the target that the first byte names with the rest.
    package static func dispatch(_ input: [UInt8]) {
        guard let first = input.first, let target = FuzzTarget(rawValue: first) else { return }
        _ = target.run(Array(input.dropFirst()))
    }
}

/// Takes an input apart. It never runs out: behind the end are zeros.
struct FuzzInput {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset >= bytes.count }

    mutating func byte() -> UInt8 {
        defer { offset += 1 }
        return offset < bytes.count ? bytes[offset] : 0
    }

    /// Below `limit`, which is above 0.
    mutating func below(_ limit: Int) -> Int {
        (Int(byte()) | Int(byte()) << 8) % limit
    }

    mutating func take(_ count: Int) -> [UInt8] {
        let start = min(offset, bytes.count)
        let end = min(start + count, bytes.count)
        offset = end
        return Array(bytes[start..<end])
    }

    mutating func rest() -> [UInt8] { take(bytes.count) }

    /// A small number, a large one, or anything.
    mutating func number() -> UInt64 {
        let first = byte()
        if first < 0xF0 { return UInt64(first) }
        return take(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `payload`, patched or replaced as the input says. Never empty.
    mutating func change(_ payload: [UInt8]) -> [UInt8] {
        var changed = payload
        switch byte() % 3 {
        case 0:
            // Few bytes, each at its place.
            while !isAtEnd, !changed.isEmpty {
                changed[below(changed.count)] = byte()
            }
        case 1: changed = Array((take(payload.count)).prefix(payload.count))
        default:
            let start = below(max(1, changed.count))
            changed.replaceSubrange(start..<min(changed.count, start + below(64)), with: rest())
        }
        return changed.isEmpty ? [0] : changed
    }
}
