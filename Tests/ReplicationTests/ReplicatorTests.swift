import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Synchronization
import Testing

@Suite("Replicator")
struct ReplicatorTests {
    private static let three = [
        GroupStart(group: 0, replica: 10), GroupStart(group: 1, replica: 11),
        GroupStart(group: 2, replica: 12),
    ]

    @Test("Groups of one lead at once and commit in order")
    func groupsOfOneLeadAtOnceAndCommitInOrder() throws {
        let node = try TestNode(SimulatedFileSystem(), groups: Self.three)
        #expect(node.propose(1, "early") == nil, "the vote is not on disk yet")
        node.settle()
        for group: GroupID in 0..<3 {
            #expect(node.replicator.status(of: group)?.role == .leader)
            #expect(node.lastCommitted(group) == 1, "the entry that opens the term")
        }
        #expect(node.propose(1, "a")?.index == 2)
        #expect(node.propose(2, "b")?.index == 2)
        #expect(node.propose(1, "c")?.index == 3)
        #expect(node.texts(1).isEmpty)
        node.settle()
        #expect(node.texts(1) == ["a", "c"] && node.texts(2) == ["b"] && node.texts(0).isEmpty)
        #expect(node.replicator.status(of: 1)?.appliedIndex == 3)
        #expect(node.replicator.status(of: 9) == nil)
    }

