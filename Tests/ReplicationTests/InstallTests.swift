import Bytes
import Foundation
import RaftCore
import RecordLog
import Simulation
import Testing

@testable import Replication

/// A snapshot takes the place of a group's log: the tables first, then the reset record, and the
/// power may go anywhere between.
@Suite("Installing a snapshot")
struct InstallTests {
    private static let configuration = Configuration(voters: [21, 22, 23])

    private static func start(_ base: LogBase) -> [GroupStart] {
        [
            GroupStart(
                group: 1, replica: 21, appliedIndex: base.index, appliedTerm: base.term,
                configuration: configuration)
        ]
    }

    private static func message(_ term: Term, _ body: Message.Body) -> Message {
        Message(from: 22, to: 21, term: term, body: body)
    }

    private static func append(
        after previous: LogIndex, _ previousTerm: Term, _ count: LogIndex, term: Term,
        commit: LogIndex
    ) -> Message {
        let entries = (1...count).map {
            Entry(
                index: previous + $0, term: term, kind: .command,
                payload: [UInt8(term), UInt8(previous + $0)] + [UInt8](repeating: 1, count: 200))
        }
        return message(
            term,
            .append(
                previousIndex: previous, previousTerm: previousTerm, entries: entries,
                commit: commit))
    }

    private static func node(_ disk: SimulatedFileSystem, _ base: LogBase) throws -> TestNode {
        try TestNode(disk, groups: start(base), seed: 3, segmentBytes: 4096) {
            $0.hasPeers = true
            $0.raft.cacheBytesMax = 0
        }
    }

    /// What a life of the script left behind.
    private struct Life {
        /// The tables' position: nil before they were durable.
        var base = LogBase(index: 0, term: 0)
        /// The highest match that the leader was told.
        var told: LogIndex = 0
    }

