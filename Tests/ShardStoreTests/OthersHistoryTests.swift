import Bytes
import LSMTree
import Platform
import RaftCore
import Simulation
import Testing

@testable import ShardStore

/// What went wrong in other engines where log and tables meet, so that it does not here: each test
/// is named after it, and the thread stands above it.
@Suite struct OthersHistoryTests {
    // https://github.com/fjall-rs/fjall/issues/288: a keyspace that nobody wrote to any more had no
    // memtable to flush, so what it had in the journal was never persisted by its own count, and no
    // journal was ever removed again.
    @Test("an idle keyspace and an idle shard hold back no log, over restarts", arguments: 0..<3)
    func idleKeyspacePinsLog(seed: UInt64) throws {
        let disk = SimulatedFileSystem(seed: seed)
        var number: UInt64 = 0
        for life in 0..<3 {
            let node = try StoreNode(disk, seed: seed + UInt64(life))
            // Only the first command ever writes to the second keyspace.
            node.makeBatch = { number, shard in
                let batch = Commands.batch(number, shard: shard)
                return number == 1 ? batch : Self.only(Commands.first, of: batch)
            }
            node.settle()
            if life == 0 {
                number += 1
                #expect(node.propose(0, number))
                #expect(node.propose(2, number), "and nothing else goes to this shard")
                node.settle()
            }
            for _ in 0..<60 {
                for _ in 0..<4 {
                    number += 1
                    #expect(node.propose(1, number))
                }
                node.settle()
            }
            #expect(node.installed.count > 10, "seed \(seed), life \(life)")
            let segments = disk.paths.filter { $0.hasSuffix(".log") }
            #expect(segments.count <= 8, "seed \(seed), life \(life): \(segments)")
            node.store.close()
            node.machine.kill()
        }
    }

    private static func only(_ keyspace: Keyspace, of batch: WriteBatch) -> WriteBatch {
        var other = WriteBatch()
        batch.forEach { row in
            guard row.keyspace == keyspace else { return }
            switch row.kind {
            case .put: other.put(keyspace, key: row.key, value: row.value)
            case .delete: other.delete(keyspace, key: row.key)
            case .rangeDelete: other.deleteRange(keyspace, from: row.key, to: row.value)
            }
        }
        return other
    }
}
