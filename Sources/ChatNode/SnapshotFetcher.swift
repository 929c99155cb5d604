import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import ShardStore

/// The receiver's side of shard snapshots: one shard at a time, chunk by chunk, into sorted tables
/// that take the place of the shard's rows in one step at the end.
///
/// Memory is a chunk. The pace is bounded, so that a rebuild does not take the disk from those who
/// chat. A chunk that does not come is asked for again, from wherever this side stands; only when
/// the sender has forgotten the state does the shard begin anew.
// Confined to its lane, but for `want` and `take`.
final class SnapshotFetcher: @unchecked Sendable {
    private struct Fetch {
        enum Phase {
            /// Between an answer and the next question.
            case paused
            /// An answer is awaited.
            case asked
            /// All rows are here, and belong to the apply lane: nothing ends the fetch but its
            /// answer.
            case installing
        }

        let shard: GroupID
        let node: NodeNumber
        var cursor: SnapshotCursor
        var position: ShardPosition?
        /// Nil before the first rows, and again once it is given to the apply lane.
        var ingest: TreeIngest?
        var phase = Phase.paused
        var askedMs: Milliseconds = 0
        var tries = 0
    }

    private static let retryMs: Milliseconds = 2_000
    private static let triesMax = 5
    /// Bytes a second of rebuilding.
    private static let paceBytes: UInt64 = 64 << 20

    private let store: ShardStore
    private let shards: ShardMap
    private let clock: any Clock
    private let lane: any Lane
    private let ask: @Sendable (SnapshotCursor, NodeNumber) -> Void
    /// Installs on the apply lane, which owns the ingest from then on; the answer is true when it
    /// was taken or is of no use any more, false when it must be tried again.
    private let install:
        @Sendable (
            ShardPosition, TreeIngest, @escaping @Sendable (Bool) -> Void
        ) -> Void
    private let notice: @Sendable (String) -> Void
    private let failed: @Sendable (NodeFailure) -> Void
    private var current: Fetch?
    /// Shards that wait for their turn, with who offers them.
    private var queue: [(shard: GroupID, node: NodeNumber)] = []
    /// How far the snapshots went that were installed.
    private var installed: [GroupID: LogIndex] = [:]
    /// The last state of each node of which rows were taken.
    private var exports: [NodeNumber: UInt64] = [:]
    private var paceMs: Milliseconds = 0
    private var isTimed = false

    init(
        store: ShardStore, shards: ShardMap, clock: any Clock, lane: any Lane,
        ask: @escaping @Sendable (SnapshotCursor, NodeNumber) -> Void,
        install:
            @escaping @Sendable (
                ShardPosition, TreeIngest, @escaping @Sendable (Bool) -> Void
            ) -> Void,
        notice: @escaping @Sendable (String) -> Void,
        failed: @escaping @Sendable (NodeFailure) -> Void
    ) {
        self.store = store
        self.shards = shards
        self.clock = clock
        self.lane = lane
        self.ask = ask
        self.install = install
        self.notice = notice
        self.failed = failed
    }

    /// A leader offers a shard's state that holds at least entry `index`; from any thread. Offers
    /// are repeated: all but the first change nothing, unless they come from another node.
    func want(_ shard: GroupID, from node: NodeNumber, upTo index: LogIndex) {
        lane.submit { [self] in
            // An offer made before the leader heard that the last one was taken.
            if installed[shard, default: 0] >= index || current?.shard == shard { return }
            queue.removeAll { $0.shard == shard }
            queue.append((shard, node))
            next()
        }
    }

    /// Takes a chunk, or that there is none; from any thread.
    func take(_ frame: PeerFrame, from node: NodeNumber) {
        lane.submit { [self] in
            switch frame {
            case .snapshotChunk(let chunk): take(chunk, from: node)
            case .snapshotRefused(let shard, let export):
                guard let fetch = current, fetch.phase == .asked, fetch.shard == shard,
                    fetch.node == node, fetch.cursor.export == export
                else { return }
                giveUp("node \(node) has no state of shard \(shard) to give")
            default: break
            }
        }
    }

    /// Ends the fetch under way, but for rows that the apply lane has: a lane that stops later may
    /// still install them, and they go with whoever holds them last.
    func stop() {
        lane.stop()
        current?.ingest?.abandon()
        current = nil
    }

    private var nowMs: Milliseconds { clock.monotonicNanoseconds() / 1_000_000 }

    private func next() {
        guard current == nil, !queue.isEmpty else { return }
        let (shard, node) = queue.removeFirst()
        let first = KeySchema.all[0].keyspace.rawValue
        current = Fetch(
            shard: shard, node: node,
            cursor: SnapshotCursor(
                shard: shard, export: 0, keyspace: first, range: 0, lastKey: []))
        notice("fetching shard \(shard) from node \(node)")
        askForMore()
    }

    private func askForMore() {
        guard var fetch = current else { return }
        fetch.askedMs = nowMs
        fetch.phase = .asked
        current = fetch
        ask(fetch.cursor, fetch.node)
        watch()
    }

