import Bytes
import Foundation
import Platform
import RecordLog
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// The manifest's records: bytes, refusal of wrong ones, and what they add up to.
@Suite struct ManifestTests {
    private static func summary(_ id: UInt64, keyspace: UInt8 = 1) -> TableSummary {
        var properties = TableProperties()
        properties.fileID = id
        properties.keyspace = keyspace
        properties.filterPrefixLength = 16
        properties.rows = 3
        properties.deletes = 1
        properties.rangeDeletes = 1
        properties.smallest = InternalKey.make(userKey: [0x61], sequence: 9, kind: .put)
        properties.largest = InternalKey.make(
            userKey: [0x7A, 0x7A], sequence: InternalKey.sequenceMax, kind: .rangeDelete)
        properties.minSequence = 5
        properties.maxSequence = 9
        return TableSummary(bytes: 4096, digest: 0x0123_4567_89AB_CDEF, properties: properties)
    }

    private static let edits: [ManifestEdit] = [
        ManifestEdit(
            isOpening: true, endsOpening: true, nextFileID: 2, lastSequence: 0, state: nil),
        ManifestEdit(
            nextFileID: 4, lastSequence: 9, state: [0xCA, 0xFE],
            additions: [.init(level: 0, summary: summary(3))]),
        ManifestEdit(
            nextFileID: 4, lastSequence: 9,
            removals: [.init(keyspace: 1, level: 0, fileID: 3)],
            additions: [.init(level: 6, summary: summary(3))]),
    ]

    private func write(_ edits: [ManifestEdit], _ disk: SimulatedFileSystem) throws {
        try disk.makeDirectory("/t")
        let file = try disk.open("/t/" + ManifestFormat.name(1), .create)
        let writer = RecordFileWriter(file, id: 1)
        for edit in edits {
            let type = edit.isOpening ? ManifestFormat.openingType : ManifestFormat.editType
            try writer.append(type: type, payload: edit.encode())
            try writer.sync()
        }
        file.close()
    }

    @Test("the bytes on disk are those of the golden file, and its dump explains them")
    func golden() throws {
        let disk = SimulatedFileSystem()
        try write(Self.edits, disk)
        let bytes = try #require(disk.contents("/t/" + ManifestFormat.name(1)))
        let lines = try ManifestDump.lines(fileSystem: disk, directory: "/t", id: 1)
        try Golden.check("0000000000000001.manifest", bytes)
        let text = lines.joined(separator: "\n") + "\n"
        try Golden.check("0000000000000001.txt", Array(text.utf8))
    }

    @Test("what is written is read")
    func roundTrip() throws {
        let disk = SimulatedFileSystem()
        try write(Self.edits, disk)
        var read: [ManifestEdit] = []
        try ManifestReader.read(fileSystem: disk, directory: "/t", id: 1) { _, edit in
            read.append(edit)
        }
        #expect(read == Self.edits)
    }

    @Test("every flipped bit of a payload gives another edit or a refusal, never a trap")
    func flips() throws {
        for edit in Self.edits {
            let payload = edit.encode()
            let type = edit.isOpening ? ManifestFormat.openingType : ManifestFormat.editType
            for bit in 0..<(payload.count * 8) {
                var bytes = payload
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                let other = try? bytes.withUnsafeBytes { try ManifestEdit.decode(type: type, $0) }
                #expect(other != edit, "bit \(bit)")
            }
            for count in 0..<payload.count {
                let cut = Array(payload[..<count])
                #expect(throws: (any Error).self) {
                    try cut.withUnsafeBytes { try ManifestEdit.decode(type: type, $0) }
                }
            }
        }
    }

    @Test("records that do not fit together are refused")
    func misfits() {
        let refused: [[ManifestEdit]] = [
            [Self.edits[1]],
            [Self.edits[0], Self.edits[0]],
            [Self.edits[0], Self.edits[2]],
            [Self.edits[0], Self.edits[1], Self.edits[1]],
            [
                Self.edits[0],
                ManifestEdit(
                    nextFileID: 3, lastSequence: 9,
                    additions: [.init(level: 0, summary: Self.summary(3))]),
            ],
            [Self.edits[0], Self.edits[1], ManifestEdit(nextFileID: 3, lastSequence: 9)],
            [Self.edits[0], Self.edits[1], ManifestEdit(nextFileID: 4, lastSequence: 8)],
        ]
        for edits in refused {
            var contents = ManifestContents()
            let problems = edits.compactMap { contents.apply($0) }
            #expect(problems.count == 1)
        }
        var contents = ManifestContents()
        #expect(Self.edits.compactMap { contents.apply($0) } == [])
        #expect(contents.listed.map(\.level) == [6])
        #expect(contents.state == [0xCA, 0xFE])
    }

    @Test("CURRENT is valid only as a whole")
    func current() {
        let bytes = ManifestFormat.current(0xAB)
        #expect(bytes.count == 34)
        #expect(ManifestFormat.currentID(bytes) == 0xAB)
        for index in bytes.indices {
            var wrong = bytes
            wrong[index] ^= 1
            #expect(ManifestFormat.currentID(wrong) == nil)
            #expect(ManifestFormat.currentID(Array(bytes[..<index])) == nil)
        }
    }

    @Test("tables without CURRENT are refused, not forgotten")
    func lostCurrent() throws {
        let disk = SimulatedFileSystem()
        let scheduler = SimulatedScheduler(seed: 0)
        var generator = SplitMix64(seed: 4)
        let options = Harness.options(&generator)
        let tree = try Harness.open(disk, options, scheduler)
        tree.apply(Harness.batch(&generator))
        tree.cut(state: [1]) { _ in }
        scheduler.runUntilIdle()
        tree.close()
        try disk.unlink(Harness.directory + "/CURRENT")
        #expect(throws: TreeError.self) { try Harness.open(disk, options, scheduler) }
    }
}

/// Golden files beside the tests.
enum Golden {
    /// Compares `bytes` with a golden file. With MAGPIE_REWRITE=1 the file is written instead.
    static func check(_ name: String, _ bytes: [UInt8]) throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden")
        let url = folder.appendingPathComponent(name)
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
        #expect([UInt8](try Data(contentsOf: url)) == bytes, "\(name)")
    }
}
