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
/// while. A pinned state keeps every table of its moment on the disk, and what was erased since in
/// them. So there are few, and each ends on a timer: soon after its last rows were sent, or when
/// nobody asks for it.
// Confined to its lane, but for `ask`.
final class SnapshotSource: @unchecked Sendable {
    private struct Export {
        let id: UInt64
        let node: NodeNumber
        let snapshot: Snapshot
        let position: ShardPosition
        let madeMs: Milliseconds
        /// When it is let go of unless it is asked for.
        var endMs: Milliseconds
        /// The receiver has asked for more of it, so it got the first answer.
        var isKnown = false
    }

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
    /// Which shard is being pinned for a node.
    private var pinning: [NodeNumber: GroupID] = [:]
    private var nextExport: UInt64
    private var isTimed = false

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
                exports[place].isKnown = true
                answer(cursor, place)
            } else {
                refuse(cursor, node)
            }
        }
    }

    private var nowMs: Milliseconds { clock.monotonicNanoseconds() / 1_000_000 }

    private func dropIdle() {
        let now = nowMs
        exports.removeAll { now >= $0.endMs }
    }

    /// Looks again and again for states whose time is over, as long as there are any.
    private func watch() {
        if isTimed || exports.isEmpty { return }
        isTimed = true
        lane.submit(after: NodeLimits.exportCheck) { [self] in
            isTimed = false
            dropIdle()
            watch()
        }
    }

    private func begin(_ cursor: SnapshotCursor, _ node: NodeNumber) {
        // A receiver whose first answer takes long asks again. One answer comes of the pin that is
        // under way; one that was sent already is sent again, from the same state.
        if pinning[node] == cursor.shard { return }
        let now = nowMs
        if let place = exports.firstIndex(where: {
            $0.node == node && $0.position.shard == cursor.shard && !$0.isKnown
                && now < $0.madeMs + NodeLimits.exportFreshMs
        }) {
            return answer(cursor, place)
        }
        // A receiver that begins anew has forgotten what it was sent before.
        exports.removeAll { $0.node == node }
        pinning[node] = nil
        guard exports.count + pinning.count < NodeLimits.exportsMax else {
            return refuse(cursor, node)
        }
        pinning[node] = cursor.shard
        pin(cursor.shard) { [self] pinned in
            lane.submit { [self] in take(pinned, cursor, node) }
        }
    }

    private func take(
        _ pinned: (Snapshot, ShardPosition)?, _ cursor: SnapshotCursor, _ node: NodeNumber
    ) {
        // Otherwise the receiver wants another shard by now.
        guard pinning[node] == cursor.shard else { return }
        pinning[node] = nil
        guard let (snapshot, position) = pinned else { return refuse(cursor, node) }
        nextExport += 1
        let now = nowMs
        exports.append(
            Export(
                id: nextExport, node: node, snapshot: snapshot, position: position, madeMs: now,
                endMs: now + NodeLimits.exportIdleMs))
        answer(cursor, exports.count - 1)
        watch()
    }

    private func refuse(_ cursor: SnapshotCursor, _ node: NodeNumber) {
        send(.snapshotRefused(shard: cursor.shard, export: cursor.export), node)
    }

    private func answer(_ cursor: SnapshotCursor, _ place: Int) {
        let export = exports[place]
        let keyspaces = KeySchema.all.map(\.keyspace.rawValue)
        // The ranges are known of shards that there are: the shard is looked at first.
        guard cursor.shard == export.position.shard, keyspaces.contains(cursor.keyspace) else {
            return refuse(cursor, export.node)
        }
        let ranges = SnapshotRanges.of(cursor.shard, shards)
        guard Int(cursor.range) < ranges.count else { return refuse(cursor, export.node) }
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
            let isLast =
                chunk.isFinished && Int(cursor.range) + 1 == ranges.count
                && cursor.keyspace == keyspaces.last
            exports[place].endMs =
                nowMs + (isLast ? NodeLimits.exportGraceMs : NodeLimits.exportIdleMs)
        } catch {
            failed(.tree(error))
        }
    }

    func stop() {
        lane.stop()
        exports = []
    }
}

/// The ranges of keys that are a shard's, the same in every keyspace. Only for shards of the map.
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
