import Bytes
import ChatModel
import SearchIndex

/// The `index` commands.
struct IndexInspector {
    let places: Places
    let report: Report
    var isHex = false

    // MARK: Files

    /// Directories of indexes: those with a `MANIFEST`, under the path or the path itself.
    private func indexes(_ path: String) throws -> [String] {
        let found = try places.files(path) { $0 == IndexInspection.manifestName }
            .map(Places.directory)
        if found.isEmpty { throw UsageMistake("there is no index under \(path)") }
        return found
    }

    /// Opens each segment that `path` stands for; corruption is reported, and the next one follows.
    private func eachSegment(_ path: String, _ body: (String, SegmentReader) throws -> Void) throws
    {
        let paths = try places.files(path) { IndexInspection.segmentID($0) != nil }
        if paths.isEmpty { throw UsageMistake("there is no segment under \(path)") }
        for path in paths {
            guard let id = IndexInspection.segmentID(Places.name(path)) else {
                throw UsageMistake("\(path) has not the name of a segment")
            }
            try report.guarding(path) {
                try body(path, openSegment(path, id))
            }
        }
    }

    private func openSegment(_ path: String, _ id: UInt64) throws -> SegmentReader {
        try IndexInspection.openSegment(files: places.fileSystem, path: path, fileID: id)
    }

    // MARK: Commands

    /// `index check`: everything that can be checked, of an index or of one file.
    func check(_ path: String) throws {
        let name = Places.name(path)
        if let id = IndexInspection.segmentID(name), places.names(path) == nil {
            try places.expectExists(path)
            try report.guarding(path) {
                let reader = try openSegment(path, id)
                try reader.verify()
                addSound(path, reader, dead: nil)
            }
        } else if let (segment, version) = IndexInspection.deadList(name) {
            try places.expectExists(path)
            try report.guarding(path) {
                let dead = try IndexInspection.readDead(
                    files: places.fileSystem, path: path, segment: segment, version: version)
                report.add(
                    "deadList",
                    "ok: \(path): \(dead.count) of \(dead.documents) documents are dead",
                    [
                        ("file", .text(path)), ("dead", .number(dead.count)),
                        ("documents", .number(dead.documents)),
                    ])
            }
        } else {
            for directory in try indexes(path) { try checkIndex(directory) }
        }
    }

    private func checkIndex(_ directory: String) throws {
        let manifest = "\(directory)/\(IndexInspection.manifestName)"
        try report.guarding(manifest) {
            guard let index = try read(directory) else { return }
            var opened: [(reader: SegmentReader, dead: DeadDocuments)] = []
            for segment in index.segments {
                let path = "\(directory)/\(segment.files[0])"
                try report.guarding(path) {
                    let (reader, dead) = try index.open(segment)
                    try reader.verify()
                    addSound(path, reader, dead: dead.count)
                    opened.append((reader, dead))
                }
            }
            if let key = IndexInspection.double(in: opened) {
                report.addCorrupt(
                    file: manifest, offset: 0, expected: "each document alive in one segment",
                    found: "\(words(key)) alive in two")
            }
            for name in try index.strangers() {
                report.add(
                    "orphan", "orphan: \(directory)/\(name): the manifest does not name it",
                    [("file", .text("\(directory)/\(name)"))])
            }
        }
    }

    private func read(_ directory: String) throws -> IndexInspection? {
        try IndexInspection.read(files: places.fileSystem, directory: directory)
    }

    /// `index manifest`: what an index consists of.
    func manifest(_ path: String) throws {
        for directory in try indexes(path) {
            let file = "\(directory)/\(IndexInspection.manifestName)"
            try report.guarding(file) {
                guard let index = try read(directory) else { return }
                add(index, file)
                for segment in index.segments { add(segment) }
            }
        }
    }

    /// `index props`: what segments say of themselves.
    func properties(_ path: String) throws {
        try eachSegment(path) { path, reader in
            let fields = reader.properties
            let width = fields.map(\.name.count).max() ?? 0
            let lines = fields.map { name, value in
                "  " + name + String(repeating: " ", count: width - name.count + 2) + "\(value)"
            }
            report.add(
                "properties", "\(path):\n" + lines.joined(separator: "\n"),
                [("file", .text(path))] + fields.map { ($0.name, .number($0.value)) })
        }
    }

    /// `index terms`: the dictionary, or what of it begins so.
    func terms(_ path: String, prefix: [UInt8] = [], limit: Int = .max) throws {
        var left = limit
        try eachSegment(path) { path, reader in
            report.add("file", "\(path):", [("file", .text(path))])
            try reader.terms(prefix: prefix) { term in
                if left == 0 { return false }
                left -= 1
                var fields: [(String, JSON)] = [
                    ("term", .text(words(term.bytes))),
                    ("bytes", .text(Hex.encode(term.bytes))),
                    ("documents", .number(term.documents)),
                    ("listBytes", .number(term.listBytes)),
                ]
                let meaning = filter(term.bytes)
                if let meaning { fields.append(("filter", .text(meaning))) }
                report.add(
                    "term",
                    "  \(words(term.bytes))  \(term.documents) documents, \(term.listBytes) bytes"
                        + (meaning.map { ", \($0)" } ?? ""),
                    fields)
                return true
            }
        }
    }

