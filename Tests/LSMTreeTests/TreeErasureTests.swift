import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// What was erased must not stand in any table's bytes, on whatever level it lay, once its
/// keyspace was merged to the bottom: the files are searched as they are.
@Suite struct TreeErasureTests {
    /// How a row goes.
    enum Way: CaseIterable, Sendable {
        case overwritten, deleted, rangeDeleted
    }

    private static let text: [UInt8] = (0..<24).map { UInt8(truncatingIfNeeded: 0x9D &* $0 &+ 7) }

    private static func holders(_ files: SimulatedFileSystem) -> [String] {
        files.paths.filter { path in
            guard path.hasSuffix(".sst"), let bytes = files.contents(path) else { return false }
            return bytes.indices.contains { start in
                bytes[start] == text[0] && bytes[start...].prefix(text.count).elementsEqual(text)
            }
        }
    }

    private static func key(_ row: Int) -> [UInt8] { [1, UInt8(row >> 8), UInt8(row & 255)] }

    @Test(
        "no table holds what was erased after a merge to the bottom", arguments: Way.allCases,
        [0, 1])
    func tables(way: Way, level: Int) throws {
        let files = SimulatedFileSystem(seed: 5)
        let scheduler = SimulatedScheduler(seed: 5)
        var options = TreeOptions(keyspaces: Harness.keyspaces)
        options.memtableBytes = 1 << 20
        options.blockBytes = 256
        options.levelZeroTables = 100
        options.levelBaseBytes = 1 << 30
        let tree = try Harness.open(files, options, scheduler)
        defer { tree.close() }
        func cut(_ fill: (inout WriteBatch) -> Void) {
            var batch = WriteBatch()
            fill(&batch)
            tree.apply(batch)
            tree.cut(state: []) { _ in }
            scheduler.runUntilIdle()
        }
        func sink() {
            for keyspace in [Harness.heads, Harness.messages] { tree.requestCompaction(keyspace) }
            scheduler.runUntilIdle()
        }
        let keyspaces = [Harness.heads, Harness.messages]
        cut { batch in
            for keyspace in keyspaces {
                for row in 0..<300 { batch.put(keyspace, key: Self.key(row), value: [1, 2, 3]) }
                batch.put(keyspace, key: Self.key(150), value: Self.text)
            }
        }
        // In level 0 as the cut leaves it, or at the bottom.
        if level > 0 { sink() }
        #expect(Self.holders(files).count == keyspaces.count)
        cut { batch in
            for keyspace in keyspaces {
                switch way {
                case .overwritten: batch.put(keyspace, key: Self.key(150), value: [])
                case .deleted: batch.delete(keyspace, key: Self.key(150))
                case .rangeDeleted:
                    batch.deleteRange(keyspace, from: Self.key(140), to: Self.key(160))
                }
            }
        }
        sink()
        #expect(Self.holders(files).isEmpty)
        let left = try tree.snapshot().get(Harness.heads, key: Self.key(150))
        #expect(left == (way == .overwritten ? [] : nil))
    }
}