    /// A follower with entries of a deposed leader's term gets a snapshot, and goes on behind it.
    private func play(_ disk: SimulatedFileSystem, staleTerm: Term) throws -> Life {
        var life = Life()
        guard let node = try? Self.node(disk, life.base) else { return life }
        func take(_ message: Message) {
            node.replicator.receive(1, message)
            node.settle()
            for item in node.takeMessages() {
                if case .appendReply(let match) = item.message.body {
                    life.told = max(life.told, match)
                }
            }
        }
        take(Self.append(after: 0, 0, 4, term: 1, commit: 4))
        take(Self.append(after: 4, 1, 26, term: staleTerm, commit: 4))
        if disk.isDown { return life }
        // The tables are durable before the replicator hears of it.
        let base = LogBase(index: 20, term: 5)
        take(Self.message(6, .snapshotOffer(index: 20, term: 5)))
        if disk.isDown { return life }
        life.base = base
        life.told = 0
        #expect(
            node.replicator.install(
                1, index: base.index, term: base.term, configuration: Self.configuration))
        node.settle()
        take(Self.append(after: 20, 5, 3, term: 6, commit: 21))
        take(Self.append(after: 23, 6, 30, term: 6, commit: 40))
        return life
    }

    @Test(
        "Recovery after a power cut at any operation begins at the tables and keeps what was said",
        arguments: [1, 2] as [Term])
    func powerCuts(staleTerm: Term) throws {
        let whole = SimulatedFileSystem(seed: 1)
        let end = try play(whole, staleTerm: staleTerm)
        #expect(end.told == 53 && whole.operationCount > 10)
        for index in 0..<whole.operationCount {
            for moment in CrashPlan.Moment.allCases {
                let disk = SimulatedFileSystem(seed: 1)
                disk.plan(CrashPlan(index: index, moment: moment, seed: UInt64(index)))
                let life = try play(disk, staleTerm: staleTerm)
                disk.crash(seed: UInt64(index) &+ 5)
                disk.restart()
                let comment: Comment = "operation \(index), \(moment)"
                let node = try Self.node(disk, life.base)
                let status = try #require(node.replicator.status(of: 1))
                #expect(status.baseIndex == life.base.index, comment)
                #expect(status.lastIndex >= life.told, comment)
                let log = try #require(node.replicator.replica(of: 1)).log
                if life.base.index > 0 {
                    // Nothing of the deposed leader's stands behind the snapshot.
                    for entry in (life.base.index + 1)..<(log.lastIndex + 1) {
                        #expect(log.term(at: entry) == 6, comment)
                    }
                }
                // It goes on where it is.
                node.replicator.receive(
                    1,
                    Self.append(
                        after: status.lastIndex, log.lastTerm, 1, term: 7,
                        commit: status.lastIndex + 1))
                node.settle()
                #expect(node.lastCommitted(1) == status.lastIndex + 1, comment)
                #expect(node.failures.isEmpty, comment)
            }
        }
    }

    @Test("A snapshot of an entry that the log has keeps what follows it")
    func keepsTail() throws {
        let disk = SimulatedFileSystem(seed: 2)
        let node = try Self.node(disk, LogBase(index: 0, term: 0))
        node.replicator.receive(1, Self.append(after: 0, 0, 30, term: 2, commit: 0))
        node.settle()
        let isInstalled = node.replicator.install(
            1, index: 20, term: 2, configuration: Self.configuration)
        #expect(isInstalled)
        node.settle()
        #expect(node.replicator.status(of: 1)?.lastIndex == 30)
        disk.crash(seed: 1)
        disk.restart()
        let again = try Self.node(disk, LogBase(index: 20, term: 2))
        let status = try #require(again.replicator.status(of: 1))
        #expect(status.baseIndex == 20 && status.lastIndex == 30)
        #expect(
            !again.replicator.install(1, index: 20, term: 2, configuration: Self.configuration),
            "not twice")
    }

    // MARK: Records behind a base

    private static func entries(_ range: ClosedRange<LogIndex>, _ term: Term) -> [Entry] {
        range.map { Entry(index: $0, term: term, kind: .command, payload: [UInt8($0)]) }
    }

    /// Puts the records into a group whose tables end at (`base`, `term`).
    private func recover(
        base: LogIndex, term: Term, _ runs: [[Entry]], copies: [Entry] = [],
        reset: LogBase? = nil
    ) throws -> GroupRecovery.Group {
        let starts = Self.start(LogBase(index: base, term: term))
        var recovery = GroupRecovery(starts, positions: [1: 0], isExact: true)
        var offset: UInt64 = 0
        func take(_ type: UInt8, _ bytes: [UInt8]) throws {
            offset += 8
            let position = LogPosition(segment: 1, offset: offset)
            try bytes.withUnsafeBytes { try recovery.take(position, type: type, $0) }
        }
        for (place, run) in runs.enumerated() {
            if let reset, place == runs.count - 1 {
                try take(4, RaftLogFormat.encode(reset, group: 1, replica: 21))
            }
            for record in RaftLogFormat.encode(run, group: 1, replica: 21) {
                try take(1, record.bytes)
            }
        }
        for record in RaftLogFormat.encode(copies, group: 1, replica: 21) {
            try take(3, record.bytes)
        }
        return try recovery.finish("log")[0]
    }

    @Test("Entries of an older term than the snapshot's are dropped")
    func stale() throws {
        let group = try recover(
            base: 15, term: 4, [Self.entries(1...10, 3), Self.entries(11...25, 3)])
        #expect(group.log.baseIndex == 15 && group.log.lastIndex == 15)
    }

    @Test("Stale entries that a later term's follow leave no gap behind them")
    func staleThenLater() throws {
        // A deposed leader's log: its own term goes on where the stale entries ended.
        let group = try recover(
            base: 15, term: 4, [Self.entries(1...20, 3), Self.entries(21...25, 5)])
        #expect(group.log.baseIndex == 15 && group.log.lastIndex == 15)
    }

    @Test("So are those whose entry at the base is another one, whatever their terms are")
    func staleOfLaterTerm() throws {
        let group = try recover(
            base: 15, term: 4, [Self.entries(1...10, 3), Self.entries(11...20, 5)])
        #expect(group.log.baseIndex == 15 && group.log.lastIndex == 15)
    }

    @Test("A gap that stale copies would have closed is no rot")
    func staleCopies() throws {
        let group = try recover(
            base: 15, term: 4, [Self.entries(21...25, 3)], copies: Self.entries(12...25, 3))
        #expect(group.log.baseIndex == 15 && group.log.lastIndex == 15)
    }

    @Test("Entries that were overwritten before a cut do not hide those that took their place")
    func overwritten() throws {
        let group = try recover(
            base: 15, term: 4,
            [Self.entries(1...20, 3), Self.entries(14...15, 4), Self.entries(16...18, 4)])
        #expect(group.log.lastIndex == 18 && group.log.term(at: 16) == 4)
    }

    @Test("A reset takes everything before it away, and what follows it counts")
    func reset() throws {
        let group = try recover(
            base: 15, term: 4, [Self.entries(1...30, 3), Self.entries(16...18, 6)],
            reset: LogBase(index: 15, term: 4))
        #expect(group.log.lastIndex == 18 && group.log.term(at: 16) == 6)
    }

    @Test("A reset beyond the tables is refused: they were durable before it was written")
    func resetBeyond() {
        #expect(throws: LogError.self) {
            try recover(
                base: 15, term: 4, [Self.entries(1...2, 3), Self.entries(31...32, 6)],
                reset: LogBase(index: 30, term: 6))
        }
    }
}