    @Test("All groups share one write and one sync a turn, and the next turn gathers meanwhile")
    func allGroupsShareOneWriteAndOneSyncATurnAndTheNextTurnGathersMeanwhile() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        let counts = Mutex<[DiskOperation: Int]>([:])
        disk.onOperation { event in counts.withLock { $0[event.operation, default: 0] += 1 } }
        for group: GroupID in 0..<3 { _ = node.propose(group, "first") }
        node.drain()
        #expect(node.replicator.isWriting)
        for group: GroupID in 0..<3 {
            _ = node.propose(group, "second")
            _ = node.propose(group, "third")
        }
        node.drain()
        node.work()
        #expect(counts.withLock { $0[.write] } == 1 && counts.withLock { $0[.sync] } == 1)
        node.settle()
        #expect(counts.withLock { $0[.write] } == 2 && counts.withLock { $0[.sync] } == 2)
        #expect(node.texts(2) == ["first", "second", "third"])
    }

    @Test("A restart replays strictly above what is applied, in a later term")
    func aRestartReplaysStrictlyAboveWhatIsAppliedInALaterTerm() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        for text in ["a", "b", "c"] { _ = node.propose(1, text) }
        node.settle()
        disk.crash(seed: 3)
        disk.restart()
        let starts = [
            GroupStart(group: 0, replica: 10),
            GroupStart(group: 1, replica: 11, appliedIndex: 3, appliedTerm: 1),
            GroupStart(group: 2, replica: 12),
        ]
        let again = try TestNode(disk, groups: starts)
        again.settle()
        #expect(again.texts(1) == ["c"])
        #expect(again.committed.first { $0.group == 1 }?.entry.index == 4)
        #expect(again.replicator.status(of: 1)?.term == 2)
        #expect(again.lastCommitted(0) == 2)
    }

    @Test("A later placement of a group does not see the entries of an earlier one")
    func aLaterPlacementOfAGroupDoesNotSeeTheEntriesOfAnEarlierOne() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        _ = node.propose(1, "old")
        node.settle()
        disk.kill()
        disk.restart()
        let again = try TestNode(
            disk, groups: [GroupStart(group: 1, replica: 99), GroupStart(group: 2, replica: 12)])
        again.settle()
        #expect(again.texts(1).isEmpty && again.lastCommitted(1) == 1)
        #expect(again.replicator.status(of: 1)?.term == 1)
        #expect(again.replicator.status(of: 2)?.term == 2)
    }

    @Test("A tree that is ahead of the log beats the log")
    func aTreeThatIsAheadOfTheLogBeatsTheLog() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        disk.kill()
        disk.restart()
        let again = try TestNode(
            disk,
            groups: [GroupStart(group: 1, replica: 11, appliedIndex: 40, appliedTerm: 7)])
        again.settle()
        #expect(again.committed.map(\.entry.index) == [41])
        #expect(again.committed.first?.entry.term == 8)
    }

    @Test("Proposals are refused with a reason")
    func proposalsAreRefusedWithAReason() throws {
        let node = try TestNode(SimulatedFileSystem(), groups: Self.three) { options in
            options.raft.entryBytesMax = 50
            options.raft.unappliedBytesMax = 150
        }
        #expect(
            node.replicator.propose(group: 0, payload: []) == .rejected(.notLeader(leader: nil)))
        node.settle()
        node.appliesAtOnce = false
        let big = [UInt8](repeating: 1, count: 51)
        #expect(node.replicator.propose(group: 7, payload: []) == .rejected(.unknownGroup))
        #expect(
            node.replicator.propose(group: 0, payload: big) == .rejected(.tooLarge(limit: 50)))
        _ = node.propose(0, "x")
        _ = node.propose(0, "y")
        _ = node.propose(0, "z")
        _ = node.propose(0, "z")
        #expect(node.replicator.propose(group: 0, payload: []) == .rejected(.overloaded))
        node.settle()
        #expect(
            node.replicator.propose(group: 0, payload: []) == .rejected(.overloaded),
            "committed is not applied")
        node.replicator.applied(group: 0, through: node.lastCommitted(0))
        #expect(node.propose(0, "w") != nil)
    }

    @Test(
        "A failed write or sync is told once, and nothing is accepted after it",
        arguments: [DiskOperation.write, .sync])
    func aFailedWriteOrSyncIsToldOnceAndNothingIsAcceptedAfterIt(operation: DiskOperation) throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        _ = node.propose(0, "safe")
        node.settle()
        disk.inject(DiskFault([operation], .inputOutput))
        _ = node.propose(0, "lost")
        node.settle()
        node.settle()
        #expect(node.failures.count == 1)
        #expect(node.texts(0) == ["safe"])
        #expect(node.replicator.propose(group: 0, payload: []) == .rejected(.stopped))
        let operations = disk.operationCount
        node.replicator.tick()
        node.settle()
        #expect(disk.operationCount == operations, "the disk is left alone")
    }

    @Test("A log without room is waited for: nothing is lost, nothing is told before its time")
    func noRoom() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        disk.inject(DiskFault([.write], .noSpace, on: ".log", .always))
        _ = node.propose(0, "early")
        node.settle()
        _ = node.propose(1, "late")
        node.scheduler.advance(by: .seconds(5))
        node.settle()
        #expect(node.texts(0) == [] && node.texts(1) == [] && node.failures.isEmpty)
        #expect(node.replicator.logSpace.isOutOfSpace)
        disk.clearFaults()
        node.scheduler.advance(by: .seconds(2))
        node.settle()
        #expect(node.texts(0) == ["early"] && node.texts(1) == ["late"])
        #expect(node.failures.isEmpty && !node.replicator.logSpace.isOutOfSpace)
    }

    @Test("A quiet log gets one durable mark")
    func aQuietLogGetsOneDurableMark() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.three)
        node.settle()
        _ = node.propose(0, "a")
        node.settle()
        let before = disk.operationCount
        node.replicator.tick()
        node.settle()
        #expect(disk.operationCount > before)
        let after = disk.operationCount
        for _ in 0..<5 {
            node.replicator.tick()
            node.settle()
        }
        #expect(disk.operationCount == after)
        // Rot below the mark is never taken for a torn tail.
        disk.kill()
        disk.restart()
        let path = try #require(
            disk.paths.last { path in
                path.hasSuffix(".log") && (disk.contents(path) ?? []).contains(UInt8(ascii: "a"))
            })
        let offset = try #require(disk.contents(path)?.lastIndex(of: UInt8(ascii: "a")))
        disk.flipBit(path, offset: offset, bit: 0)
        #expect(throws: LogError.self) { try TestNode(disk, groups: Self.three) }
    }

    @Test("More is committed than fits one turn of its owner")
    func moreIsCommittedThanFitsOneTurnOfItsOwner() throws {
        let node = try TestNode(SimulatedFileSystem(), groups: Self.three) { options in
            options.raft.committedBytesMax = 100
            options.turnBytesMax = 200
        }
        node.settle()
        for number in 0..<40 { _ = node.propose(0, "n\(number)") }
        node.settle()
        #expect(node.texts(0) == (0..<40).map { "n\($0)" })
    }

    @Test("A busy group does not keep the others from the log")
    func aBusyGroupDoesNotKeepTheOthersFromTheLog() throws {
        let node = try TestNode(SimulatedFileSystem(), groups: Self.three) { options in
            options.turnBytesMax = 200
        }
        node.settle()
        // Two entries of 100 bytes, the flat charge included, fill a turn.
        let filler = String(repeating: "x", count: 100 - Entry.overhead)
        for _ in 0..<20 { _ = node.propose(0, filler) }
        _ = node.propose(1, "small")
        for _ in 0..<2 {
            node.drain()
            node.work()
        }
        node.drain()
        #expect(node.texts(1) == ["small"])
        #expect(node.texts(0).count < 20)
        node.settle()
        #expect(node.texts(0).count == 20)
    }
}
