import Bytes
import RaftCore
import RecordLog
import Testing

@testable import Replication

@Suite("LogExtents")
struct LogExtentsTests {
    @Test(
        "It agrees with a table of every entry on random writes",
        arguments: 0..<20 as Range<UInt64>)
    func itAgreesWithATableOfEveryEntryOnRandomWrites(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var extents = LogExtents(groups: 2, isExact: seed % 2 == 0)
        // The model: each live entry's segment.
        var model: [[LogIndex: UInt64]] = [[:], [:]]
        var released: [LogIndex] = [0, 0]
        var segment: UInt64 = 1
        for _ in 0..<400 {
            let group = Int(generator.next() % 2)
            if generator.next() % 8 == 0 { segment += 1 }
            let last = max(model[group].keys.max() ?? 0, released[group])
            switch generator.next() % 6 {
            case 0 where last > released[group]:
                released[group] += 1 + generator.next() % (last - released[group])
                extents.release(group, through: released[group])
                model[group] = model[group].filter { $0.key > released[group] }
            case 1 where last > released[group]:
                // Copies of a part: what follows stays.
                let first = released[group] + 1
                let end = first + generator.next() % (last - released[group])
                extents.note(
                    group, first: first, last: end,
                    at: LogPosition(segment: segment, offset: 0), replaces: false)
                for index in first...end { model[group][index] = segment }
            default:
                let back = min(generator.next() % 3, last - released[group])
                let first = last + 1 - back
                let end = first + generator.next() % 4
                extents.note(
                    group, first: first, last: end,
                    at: LogPosition(segment: segment, offset: 0))
                model[group] = model[group].filter { $0.key < first }
                for index in first...end { model[group][index] = segment }
            }
            for group in 0..<2 {
                #expect(extents.oldestSegment(group) == model[group].values.min(), "seed \(seed)")
                guard seed % 2 == 0 else { continue }
                for index in released[group]...(released[group] + 8) {
                    #expect(
                        extents.run(group, holding: index)?.segment == model[group][index],
                        "seed \(seed)")
                }
            }
        }
    }
}

/// Records in odd orders, as copies and releases leave them.
@Suite("GroupRecovery")
struct GroupRecoveryTests {
    private static func entries(_ range: ClosedRange<LogIndex>, term: Term = 1) -> [Entry] {
        range.map { Entry(index: $0, term: term, kind: .command, payload: [UInt8($0)]) }
    }

    private struct Feed {
        var recovery: GroupRecovery
        var offset: UInt64 = 0

        init(applied: LogIndex = 0) {
            let start = GroupStart(
                group: 1, replica: 5, appliedIndex: applied, appliedTerm: applied == 0 ? 0 : 1)
            recovery = GroupRecovery([start], positions: [1: 0], isExact: false)
        }

        mutating func put(_ type: UInt8, _ entries: [Entry], segment: UInt64) throws {
            for record in RaftLogFormat.encode(entries, group: 1, replica: 5) {
                offset += 8
                let position = LogPosition(segment: segment, offset: offset)
                try record.bytes.withUnsafeBytes { raw in
                    try recovery.take(position, type: type, raw)
                }
            }
        }
    }

    @Test("Later entries replace those from their first index on")
    func laterEntriesReplaceThoseFromTheirFirstIndexOn() throws {
        var feed = Feed()
        try feed.put(1, Self.entries(1...6), segment: 1)
        try feed.put(1, Self.entries(4...5, term: 2), segment: 2)
        let log = try feed.recovery.finish("log")[0].log
        #expect(log.lastIndex == 5 && log.term(at: 3) == 1 && log.term(at: 4) == 2)
    }

    @Test("A run of copies that was cut short takes nothing away")
    func aRunOfCopiesThatWasCutShortTakesNothingAway() throws {
        var feed = Feed()
        try feed.put(1, Self.entries(1...6), segment: 1)
        try feed.put(3, Self.entries(1...3), segment: 7)
        let group = try feed.recovery.finish("log")[0]
        #expect(group.log.lastIndex == 6)
        #expect(feed.recovery.extents.oldestSegment(0) == 1, "4…6 are still there only")
    }

    @Test("Entries whose beginning was released wait for the copies")
    func entriesWhoseBeginningWasReleasedWaitForTheCopies() throws {
        var feed = Feed()
        try feed.put(1, Self.entries(4...6), segment: 2)
        #expect(throws: LogError.self) { try feed.recovery.finish("log") }
        try feed.put(3, Self.entries(1...6), segment: 3)
        try feed.put(1, Self.entries(7...8), segment: 3)
        let log = try feed.recovery.finish("log")[0].log
        #expect(log.lastIndex == 8 && log.cachedFirst == 1)
        #expect(feed.recovery.extents.oldestSegment(0) == 3)
    }

    @Test("What the tree has is left out, and what follows is kept")
    func whatTheTreeHasIsLeftOutAndWhatFollowsIsKept() throws {
        var feed = Feed(applied: 4)
        try feed.put(1, Self.entries(1...3), segment: 1)
        try feed.put(1, Self.entries(3...6), segment: 2)
        let log = try feed.recovery.finish("log")[0].log
        #expect(log.baseIndex == 4 && log.lastIndex == 6 && log.cachedFirst == 5)
        #expect(feed.recovery.extents.oldestSegment(0) == 2)
    }

    @Test("Terms that go back along the log are refused")
    func termsThatGoBackAlongTheLogAreRefused() throws {
        var feed = Feed()
        try feed.put(1, Self.entries(1...2, term: 5), segment: 1)
        #expect(throws: LogError.self) {
            try feed.put(1, Self.entries(3...3, term: 4), segment: 1)
        }
    }
}