    /// `index postings`: the documents that have a term.
    func postings(_ path: String, of term: [UInt8], limit: Int = .max) throws {
        var left = limit
        try eachSegment(path) { path, reader in
            report.add("file", "\(path):", [("file", .text(path))])
            _ = try reader.postings(of: term) { posting in
                if left == 0 { return false }
                left -= 1
                add(posting)
                return true
            }
        }
    }

    /// A term as it is given on the command line: text, or `0x` and hexadecimal digits.
    static func term(_ text: String) throws -> [UInt8] {
        guard text.hasPrefix("0x") else { return Array(text.utf8) }
        guard let bytes = Hex.decode(text.dropFirst(2)) else {
            throw UsageMistake("behind 0x stand hexadecimal digits, not '\(text)'")
        }
        return bytes
    }

    // MARK: Lines

    private func addSound(_ path: String, _ reader: SegmentReader, dead: Int?) {
        let documents = Int(reader.summary.documents)
        report.add(
            "segment",
            "ok: \(path): \(documents) documents"
                + (dead.map { ", \($0) of them dead" } ?? "")
                + ", \(reader.termCount) terms, \(reader.summary.bytes) bytes",
            [
                ("file", .text(path)), ("documents", .number(documents)),
                ("dead", .number(dead ?? 0)), ("terms", .number(reader.termCount)),
                ("bytes", .number(reader.summary.bytes)),
            ])
    }

    private func add(_ index: IndexInspection, _ file: String) {
        let cursor = Hex.encode(index.cursor)
        report.add(
            "manifest",
            "\(file): generation \(index.generation), next file id \(index.nextFileID), tokenizer "
                + "\(index.tokens.tokenizer), Unicode \(index.tokens.unicode), cursor "
                + (cursor.isEmpty ? "empty" : cursor),
            [
                ("file", .text(file)), ("generation", .number(index.generation)),
                ("nextFileID", .number(index.nextFileID)),
                ("tokenizer", .number(UInt64(index.tokens.tokenizer))),
                ("unicode", .number(UInt64(index.tokens.unicode))), ("cursor", .text(cursor)),
                ("segments", .number(index.segments.count)),
            ])
    }

    private func add(_ segment: IndexInspection.Segment) {
        let summary = segment.summary
        report.add(
            "segment",
            "  \(segment.files[0])  \(summary.documents) documents, \(segment.dead) of them dead, "
                + "\(summary.bytes) bytes, times \(summary.minTime) to \(summary.maxTime)"
                + (segment.files.count > 1 ? ", \(segment.files[1])" : ""),
            [
                ("name", .text(segment.files[0])),
                ("documents", .number(UInt64(summary.documents))),
                ("dead", .number(segment.dead)), ("deadVersion", .number(segment.deadVersion)),
                ("bytes", .number(summary.bytes)), ("minTime", .number(summary.minTime)),
                ("maxTime", .number(summary.maxTime)),
            ])
    }

    private func add(_ posting: SegmentReader.Posting) {
        let document = posting.document
        let sender = UserID(high: document.sender.high, low: document.sender.low)
        let positions =
            posting.positions.isEmpty
            ? "" : "  positions " + posting.positions.map { "\($0)" }.joined(separator: " ")
        report.add(
            "posting",
            "  #\(posting.number)  \(words(document.key))  by \(sender)  at \(document.time) ms  "
                + "flags \(document.flags.rawValue)\(positions)",
            [
                ("number", .number(UInt64(posting.number))),
                ("conversation", .text("\(conversation(document.key))")),
                ("seq", .number(document.key.seq)), ("sender", .text("\(sender)")),
                ("timeMs", .number(document.time)),
                ("flags", .number(UInt64(document.flags.rawValue))),
                ("positions", .list(posting.positions.map { .number(UInt64($0)) })),
            ])
    }

    private func conversation(_ key: DocumentKey) -> ConversationID {
        ConversationID(high: key.conversation.high, low: key.conversation.low)
    }

    private func words(_ key: DocumentKey) -> String { "\(conversation(key)) seq \(key.seq)" }

    /// What a term that is no word stands for.
    private func filter(_ term: [UInt8]) -> String? {
        switch FilterTerm(term) {
        case .sender(let id): "sender \(UserID(high: id.high, low: id.low))"
        case .flag(let flag): "flag \(flag.rawValue)"
        case nil: nil
        }
    }

    /// A term as text; as bytes when that is wanted, or it is none.
    private func words(_ term: [UInt8]) -> String {
        if !isHex, let text = String(validating: term, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
        {
            return text
        }
        return "0x" + Hex.encode(term)
    }
}
