import Bytes
import ChatModel
import Simulation
import Testing

@testable import ChatNode

/// Who a node is, on its disk.
@Suite("Superblock")
struct SuperblockTests {
    private static let path = "/data/SUPERBLOCK"
    private static let formed = Superblock(
        number: 2, node: (0x10...0x1F).map { $0 }, incarnation: 0xA7A6_A5A4_A3A2_A1A1,
        formation: Formation(
            cluster: (0x40...0x4F).map { $0 }, epoch: 1, key: (0...31).map { $0 },
            founders: [
                .init(number: 1, incarnation: 0x0101), .init(number: 2, incarnation: 0x0203),
                .init(number: 3, incarnation: 0x0305),
            ]))
    private static let alone = Superblock(number: 1, node: formed.node, incarnation: 9)

    private func seams(_ files: SimulatedFileSystem) -> NodeSeams {
        let scheduler = SimulatedScheduler(seed: 1)
        return NodeSeams(
            fileSystem: files, clock: scheduler.clock, random: SimulatedRandom(seed: 1),
            scheduler: scheduler)
    }

    private func disk(_ block: Superblock) throws -> SimulatedFileSystem {
        let files = SimulatedFileSystem(seed: 1)
        try files.makeDirectory("/data")
        try block.write(in: "/data", files)
        return files
    }

    /// The fields of a copy, one a line.
    private func dump(_ bytes: [UInt8]) -> String {
        let founders = (0..<3).map { (96 + 10 * $0, 10, "founder \($0 + 1)") }
        let fields: [(Int, Int, String)] =
            [
                (0, 8, "magic"), (8, 4, "version"), (12, 2, "number"), (14, 1, "is formed"),
                (15, 1, "founders"), (16, 16, "node id"), (32, 8, "incarnation"),
                (40, 8, "epoch"), (48, 32, "key"), (80, 16, "cluster id"),
            ] + founders + [(126, 120, "unused founders"), (246, 8, "checksum")]
        return fields.map { start, count, name in
            "\(start)  \(name): \(Hex.encode(bytes[start..<(start + count)]))\n"
        }.joined()
    }

    @Test("The file is the golden one, and its dump explains it")
    func golden() throws {
        let bytes = try #require(try disk(Self.formed).contents(Self.path))
        #expect(bytes.count == 8192 && bytes[..<4096] == bytes[4096...])
        try Golden.check("superblock.bin", bytes)
        try Golden.check("superblock.txt", [UInt8](dump(bytes).utf8))
    }

    @Test("Formed and unformed ones come back from their bytes")
    func roundTrip() throws {
        for block in [Self.formed, Self.alone] {
            #expect(Superblock.decode(block.encode()) == block)
            let opened = try Superblock.openOrCreate(
                in: "/data", number: block.number, seams: seams(try disk(block)))
            #expect(opened == block)
        }
        for length in 0..<254 {
            #expect(Superblock.decode(Array(Self.formed.encode()[..<length])) == nil)
        }
    }

    @Test("A new directory's has no formation, and is found again")
    func fresh() throws {
        let files = SimulatedFileSystem(seed: 1)
        try files.makeDirectory("/data")
        let made = try Superblock.openOrCreate(in: "/data", number: 3, seams: seams(files))
        #expect(made.number == 3 && made.formation == nil && made.incarnation != 0)
        #expect(try Superblock.openOrCreate(in: "/data", number: 3, seams: seams(files)) == made)
    }

    @Test("Any flipped bit of one copy is survived")
    func oneCopy() throws {
        let whole = try disk(Self.formed)
        for copy in 0..<2 {
            for offset in 0..<254 {
                let files = whole.copy()
                files.flipBit(Self.path, offset: copy * 4096 + offset, bit: offset % 8)
                let opened = try Superblock.openOrCreate(
                    in: "/data", number: 2, seams: seams(files))
                #expect(opened == Self.formed, "copy \(copy), offset \(offset)")
            }
        }
    }

    @Test("Any single bit flipped makes a copy invalid")
    func everyBit() {
        let bytes = Self.formed.encode()
        for offset in 0..<254 {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[offset] ^= 1 << UInt8(bit)
                #expect(Superblock.decode(damaged) == nil, "offset \(offset), bit \(bit)")
            }
        }
    }

    @Test("With a flipped bit in both copies the node does not start, and changes nothing")
    func bothCopies() throws {
        let files = try disk(Self.formed)
        for copy in 0..<2 { files.flipBit(Self.path, offset: copy * 4096 + 33, bit: 3) }
        let before = files.contents(Self.path)
        let failure = #expect(throws: StartFailure.self) {
            try Superblock.openOrCreate(in: "/data", number: 2, seams: seams(files))
        }
        #expect(failure?.description.contains("both copies (offsets 0 and 4096)") == true)
        #expect(
            files.contents(Self.path) == before && !files.paths.contains { $0.hasSuffix(".new") })
    }

    @Test("A superblock of version 1 is refused by its version")
    func versionOne() throws {
        let files = try disk(Self.formed)
        var bytes = try #require(files.contents(Self.path))
        for copy in 0..<2 { bytes[copy * 4096 + 8] = 1 }
        files.setContents(Self.path, bytes)
        let failure = #expect(throws: StartFailure.self) {
            try Superblock.openOrCreate(in: "/data", number: 2, seams: seams(files))
        }
        #expect(failure?.description.contains("version 1") == true)
    }

    @Test("A directory of another node, or without its superblock, is refused")
    func foreign() throws {
        let files = try disk(Self.formed)
        let failure = #expect(throws: StartFailure.self) {
            _ = try DataDirectory("/data", number: 3, seams: seams(files))
        }
        #expect(failure?.description.contains("belongs to node 2") == true)
        let lost = SimulatedFileSystem(seed: 1)
        try lost.makeDirectory("/data/log")
        #expect(throws: StartFailure.self) {
            try Superblock.openOrCreate(in: "/data", number: 2, seams: seams(lost))
        }
    }
}
