import Bytes
import Foundation
import RaftCore
import RecordLog
import Testing

@testable import Replication

@Suite("RaftLogFormat")
struct RaftLogFormatTests {
    private static let entries = [
        Entry(index: 5, term: 2, kind: .command, payload: [0x68, 0x69]),
        Entry(index: 6, term: 300, kind: .noop, payload: []),
    ]
    private static let joint = Entry(
        index: 7, term: 300, kind: .configuration,
        payload: Configuration(voters: [1, 2, 4], outgoing: [1, 2, 3], learners: [9]).encoded())
    private static let states = [
        GroupState(
            group: 0, replica: 9, hardState: HardState(term: 4, vote: nil), baseIndex: 0,
            baseTerm: 0, voters: [9]),
        GroupState(
            group: 3, replica: 7, hardState: HardState(term: 2, vote: 7), baseIndex: 1_000,
            baseTerm: 2, voters: [7, 8, 200]),
    ]

    private func decode(_ type: UInt8, _ bytes: [UInt8]) throws -> RaftLogFormat.Record {
        try bytes.withUnsafeBytes { try RaftLogFormat.decode(type: type, $0) }
    }

    private var samples: [(name: String, type: UInt8, bytes: [UInt8])] {
        let run = RaftLogFormat.encode(Self.entries, group: 3, replica: 7)[0].bytes
        return [
            ("entries", RaftLogFormat.entriesType, run),
            (
                "hard state", RaftLogFormat.hardStateType,
                RaftLogFormat.encode(HardState(term: 2, vote: 7), group: 3, replica: 7)
            ),
            (
                "head of a segment", RecordFormat.segmentHeaderType,
                RaftLogFormat.encode(Self.states)
            ),
            ("copies", RaftLogFormat.copiesType, run),
            (
                "reset", RaftLogFormat.resetType,
                RaftLogFormat.encode(LogBase(index: 300, term: 2), group: 3, replica: 7)
            ),
            (
                "a configuration", RaftLogFormat.entriesType,
                RaftLogFormat.encode([Self.joint], group: 3, replica: 7)[0].bytes
            ),
        ]
    }

    @Test("The bytes are those of the golden file")
    func theBytesAreThoseOfTheGoldenFile() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/raft-log.txt")
        let text = samples.map { "\($0.name), type \($0.type): \(Hex.encode($0.bytes))\n" }.joined()
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try text.write(to: url, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: url, encoding: .utf8) == text)
    }

    @Test("What is written is read again")
    func whatIsWrittenIsReadAgain() throws {
        let all = samples
        #expect(try decode(all[0].type, all[0].bytes) == .entries(3, 7, Self.entries))
        let state = HardState(term: 2, vote: 7)
        #expect(try decode(all[1].type, all[1].bytes) == .hardState(3, 7, state))
        #expect(try decode(all[2].type, all[2].bytes) == .states(Self.states))
        #expect(try decode(all[3].type, all[3].bytes) == .copies(3, 7, Self.entries))
        let base = LogBase(index: 300, term: 2)
        #expect(try decode(all[4].type, all[4].bytes) == .reset(3, 7, base))
        #expect(try decode(all[5].type, all[5].bytes) == .entries(3, 7, [Self.joint]))
    }

    @Test("A long run of entries is cut into records that follow one another")
    func aLongRunOfEntriesIsCutIntoRecordsThatFollowOneAnother() throws {
        let entries = (1...40 as ClosedRange<LogIndex>).map { index in
            Entry(
                index: index, term: 1, kind: .command,
                payload: [UInt8](repeating: UInt8(index), count: 100_000))
        }
        let records = RaftLogFormat.encode(entries, group: 1, replica: 2)
        #expect(records.count > 2 && records.map(\.count).reduce(0, +) == 40)
        var read: [Entry] = []
        for record in records {
            guard case .entries(1, 2, let part) = try decode(1, record.bytes) else { continue }
            #expect(part.count == record.count)
            read.append(contentsOf: part)
        }
        #expect(read == entries)
    }

    @Test("Damaged bytes throw or mean something else, and never trap")
    func damagedBytesThrowOrMeanSomethingElseAndNeverTrap() {
        var thrown = 0
        for sample in samples {
            for length in 0..<sample.bytes.count {
                #expect(throws: DecodeError.self) {
                    try decode(sample.type, Array(sample.bytes[..<length]))
                }
            }
            for place in sample.bytes.indices {
                for value in [0, 0x7f, 0x80, 0xff] as [UInt8] {
                    var damaged = sample.bytes
                    damaged[place] = value
                    if (try? decode(sample.type, damaged)) == nil { thrown += 1 }
                }
            }
            var longer = sample.bytes
            longer.append(0)
            #expect(throws: DecodeError.self) { try decode(sample.type, longer) }
        }
        #expect(thrown > 20)
        #expect(throws: DecodeError.self) { try decode(9, []) }
        var generator = SplitMix64(seed: 11)
        for _ in 0..<20_000 {
            let count = Int(generator.next() % 40)
            let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            _ = try? decode([1, 2, 3, 4, 255][Int(generator.next() % 5)], noise)
        }
    }

    @Test("A hard state only advances")
    func aHardStateOnlyAdvances() {
        var state = HardState(term: 3, vote: nil)
        state.advance(to: HardState(term: 2, vote: 1))
        #expect(state == HardState(term: 3))
        state.advance(to: HardState(term: 3, vote: 5))
        state.advance(to: HardState(term: 3, vote: nil))
        state.advance(to: HardState(term: 3, vote: 6))
        #expect(state == HardState(term: 3, vote: 5), "a vote once given stays")
        state.advance(to: HardState(term: 4, vote: nil))
        #expect(state == HardState(term: 4))
    }
}
