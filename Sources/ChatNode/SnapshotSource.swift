import Bytes
import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import ShardStore

/// The sender's side of shard snapshots: pins a state of the tree together with the position it
/// stands for, and reads rows from it, a chunk for each question.
///
/// The receiver asks at its own pace and names where it stands, so nothing is buffered here, a
/// question may be repeated, and a broken connection costs nothing: the state stays pinned for a
/// while. Pinned states are few and end when nobody asks for them.
// Confined to its lane, but for `ask`.
final class SnapshotSource: @unchecked Sendable {
    private struct Export {
        let id: UInt64
        let node: NodeNumber
        let snapshot: Snapshot
        let position: ShardPosition
        var lastUseMs: Milliseconds
    }

    private static let exportsMax = 4
    private static let idleMs: Milliseconds = 60_000
    private static let chunkBytes = 512 << 10

    private let shards: ShardMap
    private let clock: any Clock
    private let lane: any Lane
    /// Pins the state of a shard, on the apply lane, and answers it.
    private let pin:
        @Sendable (
            GroupID, @escaping @Sendable ((Snapshot, ShardPosition)?) -> Void
        ) -> Void
    private let send: @Sendable (PeerFrame, NodeNumber) -> Void
    private let failed: @Sendable (NodeFailure) -> Void
    private var exports: [Export] = []
    private var nextExport: UInt64

    init(
        shards: ShardMap, clock: any Clock, lane: any Lane, firstExport: UInt64,
        pin:
            @escaping @Sendable (
                GroupID, @escaping @Sendable ((Snapshot, ShardPosition)?) -> Void
            ) -> Void,
        send: @escaping @Sendable (PeerFrame, NodeNumber) -> Void,
        failed: @escaping @Sendable (NodeFailure) -> Void
    ) {
        self.shards = shards
        self.clock = clock
        self.lane = lane
        self.pin = pin
        self.send = send
        self.failed = failed
        nextExport = firstExport
    }

    /// Takes a receiver's question; from any thread.
    func ask(_ cursor: SnapshotCursor, from node: NodeNumber) {
        lane.submit { [self] in
            dropIdle()
            if cursor.export == 0 {
                begin(cursor, node)
            } else if let place = exports.firstIndex(where: {
                $0.id == cursor.export && $0.node == node
            }) {
                exports[place].lastUseMs = nowMs
                answer(cursor, exports[place])
            } else {
                send(.snapshotRefused(shard: cursor.shard, export: cursor.export), node)
            }
        }
    }

    private var nowMs: Milliseconds { clock.monotonicNanoseconds() / 1_000_000 }

    private func dropIdle() {
        let now = nowMs
        exports.removeAll { now >= $0.lastUseMs + Self.idleMs }
    }

    private func begin(_ cursor: SnapshotCursor, _ node: NodeNumber) {
        // A receiver that begins anew has forgotten what it was sent before.
        exports.removeAll { $0.node == node }
        guard exports.count < Self.exportsMax else {
            return send(.snapshotRefused(shard: cursor.shard, export: 0), node)
        }
        pin(cursor.shard) { [self] pinned in
            lane.submit { [self] in
                guard let (snapshot, position) = pinned else {
                    return send(.snapshotRefused(shard: cursor.shard, export: 0), node)
                }
                nextExport += 1
                let export = Export(
                    id: nextExport, node: node, snapshot: snapshot, position: position,
                    lastUseMs: nowMs)
                exports.append(export)
                answer(cursor, export)
            }
        }
    }

    private func answer(_ cursor: SnapshotCursor, _ export: Export) {
        let ranges = SnapshotRanges.of(cursor.shard, shards)
        guard cursor.shard == export.position.shard, Int(cursor.range) < ranges.count,
            KeySchema.all.contains(where: { $0.keyspace.rawValue == cursor.keyspace })
        else {
            return send(.snapshotRefused(shard: cursor.shard, export: export.id), export.node)
        }
        let range = ranges[Int(cursor.range)]
        // Behind the last key: that key with a zero byte.
        #if PlantedBugs
            let isDropped =
                PlantedBug.snapshotWithoutDedup.isOn
                && cursor.keyspace == Keyspace.dedup.rawValue
            let first = isDropped ? range.upper : range.lower
        #else
            let first = range.lower
        #endif
        let lower = cursor.lastKey.isEmpty ? first : cursor.lastKey + [0]
        do {
            let chunk = try export.snapshot.rows(
                Keyspace(rawValue: cursor.keyspace), from: lower, to: range.upper,
                bytesMax: Self.chunkBytes)
            let position = export.position
            send(
                .snapshotChunk(
                    SnapshotChunk(
                        shard: cursor.shard, export: export.id, index: position.index,
                        term: position.term, hash: position.hash,
                        configuration: position.configuration.encoded(),
                        keyspace: cursor.keyspace, range: cursor.range,
                        isFinished: chunk.isFinished, rows: chunk.packed)),
                export.node)
        } catch {
            failed(.tree(error))
        }
    }

    func stop() {
        lane.stop()
        exports = []
    }
}

/// The ranges of keys that are a shard's, the same in every keyspace.
enum SnapshotRanges {
    static func of(_ shard: GroupID, _ shards: ShardMap) -> [KeyRange] {
        var ranges: [KeyRange] = []
        if let slots = shards.slots(of: shard) {
            let bounds = KeySchema.bounds(slots: slots)
            ranges.append(KeyRange(lower: bounds.lower, upper: bounds.upper))
        }
        let own = KeySchema.bounds(shard: UInt16(shard))
        ranges.append(KeyRange(lower: own.lower, upper: own.upper))
        return ranges
    }
}
