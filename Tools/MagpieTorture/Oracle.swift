import Bytes
import LSMTree

/// All rows of a store, as a dictionary for each keyspace keeps them.
struct RowModel: Equatable {
    /// By the place of the keyspace in ``Workload/keyspaces``.
    var rows: [[[UInt8]: [UInt8]]] = Workload.keyspaces.map { _ in [:] }

    mutating func apply(_ batch: WriteBatch) {
        batch.forEach { row in
            let place = Int(row.keyspace.rawValue) - 1
            let (key, value) = ([UInt8](row.key), [UInt8](row.value))
            switch row.kind {
            case .put: rows[place][key] = value
            case .delete: rows[place][key] = nil
            case .rangeDelete:
                rows[place] = rows[place].filter {
                    $0.key.lexicographicallyPrecedes(key)
                        || !$0.key.lexicographicallyPrecedes(value)
                }
            }
        }
    }

    /// The batch that wrote last; nil when none did.
    var newest: UInt64? { rows[0][Workload.marker].map { Workload.number($0) } }

    /// What readers must see when it is so late: an expired row may be there still or not.
    func visible(at horizon: UInt64) -> [[[UInt8]: [UInt8]]] {
        zip(Workload.keyspaces, rows).map { options, rows in
            guard options.isExpiring else { return rows }
            return rows.filter { !Workload.isExpired($0.value, horizon) }
        }
    }

    /// What differs from `expected`, in words; nil: nothing does.
    func difference(from expected: RowModel, at horizon: UInt64) -> String? {
        let pairs = zip(visible(at: horizon), expected.visible(at: horizon))
        for (options, (found, wanted)) in zip(Workload.keyspaces, pairs) where found != wanted {
            let missing = wanted.keys.filter { found[$0] == nil }.map { Hex.encode($0) }.sorted()
            let extra = found.keys.filter { wanted[$0] == nil }.map { Hex.encode($0) }.sorted()
            let other = found.keys.filter { wanted[$0] != nil && wanted[$0] != found[$0] }
                .map { Hex.encode($0) }.sorted()
            return "\(options.name): \(missing.count) rows missing \(missing.prefix(3)), "
                + "\(extra.count) that should be gone \(extra.prefix(3)), "
                + "\(other.count) with another value \(other.prefix(3))"
        }
        return nil
    }
}

/// Knows what was submitted and what was acknowledged, and judges what a store shows: it must be
/// the state after some prefix of the batches that holds every acknowledged one.
struct Oracle {
    /// What a judged state is.
    enum Verdict: Equatable {
        /// The state after this many of the batches that the oracle remembers.
        case prefix(Int)
        /// Right, but acknowledged batches are missing at its end: so many.
        case lost(Int)
        /// The state after no prefix.
        case wrong(String)
    }

    /// Batches that are remembered behind the last acknowledged one, so that a state that lost some
    /// can be told from a wrong one.
    private static let memory = 256

    private let batch: @Sendable (UInt64) -> WriteBatch
    /// The state before the batches that are remembered.
    private var settled = RowModel()
    /// Batches in the order in which they were submitted.
    private var numbers: [UInt64] = []
    /// So many of `numbers` were acknowledged.
    private var acknowledgedCount = 0
    /// Numbers up to here were used.
    private(set) var lastNumber: UInt64 = 0
    /// The last acknowledged batch.
    private(set) var acknowledged: UInt64 = 0

    /// An oracle for batches that `batch` makes of their numbers; each writes ``Workload/marker``.
    init(batch: @escaping @Sendable (UInt64) -> WriteBatch) {
        self.batch = batch
    }

    /// A batch is about to be handed to the store. Numbers ascend and are never used again.
    mutating func submitted(_ number: UInt64) {
        numbers.append(number)
        lastNumber = number
    }

    /// The store said that this batch, and all before it, are kept. Answers how many of them were
    /// not known to be; nil: it was never submitted.
    mutating func acknowledged(_ number: UInt64) -> Int? {
        guard let place = numbers.lastIndex(of: number) else { return nil }
        let fresh = max(0, place + 1 - acknowledgedCount)
        acknowledgedCount += fresh
        acknowledged = max(acknowledged, number)
        let forgotten = acknowledgedCount - Self.memory
        if forgotten > Self.memory {
            for number in numbers[..<forgotten] { settled.apply(batch(number)) }
            numbers.removeFirst(forgotten)
            acknowledgedCount -= forgotten
        }
        return fresh
    }

    /// The state after all acknowledged batches.
    var acknowledgedState: RowModel {
        state(after: acknowledgedCount)
    }

    private func state(after count: Int) -> RowModel {
        var model = settled
        for number in numbers[..<count] { model.apply(batch(number)) }
        return model
    }

    /// What `found` is.
    func judge(_ found: RowModel) -> Verdict {
        let newest = found.newest
        let count: Int
        if newest == settled.newest {
            count = 0
        } else if let newest, let place = numbers.firstIndex(of: newest) {
            count = place + 1
        } else {
            let name = newest.map { "batch \($0) wrote last" } ?? "it is empty"
            return .wrong(
                "no prefix: \(name), acknowledged is \(acknowledged), submitted \(lastNumber)")
        }
        let horizon = max(newest ?? 0, acknowledged)
        if let difference = found.difference(from: state(after: count), at: horizon) {
            return .wrong("after batch \(newest ?? 0): \(difference)")
        }
        return count < acknowledgedCount ? .lost(acknowledgedCount - count) : .prefix(count)
    }

    /// Takes what was recovered as what happened: batches behind it never were. A store that showed
    /// them may not lose them any more.
    mutating func adopt(_ count: Int) {
        numbers.removeLast(numbers.count - count)
        acknowledgedCount = count
        if let last = numbers.last { acknowledged = max(acknowledged, last) }
    }
}
