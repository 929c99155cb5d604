import Bytes
import Foundation
import Platform
import RecordLog
import Replication
import Simulation
import Testing

@testable import ShardStore

/// The way of an erasure from the apply lane through cuts to the log's files, in which the erased
/// command must not be found any more.
@Suite struct StoreErasureTests {
    private static let text: UInt64 = 0xFEED_FACE_CAFE_BEEF
    private static let erasure: UInt64 = 0xDEAD_0001

    /// Files of the log that hold the erased command.
    private static func holders(_ disk: SimulatedFileSystem) -> [String] {
        let needle = Array(Commands.payload(text).prefix(8))
        return disk.paths.filter { path in
            guard path.hasPrefix("data/log/"), let bytes = disk.contents(path) else { return false }
            return Data(bytes).range(of: Data(needle)) != nil
        }
    }

    private static func node(_ disk: SimulatedFileSystem) throws -> StoreNode {
        let node = try StoreNode(disk, seed: 3, tiny: false, segmentBytes: 16_384)
        node.erasing = [erasure]
        node.settle()
        return node
    }

    /// Commands that erase nothing, with a cut now and then.
    private static func fill(
        _ node: StoreNode, _ numbers: ClosedRange<UInt64>, cutsEach: UInt64 = 40
    ) {
        for number in numbers {
            _ = node.propose(ShardID(number % 3), number)
            node.settle()
            if number % cutsEach == 0 {
                node.store.cut()
                node.settle()
            }
        }
    }

    private static func eraseText(_ node: StoreNode) {
        _ = node.propose(0, text)
        _ = node.propose(0, erasure)
        node.settle()
    }

    @Test("Text and erasure in one segment, which a later cut frees")
    func laterCut() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let node = try Self.node(disk)
        defer { node.machine.kill() }
        Self.fill(node, 1...200, cutsEach: 1000)
        Self.eraseText(node)
        node.store.cut()
        node.settle()
        #expect(node.installed.map(\.erased) == [[0]])
        #expect(Self.holders(disk).count == 1, "the segment is being written")
        Self.fill(node, 201...320)
        #expect(
            node.installed.count > 3 && node.installed.dropFirst().allSatisfy { $0.erased.isEmpty })
        #expect(Self.holders(disk) == [])
    }

    @Test("Each of two cuts that come to the log together says what was erased before it")
    func twoCuts() throws {
        let disk = SimulatedFileSystem(seed: 2)
        let node = try Self.node(disk)
        defer { node.machine.kill() }
        Self.fill(node, 1...200, cutsEach: 1000)
        node.store.cut()
        Self.eraseText(node)
        node.store.cut()
        node.settle()
        #expect(node.installed.map(\.erased) == [[], [0]])
        Self.fill(node, 201...320)
        #expect(Self.holders(disk) == [])
    }

    @Test(
        "The cut of a graceful stop comes too late for the log, and so does one that power ends",
        arguments: [true, false])
    func restart(isGraceful: Bool) throws {
        let disk = SimulatedFileSystem(seed: 3)
        let node = try Self.node(disk)
        Self.fill(node, 1...20, cutsEach: 1000)
        Self.eraseText(node)
        if isGraceful {
            node.store.close()
            node.machine.kill()
        } else {
            node.store.cut()
            node.scheduler.runUntilIdle()
            node.machine.kill()
            disk.crash(seed: 4)
            disk.restart()
        }
        #expect(Self.holders(disk).count == 1)
        let again = try Self.node(disk)
        defer { again.machine.kill() }
        again.erasing = []
        Self.fill(again, 201...320)
        #expect(again.installed.allSatisfy { $0.erased.isEmpty })
        #expect(Self.holders(disk) == [])
    }
}
