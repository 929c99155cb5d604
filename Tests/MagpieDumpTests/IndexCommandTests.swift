import Platform
import SearchIndex
import Simulation
import Testing

@testable import MagpieDump

@Suite("The dump tool on search indexes")
struct IndexCommandTests {
    /// An index of two segments with a dead document, on a simulated disk.
    private struct Fixture {
        let disk = SimulatedFileSystem()
        static let directory = "/data/search/3"

        init() throws {
            var store = try SearchStore.open(
                files: disk, directory: Self.directory,
                tokens: TokenVersion(tokenizer: 1, unicode: 0x0F_0000))
            var builder = SegmentBuilder(memoryMax: 1 << 20)
            for (seq, text) in ["tea or tea", "東京 tea", "coffee"].enumerated() {
                builder.put(Self.document(seq + 1)) { Self.feed(text, $0) }
            }
            try store.commit(builder, cursor: [0, 0, 0, 3])
            builder = SegmentBuilder(memoryMax: 1 << 20)
            builder.put(Self.document(1)) { Self.feed("cocoa", $0) }
            try store.commit(builder, cursor: [0, 0, 0, 4])
        }

        static func document(_ seq: Int) -> SearchDocument {
            SearchDocument(
                key: DocumentKey(
                    conversation: SearchID(high: 0x1111_2222_3333_4444, low: 0x8555_6666_7777_8888),
                    seq: UInt64(seq)),
                time: 1_700_000_000_000 + UInt64(seq), sender: SearchID(high: 9, low: 8),
                flags: .link
            )
        }

        static func feed(_ text: String, _ give: (UnsafeRawBufferPointer, UInt32) -> Void) {
            var tokenizer = Tokenizer()
            Array(text.utf8).withUnsafeBytes { bytes in
                tokenizer.tokenize(bytes) { token, position, _, _ in give(token, position) }
            }
        }

        func run(
            json: Bool = false, _ body: (IndexInspector) throws -> Void
        ) throws -> (lines: [String], problems: Int) {
            var lines: [String] = []
            let report = Report(isJSON: json) { lines.append($0) }
            try body(IndexInspector(places: Places(disk), report: report))
            return (lines, report.problems)
        }

        func path(_ ending: String) throws -> String {
            "/" + (try #require(disk.paths.first { $0.hasSuffix(ending) }))
        }
    }

    @Test("finds a clean index clean, by directory and by file, and names orphans")
    func clean() throws {
        let index = try Fixture()
        let (lines, problems) = try index.run { try $0.check("/data") }
        #expect(problems == 0 && lines.count == 2, "\(lines)")
        #expect(
            lines[0].hasPrefix(
                "ok: /data/search/3/0000000000000001.segment: 3 documents, 1 of them dead, 7 terms")
        )
        for ending in [".segment", ".dead"] {
            let path = try index.path(ending)
            let (lines, problems) = try index.run { try $0.check(path) }
            #expect(problems == 0 && lines.count == 1 && lines[0].hasPrefix("ok: \(path): "))
        }
        index.disk.setContents("\(Fixture.directory)/00000000000000ff.segment", [1, 2, 3])
        let (after, some) = try index.run { try $0.check(Fixture.directory) }
        #expect(some == 0 && after.last?.hasPrefix("orphan: /data/search/3/") == true, "\(after)")
    }

    @Test("names file and offset of a flipped bit in every kind of file")
    func flips() throws {
        let index = try Fixture()
        for ending in ["MANIFEST", ".segment", ".dead"] {
            let path = try index.path(ending)
            let size = index.disk.contents(path)?.count ?? 0
            #expect(size > 40)
            for offset in stride(from: 0, to: size, by: 7) {
                index.disk.flipBit(path, offset: offset, bit: offset % 8)
                let (lines, problems) = try index.run { try $0.check("/data/search") }
                #expect(problems == 1, "\(path) \(offset): \(lines)")
                #expect(lines.contains { $0.hasPrefix("corrupt: \(path) at offset ") }, "\(lines)")
                index.disk.flipBit(path, offset: offset, bit: offset % 8)
            }
        }
    }

    @Test("finds a document that lives in two segments")
    func doubles() throws {
        let files = SimulatedFileSystem()
        let tokens = TokenVersion(tokenizer: 1, unicode: 0x0F_0000)
        var store = try SearchStore.open(files: files, directory: "/other", tokens: tokens)
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        builder.put(Fixture.document(1)) { Fixture.feed("a", $0) }
        try store.commit(builder, cursor: [])
        let opened = try (0..<2).map { _ in
            let reader = try IndexInspection.openSegment(
                files: files, path: "/other/0000000000000001.segment", fileID: 1)
            return (reader: reader, dead: DeadDocuments(documents: 1))
        }
        #expect(IndexInspection.double(in: opened) == Fixture.document(1).key)
        #expect(IndexInspection.double(in: [opened[0]]) == nil)
    }

    @Test("prints manifest, properties, terms and postings")
    func prints() throws {
        let index = try Fixture()
        let (manifest, _) = try index.run { try $0.manifest("/data") }
        #expect(manifest.count == 3 && manifest[0].contains("cursor 00000004"), "\(manifest)")
        #expect(manifest[1].contains("3 documents, 1 of them dead"), "\(manifest)")
        let segment = try index.path(".segment")
        let (properties, _) = try index.run(json: true) { try $0.properties(segment) }
        #expect(properties.count == 1 && properties[0].contains("\"terms\":7,"), "\(properties)")
        let (terms, _) = try index.run { try $0.terms(segment) }
        #expect(
            terms.dropFirst().map { String($0.dropFirst(2).prefix { $0 != " " }) }
                == [
                    "0x000104", "0x000200000000000000090000000000000008", "coffee", "or", "tea",
                    "京", "東京",
                ], "\(terms)")
        #expect(terms[1] == "  0x000104  3 documents, 3 bytes, flag 4", "\(terms)")
        #expect(
            terms[2].hasSuffix(
                "  3 documents, 3 bytes, sender 00000000-0000-0009-0000-000000000008"),
            "\(terms)")
        let (linked, _) = try index.run {
            try $0.postings(segment, of: IndexInspector.term("0x000104"))
        }
        #expect(linked.count == 4 && linked[1].hasSuffix("  flags 4"), "\(linked)")
        let (some, _) = try index.run { try $0.terms(segment, prefix: Array("te".utf8)) }
        #expect(some.count == 2 && some[1] == "  tea  2 documents, 6 bytes", "\(some)")
        let (postings, _) = try index.run { try $0.postings(segment, of: Array("tea".utf8)) }
        #expect(postings.count == 3, "\(postings)")
        #expect(postings[1].contains("11112222-3333-4444-8555-666677778888 seq 1"), "\(postings)")
        #expect(postings[1].hasSuffix("flags 4  positions 0 2"), "\(postings)")
        let (json, _) = try index.run(json: true) {
            try $0.postings(segment, of: IndexInspector.term("0x746561"), limit: 1)
        }
        #expect(json.count == 2 && json[1].hasSuffix("\"positions\":[0,2]}"), "\(json)")
        #expect(throws: UsageMistake.self) { try IndexInspector.term("0xz") }
        #expect(throws: UsageMistake.self) { try index.run { try $0.check("/data/nothing") } }
    }
}