    /// Looks again in a while whether the answer came.
    private func watch() {
        if isTimed { return }
        isTimed = true
        lane.submit(after: .milliseconds(Int64(Self.retryMs))) { [self] in
            isTimed = false
            guard let fetch = current else { return }
            guard fetch.phase == .asked, nowMs >= fetch.askedMs + Self.retryMs else {
                return watch()
            }
            guard fetch.tries < Self.triesMax else {
                return giveUp("node \(fetch.node) does not send shard \(fetch.shard)")
            }
            current?.tries += 1
            askForMore()
        }
    }

    private func giveUp(_ reason: String) {
        notice("\(reason); it is offered again")
        current?.ingest?.abandon()
        current = nil
        next()
    }

    private func take(_ chunk: SnapshotChunk, from node: NodeNumber) {
        guard var fetch = current, fetch.phase == .asked, fetch.shard == chunk.shard,
            fetch.node == node, fetch.cursor.keyspace == chunk.keyspace,
            fetch.cursor.range == chunk.range, answers(chunk, fetch.cursor, from: node)
        else { return }
        guard let configuration = Configuration.decode(chunk.configuration) else {
            return giveUp("node \(node) sent a state of shard \(chunk.shard) that cannot be read")
        }
        let position = ShardPosition(
            shard: chunk.shard, replica: 1, index: chunk.index, term: chunk.term,
            hash: chunk.hash, configuration: configuration)
        if let known = fetch.position, known != position { return }
        do {
            let ends = try Self.ends(of: chunk.rows)
            // A question that was repeated may be answered twice.
            if let first = ends?.first, !fetch.cursor.lastKey.isEmpty,
                !fetch.cursor.lastKey.lexicographicallyPrecedes(first)
            {
                return
            }
            fetch.phase = .paused
            fetch.tries = 0
            fetch.position = position
            fetch.cursor.export = chunk.export
            exports[node] = chunk.export
            let ranges = SnapshotRanges.of(chunk.shard, shards)
            let ingest = try fetch.ingest ?? store.tree.beginIngest(ranges: ranges)
            fetch.ingest = ingest
            try ingest.add(Keyspace(rawValue: chunk.keyspace), packed: chunk.rows)
            if let last = ends?.last { fetch.cursor.lastKey = last }
            current = fetch
            if chunk.isFinished, !advance(ranges: ranges.count) { return try finish() }
        } catch {
            return take(error, of: fetch)
        }
        pace(chunk.rows.count)
    }

    /// True when a chunk is of the state that is being fetched. The first may be of any but the one
    /// before: a late answer out of the middle of that is no beginning.
    private func answers(
        _ chunk: SnapshotChunk, _ cursor: SnapshotCursor, from node: NodeNumber
    ) -> Bool {
        if cursor.export != 0 { return cursor.export == chunk.export }
        return exports[node] != chunk.export
    }

    private static func ends(of rows: [UInt8]) throws -> (first: [UInt8], last: [UInt8])? {
        try rows.withUnsafeBytes { raw -> (first: [UInt8], last: [UInt8])? in
            var reader = PackedRowReader(raw)
            guard let first = try reader.next() else { return nil }
            var last = first
            while let row = try reader.next() { last = row }
            return ([UInt8](first.key), [UInt8](last.key))
        }
    }

    private func take(_ error: any Error, of fetch: Fetch) {
        var damage = error as? TreeError
        if case .tree(let inner) = error as? IngestError { damage = inner }
        if let damage, damage.isFull {
            // Nothing is lost: the state is offered again when there is room.
            giveUp("the disk is full: shard \(fetch.shard) cannot be taken")
        } else if let damage {
            failed(.tree(damage))
        } else {
            giveUp(
                "node \(fetch.node) sent rows of shard \(fetch.shard) that make no sense: \(error)")
        }
    }

    /// Moves on to the next range or keyspace; false behind the last.
    private func advance(ranges: Int) -> Bool {
        guard var cursor = current?.cursor else { return false }
        cursor.lastKey = []
        if Int(cursor.range) + 1 < ranges {
            cursor.range += 1
        } else {
            let keyspaces = KeySchema.all.map(\.keyspace.rawValue)
            guard let following = keyspaces.first(where: { $0 > cursor.keyspace }) else {
                return false
            }
            cursor.keyspace = following
            cursor.range = 0
        }
        current?.cursor = cursor
        return true
    }

    private func pace(_ bytes: Int) {
        let now = nowMs
        paceMs = max(paceMs, now) + UInt64(bytes) * 1_000 / Self.paceBytes
        if paceMs <= now + 20 { return askForMore() }
        lane.submit(after: .milliseconds(Int64(paceMs - now))) { [self] in
            if current?.phase == .paused { askForMore() }
        }
    }

    private func finish() throws {
        guard let fetch = current, let ingest = fetch.ingest, let position = fetch.position else {
            return
        }
        try ingest.seal()
        current?.phase = .installing
        current?.ingest = nil
        tryInstall(position, ingest)
    }

    private func tryInstall(_ position: ShardPosition, _ ingest: TreeIngest) {
        install(position, ingest) { [self] isOver in
            lane.submit { [self] in
                guard isOver else {
                    // The tree has as many frozen memtables as it may: soon it has not.
                    lane.submit(after: .milliseconds(100)) { [self] in
                        tryInstall(position, ingest)
                    }
                    return
                }
                notice("shard \(position.shard) is here, up to entry \(position.index)")
                installed[position.shard] = position.index
                current = nil
                next()
            }
        }
    }
}
