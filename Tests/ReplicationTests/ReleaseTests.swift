import Bytes
import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

/// What happens to old segments when cuts are installed.
@Suite("Log release")
struct ReleaseTests {
    private static let groups = [
        GroupStart(group: 1, replica: 11), GroupStart(group: 2, replica: 12),
    ]

    /// Many entries for group 1, each batch released when it is applied.
    private static func busy(_ node: TestNode, rounds: Int, alsoReleasing idle: Bool) {
        for round in 0..<rounds {
            for number in 0..<10 {
                let filler = String(repeating: "-", count: 80)
                _ = node.propose(1, "\(round).\(number) \(filler)")
            }
            node.settle()
            var points: [(group: GroupID, index: LogIndex)] = [(1, node.lastCommitted(1))]
            if idle { points.append((2, node.lastCommitted(2))) }
            node.replicator.release(applied: points)
            node.settle()
        }
    }

    @Test("Segments below what every group has applied go")
    func segmentsBelowWhatEveryGroupHasAppliedGo() throws {
        let node = try TestNode(SimulatedFileSystem(), groups: Self.groups, segmentBytes: 4096)
        node.settle()
        _ = node.propose(2, "idle since")
        node.settle()
        Self.busy(node, rounds: 40, alsoReleasing: true)
        #expect(node.segmentCount <= 8, "\(node.disk.paths)")
    }

    @Test("Live entries of an idle group are copied forward, and its vote is restated")
    func liveEntriesOfAnIdleGroupAreCopiedForwardAndItsVoteIsRestated() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.groups, segmentBytes: 4096)
        node.settle()
        node.replicator.release(applied: [(2, node.lastCommitted(2))])
        // Decided but never applied: it stays live whatever group 1 does.
        node.appliesAtOnce = false
        for text in ["first", "second", "third"] { _ = node.propose(2, text) }
        node.settle()
        node.appliesAtOnce = true
        Self.busy(node, rounds: 60, alsoReleasing: false)
        #expect(node.segmentCount <= 14, "\(node.disk.paths)")
        let last = node.lastCommitted(1)

        disk.crash(seed: 9)
        disk.restart()
        var copies = 0
        var entries = 0
        _ = try SegmentLog.recover(
            fileSystem: disk.copy(), directory: TestNode.directory, segmentHeader: { [] },
            visit: { (_, type, _) in
                if type == RaftLogFormat.copiesType { copies += 1 }
                if type == RaftLogFormat.entriesType { entries += 1 }
            })
        #expect(copies > 0 && entries > copies)
        let again = try TestNode(
            disk,
            groups: [
                GroupStart(group: 1, replica: 11, appliedIndex: last, appliedTerm: 1),
                GroupStart(group: 2, replica: 12, appliedIndex: 1, appliedTerm: 1),
            ], segmentBytes: 4096)
        again.settle()
        #expect(again.texts(2) == ["first", "second", "third"])
        #expect(again.replicator.status(of: 2)?.term == 2)
        #expect(again.replicator.status(of: 1)?.term == 2)
    }

    @Test("An entry that nobody can copy keeps its segment")
    func anEntryThatNobodyCanCopyKeepsItsSegment() throws {
        let disk = SimulatedFileSystem()
        let node = try TestNode(disk, groups: Self.groups, segmentBytes: 4096)
        node.settle()
        // Applied in memory, so its payload is gone; but no cut holds it yet.
        _ = node.propose(2, "applied, not cut")
        node.settle()
        Self.busy(node, rounds: 40, alsoReleasing: false)
        #expect(node.segmentCount > 8)
        let last = node.lastCommitted(1)
        disk.crash(seed: 4)
        disk.restart()
        let again = try TestNode(
            disk,
            groups: [
                GroupStart(group: 1, replica: 11, appliedIndex: last, appliedTerm: 1),
                GroupStart(group: 2, replica: 12),
            ], segmentBytes: 4096)
        again.settle()
        #expect(again.texts(2) == ["applied, not cut"])
    }
}
