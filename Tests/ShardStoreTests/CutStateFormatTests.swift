import Bytes
import Foundation
import RaftCore
import Testing

@testable import ShardStore

/// The bytes that tie shards to a cut.
@Suite struct CutStateFormatTests {
    private static let positions = [
        ShardPosition(shard: 0, replica: 1, configuration: Configuration(voters: [])),
        ShardPosition(
            shard: 3, replica: 7, index: 300, term: 2, hash: 1,
            configuration: Configuration(voters: [7])),
        ShardPosition(
            shard: .max, replica: .max, index: 1 << 40, term: 9, hash: .max,
            configuration: Configuration(voters: [1, 2, 9], outgoing: [1, 2, 3], learners: [4])),
    ]

    @Test("the bytes are those of the golden file, and its dump explains them")
    func golden() throws {
        let bytes = CutStateFormat.encode(Self.positions)
        try Golden.check("cut-state.bin", bytes)
        let lines = try CutStateFormat.decode(bytes).map { position in
            "shard \(position.shard)  replica \(position.replica)  index \(position.index)"
                + "  term \(position.term)  hash \(String(position.hash, radix: 16))"
                + "  voters \(position.configuration.voters)"
                + "  outgoing \(position.configuration.outgoing)"
                + "  learners \(position.configuration.learners)\n"
        }
        try Golden.check("cut-state.txt", [UInt8](lines.joined().utf8))
    }

    @Test("the worked example of the page is right")
    func example() {
        let bytes = CutStateFormat.encode([Self.positions[1]])
        #expect(Hex.encode(bytes) == "02010307ac02020100000000000000" + "050101070000")
    }

    @Test("what is written is read, and nothing shorter or longer is")
    func roundTrip() throws {
        let bytes = CutStateFormat.encode(Self.positions)
        #expect(try CutStateFormat.decode(bytes) == Self.positions)
        #expect(throws: (any Error).self) { try CutStateFormat.decode(bytes + [0]) }
        for count in bytes.indices {
            #expect(throws: (any Error).self) { try CutStateFormat.decode(Array(bytes[..<count])) }
        }
    }

    @Test("disorder, replica 0 and a hash of nothing are refused")
    func invalid() {
        let alone = Configuration(voters: [1])
        let wrong: [[ShardPosition]] = [
            [Self.positions[1], Self.positions[1]],
            [Self.positions[1], Self.positions[0]],
            [ShardPosition(shard: 1, replica: 0, configuration: alone)],
            [ShardPosition(shard: 1, replica: 1, index: 0, term: 1, configuration: alone)],
            [ShardPosition(shard: 1, replica: 1, hash: 1, configuration: alone)],
        ]
        for positions in wrong {
            #expect(throws: DecodeError.self) {
                try CutStateFormat.decode(CutStateFormat.encode(positions))
            }
        }
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
