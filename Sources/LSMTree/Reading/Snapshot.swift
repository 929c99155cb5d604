import Bytes
import Platform
package import SortedTable

/// The tree at one sequence. It never changes, whatever is written, cut or compacted meanwhile;
/// it keeps the files it can see on disk, so it must not live for hours.
///
/// Use from any thread, several at once.
package final class Snapshot: Sendable {
    let view: View
    /// Rows up to this sequence are visible.
    package let sequence: SequenceNumber
    /// Rows that expire up to this may be left out.
    private let expiryHorizon: UInt64
    private let tree: TreeContext

    init(view: View, sequence: SequenceNumber, expiryHorizon: UInt64, tree: TreeContext) {
        self.view = view
        self.sequence = sequence
        self.expiryHorizon = expiryHorizon
        self.tree = tree
    }

    /// A copy of the value of `key`, or nil.
    package func get(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> [UInt8]? {
        try key.withRaw { key throws(TreeError) in
            let stay = tree.gate.enter()
            defer { tree.gate.leave(stay) }
            return try find(keyspace, key, stay).map { [UInt8]($0) }
        }
    }

    /// True when `key` has a value.
    package func contains(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> Bool {
        try key.withRaw { key throws(TreeError) in
            let stay = tree.gate.enter()
            defer { tree.gate.leave(stay) }
            return try find(keyspace, key, stay) != nil
        }
    }

    /// Gives the value of `key` to `body` without a copy; nil when there is none. The bytes live
    /// only during the call. Throws ``TreeError`` or what `body` throws.
    package func withValue<Result>(
        _ keyspace: Keyspace, key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result? {
        let stay = tree.gate.enter()
        defer { tree.gate.leave(stay) }
        guard let value = try find(keyspace, key, stay) else { return nil }
        return try body(value)
    }

    private func find(
        _ keyspace: Keyspace, _ key: UnsafeRawBufferPointer, _ stay: EpochGate.Stay
    ) throws(TreeError) -> UnsafeRawBufferPointer? {
        do throws(TableError) {
            return try view.plans[tree.places[keyspace]].find(key, at: sequence, stay)
        } catch {
            throw TreeError(error)
        }
    }

    /// An iterator over `lower ..< upper`; nil as `upper`: to the end. Not positioned yet. Of rows
    /// that were expired when the snapshot was taken, some are left out.
    package func makeIterator(
        _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil
    ) throws(TreeError) -> TreeIterator {
        let place = tree.places[keyspace]
        let prefix = filterPrefix(place, lower, upper)
        do throws(TableError) {
            let cursor = try view.plans[place].makeCursor(
                at: sequence, lower: lower, upper: upper, prefix: prefix,
                levels: view.keyspaces[place],
                expiryHorizon: tree.options.keyspaces[place].isExpiring ? expiryHorizon : 0)
            return TreeIterator(snapshot: self, cursor: cursor, lower: lower, upper: upper)
        } catch {
            throw TreeError(error)
        }
    }

    /// The prefix that all keys of the range share and that table filters know, or nil.
    private func filterPrefix(_ place: Int, _ lower: [UInt8], _ upper: [UInt8]?) -> [UInt8]? {
        guard let length = tree.options.keyspaces[place].filterPrefixLength, lower.count >= length,
            let upper
        else { return nil }
        let prefix = Array(lower[..<length])
        if let end = OrderedKey.successor(ofPrefix: prefix), KeyOrder.less(end, upper) {
            return nil
        }
        return prefix
    }
}

/// What all snapshots of a tree share.
final class TreeContext: Sendable {
    let options: TreeOptions
    let places: KeyspacePlaces
    let gate: EpochGate

    init(options: TreeOptions, gate: EpochGate) {
        self.options = options
        self.gate = gate
        places = KeyspacePlaces(options)
    }
}
