import Bytes
import ChatModel
import Foundation
import Testing

/// The golden files: bytes that every later release must still read, as lines of `name: hex`.
enum Golden {
    static func lines(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let file = folder.appendingPathComponent("Golden").appendingPathComponent(name)
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { line in
            let parts = line.split(separator: ": ")
            guard parts.count == 2, let bytes = Hex.decode(parts[1]) else { throw Malformed() }
            return (String(parts[0]), bytes)
        }
    }

    struct Malformed: Error {}
}

@Suite struct CommandCodecTests {
    @Test("Every command comes back from its bytes")
    func roundTrip() throws {
        for command in Samples.commands {
            #expect(try CommandCodec.decode(CommandCodec.encode(command)) == command)
        }
    }

    @Test("The bytes are those of the golden file")
    func golden() throws {
        let lines = try Golden.lines("commands.hex")
        #expect(lines.count == Samples.commands.count)
        for (line, command) in zip(lines, Samples.commands) {
            #expect(CommandCodec.encode(command) == line.bytes, "\(line.name)")
            #expect(try CommandCodec.decode(line.bytes) == command, "\(line.name)")
        }
    }

    @Test("Kind 0, unknown kinds, higher versions, missing and left-over bytes are refused")
    func refusals() throws {
        for command in Samples.commands {
            let bytes = CommandCodec.encode(command)
            for length in 0..<bytes.count {
                #expect(throws: DecodeError.self) {
                    try CommandCodec.decode(Array(bytes[..<length]))
                }
            }
            #expect(throws: DecodeError.self) { try CommandCodec.decode(bytes + [0]) }
            for (place, value) in [(0, 0), (0, 18), (0, 255), (1, 0), (1, 2)] as [(Int, UInt8)] {
                var wrong = bytes
                wrong[place] = value
                #expect(throws: DecodeError.self) { try CommandCodec.decode(wrong) }
            }
        }
    }

    @Test(
        "Any changed bytes decode to a command that encodes to them, or throw", arguments: [1, 2])
    func mutations(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for command in Samples.commands {
            for _ in 0..<200 {
                var bytes = CommandCodec.encode(command)
                for _ in 0...Int.random(in: 0...2, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                        UInt8.random(in: 0...255, using: &random)
                }
                guard let decoded = try? CommandCodec.decode(bytes) else { continue }
                let again = try CommandCodec.decode(CommandCodec.encode(decoded))
                #expect(again == decoded, "seed \(seed): \(Hex.encode(bytes))")
            }
        }
    }
}

@Suite struct CommandBatchTests {
    @Test("A batch comes back from its bytes, the golden ones too")
    func roundTrip() throws {
        let batch = CommandBatch(stampMs: 1_760_000_000_000, Samples.commands)
        #expect(try CommandBatch(decoding: batch.encoded()) == batch)
        let empty = CommandBatch(stampMs: 0, commands: [])
        #expect(try CommandBatch(decoding: empty.encoded()) == empty)
        let small = CommandBatch(stampMs: 0x0102, commands: [[1, 2], []])
        #expect(Hex.encode(small.encoded()) == "01" + "0201000000000000" + "02" + "020102" + "00")
    }

    @Test("Hostile bytes throw: any prefix, a huge count, left-over bytes")
    func hostile() throws {
        let bytes = CommandBatch(stampMs: 1, Samples.commands).encoded()
        for length in 0..<bytes.count {
            #expect(throws: DecodeError.self) {
                try CommandBatch(decoding: Array(bytes[..<length]))
            }
        }
        #expect(throws: DecodeError.self) { try CommandBatch(decoding: bytes + [1]) }
        let count: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        let huge: [UInt8] = [1] + [UInt8](repeating: 0, count: 8) + count
        #expect(throws: DecodeError.self) { try CommandBatch(decoding: huge) }
    }
}

@Suite struct EntryCodecTests {
    @Test("Every entry comes back from its value, and m is read alone")
    func roundTrip() throws {
        for stored in Samples.entries {
            let bytes = EntryCodec.encode(
                stored.entry, previous: stored.previous, edits: stored.edits)
            let entry = stored.entry
            let decoded = try EntryCodec.decode(
                bytes, conversation: entry.conversation, seq: entry.seq)
            #expect(decoded == stored)
            #expect(try EntryCodec.messageNumber(bytes) == entry.m)
        }
    }

    @Test("The bytes are those of the golden file")
    func golden() throws {
        let lines = try Golden.lines("entries.hex")
        #expect(lines.count == Samples.entries.count)
        for (line, stored) in zip(lines, Samples.entries) {
            #expect(
                EntryCodec.encode(stored.entry, previous: stored.previous, edits: stored.edits)
                    == line.bytes)
        }
    }

    @Test("Missing, left-over and changed bytes throw or decode; nothing traps")
    func hostile() throws {
        var random = SplitMix64(seed: 3)
        let conversation = Samples.entries[0].entry.conversation
        for stored in Samples.entries {
            let bytes = EntryCodec.encode(
                stored.entry, previous: stored.previous, edits: stored.edits)
            for length in 0..<bytes.count {
                #expect(throws: DecodeError.self) {
                    try EntryCodec.decode(
                        Array(bytes[..<length]), conversation: conversation, seq: 1)
                }
            }
            #expect(throws: DecodeError.self) {
                try EntryCodec.decode(bytes + [0], conversation: conversation, seq: 1)
            }
            for _ in 0..<300 {
                var wrong = bytes
                wrong[Int.random(in: 0..<wrong.count, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
                let decoded = try? EntryCodec.decode(wrong, conversation: conversation, seq: 1)
                guard let decoded else { continue }
                let again = EntryCodec.encode(
                    decoded.entry, previous: decoded.previous, edits: decoded.edits)
                let value = try EntryCodec.decode(again, conversation: conversation, seq: 1)
                #expect(value == decoded, "seed 3: \(Hex.encode(wrong))")
            }
        }
    }
}

@Suite struct AudienceTests {
    @Test("Adding and removing keep it ascending and without repeats", arguments: [1, 2, 3])
    func changes(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var audience = Audience(ascending: [])
        var model: Set<UserID> = []
        for _ in 0..<200 {
            let users = (0..<3).map { _ in
                UserID(high: UInt64.random(in: 0..<30, using: &random), low: 1)
            }
            if Bool.random(using: &random) {
                audience = audience.adding(users)
                model.formUnion(users)
            } else {
                audience = audience.removing(users[0])
                model.remove(users[0])
            }
            #expect(audience.members == model.sorted(), "seed \(seed)")
            for user in users { #expect(audience.contains(user) == model.contains(user)) }
        }
    }
}
