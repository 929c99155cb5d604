package import Bytes
import SortedTable

/// Why an ingest does not take rows.
package enum IngestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes are no rows, or rows that do not belong here: out of order, outside the ranges, of
    /// a keyspace that the tree does not know or that comes too late. Nothing of them was taken,
    /// and the ingest goes on.
    case invalid(DecodeError)
    /// The tree or its disk failed. The ingest is over and its files are gone.
    case tree(TreeError)

    /// One line for people.
    package var description: String {
        switch self {
        case .invalid(.truncated(let offset, let needed)):
            "rows end at offset \(offset) where \(needed) bytes are needed"
        case .invalid(.invalid(let offset, let what)): "wrong \(what) at offset \(offset) of rows"
        case .tree(let error): error.description
        }
    }
}

/// The new content of key ranges, on its way into a tree: made by ``Tree/beginIngest(ranges:)``,
/// filled with rows, sealed, and installed by ``Tree/install(_:state:memtableState:installed:)``.
///
/// Rows go straight into tables of level 0 that no manifest lists yet. Each table also has range
/// tombstones over its part of the ranges, one sequence below the rows, which hide whatever the
/// tree held there before: so an ingest without rows drops its ranges. Memory: one table writer,
/// however many rows come.
///
/// Files of an ingest that is not installed are removed when it is abandoned or let go of, or when
/// the tree is opened next after a crash.
///
/// Used by one thread at a time; it may block on the disk, so not by the one that applies.
// Sendable: handed from thread to thread, never shared; the owner sees to that.
package final class TreeIngest: @unchecked Sendable {
    private enum Phase {
        case open, sealed, over
        case failed(TreeError)
    }

    let tree: Tree
    /// Tells it from the tree's other ingests.
    let number: UInt64
    private let tombstones: RangeTombstoneSet
    /// Sequence of all rows; the tombstones have the one before.
    let rowSequence: SequenceNumber
    private var phase = Phase.open
    /// One per keyspace from the first on; the last takes rows.
    private var outputs: [TableOutput] = []
    /// The last key of the keyspace that takes rows.
    private var lastKey: [UInt8]?
    private var internalKey: [UInt8] = []

    init(_ tree: Tree, number: UInt64, tombstones: RangeTombstoneSet, rowSequence: SequenceNumber) {
        self.tree = tree
        self.number = number
        self.tombstones = tombstones
        self.rowSequence = rowSequence
    }

    deinit { abandon() }

    // MARK: Rows

    /// Takes rows as ``RowChunk/packed`` has them. Keys ascend strictly within a keyspace, over all
    /// calls, and lie inside the ranges; keyspaces ascend. Blocks on the disk.
    ///
    /// - Precondition: not sealed, not abandoned.
    package func add(
        _ keyspace: Keyspace, packed: UnsafeRawBufferPointer
    ) throws(IngestError) {
        do throws(TreeError) { try checkOpen() } catch { throw .tree(error) }
        let place: Int
        let rows: Int
        do throws(DecodeError) {
            place = try check(keyspace)
            rows = try check(packed, after: place == outputs.count - 1 ? lastKey : nil)
        } catch {
            throw .invalid(error)
        }
        if rows == 0 { return }
        do throws(TableError) {
            try openKeyspace(place)
            try write(packed)
        } catch {
            throw .tree(fail(TreeError(error)))
        }
    }

    /// Takes rows as ``RowChunk/packed`` has them.
    package func add(_ keyspace: Keyspace, packed: [UInt8]) throws(IngestError) {
        try packed.withRaw { raw throws(IngestError) in try add(keyspace, packed: raw) }
    }

    /// The place of a keyspace that may take rows now.
    private func check(_ keyspace: Keyspace) throws(DecodeError) -> Int {
        guard let place = tree.places.find(keyspace.rawValue), place >= outputs.count - 1 else {
            throw .invalid(offset: 0, what: "keyspace")
        }
        return place
    }

    /// Looks at all rows before one is taken; answers how many there are.
    private func check(
        _ packed: UnsafeRawBufferPointer, after last: [UInt8]?
    ) throws(DecodeError) -> Int {
        var reader = PackedRowReader(packed)
        var previous: UnsafeRawBufferPointer?
        var count = 0
        while let row = try reader.next() {
            let order =
                if let previous {
                    KeyOrder.compare(previous, row.key)
                } else {
                    last.map { KeyOrder.compare($0, row.key) } ?? -1
                }
            guard order < 0 else { throw .invalid(offset: row.offset, what: "key order") }
            guard tombstones.index(covering: row.key) != nil else {
                throw .invalid(offset: row.offset, what: "key, outside the ranges,")
            }
            previous = row.key
            count += 1
        }
        return count
    }

    private func write(_ packed: UnsafeRawBufferPointer) throws(TableError) {
        let trailer = InternalKey.trailer(sequence: rowSequence, kind: .put).littleEndian
        let output = outputs[outputs.count - 1]
        var reader = PackedRowReader(packed)
        var last: UnsafeRawBufferPointer?
        // The rows were read once, so this does not throw.
        while let row = try? reader.next() {
            internalKey.removeAll(keepingCapacity: true)
            internalKey.append(contentsOf: row.key)
            withUnsafeBytes(of: trailer) { internalKey.append(contentsOf: $0) }
            try internalKey.withRaw { key throws(TableError) in try output.add(key, row.value) }
            last = row.key
        }
        if let last { lastKey = [UInt8](last) }
    }

    /// Finishes the keyspaces before `place` and has the one there take rows.
    private func openKeyspace(_ place: Int) throws(TableError) {
        while outputs.count <= place {
            try outputs.last?.finish()
            lastKey = nil
            outputs.append(
                TableOutput(
                    tree.store, tree.options.keyspaces[outputs.count],
                    tombstones: tombstones.newestTombstones,
                    cutter: OutputCutter(
                        tree.options, tableBytes: tree.options.tableBytes, below: [])))
        }
    }

    // MARK: End

    /// Finishes the tables and makes them durable, names included. Blocks on the disk.
    ///
    /// - Precondition: not sealed, not abandoned.
    package func seal() throws(TreeError) {
        try checkOpen()
        do throws(TableError) {
            try openKeyspace(tree.options.keyspaces.count - 1)
            try outputs.last?.finish()
        } catch {
            throw fail(TreeError(error))
        }
        do throws(TableError) {
            try tree.store.syncDirectory()
        } catch {
            // Names of the tree's own tables may be lost with it: as after its own failed sync.
            let error = fail(TreeError(error))
            tree.fail(error)
            throw error
        }
        phase = .sealed
    }

    /// Ends an ingest that is not to be installed and removes its files. Does nothing once it is
    /// installed, or when called again.
    package func abandon() {
        if case .over = phase { return }
        phase = .over
        discard()
    }

    /// Gives the tables away, to be installed.
    func takeTables() -> [TableHandle] {
        guard case .sealed = phase else {
            preconditionFailure("an ingest is sealed before it is installed, and installed once")
        }
        phase = .over
        defer { outputs = [] }
        return outputs.flatMap(\.tables)
    }

    private func checkOpen() throws(TreeError) {
        switch phase {
        case .open: break
        case .failed(let error): throw error
        case .sealed, .over: preconditionFailure("an ingest takes rows until it is sealed")
        }
        if let error = tree.ending { throw fail(error) }
    }

    private func fail(_ error: TreeError) -> TreeError {
        phase = .failed(error)
        discard()
        return error
    }

    private func discard() {
        for output in outputs { output.discard() }
        outputs = []
        tree.endIngest(number)
    }
}
