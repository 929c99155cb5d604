private import Bytes
import LSMTree

/// Rows written by the commands of one batch, over the rows that stood before it.
///
/// Reads see the batch's own writes, so a batch of many commands is one atomic `WriteBatch`. Each
/// key is in that batch once, with its last value, in the order in which keys were first written:
/// the same commands over the same rows give the same bytes.
final class RowTransaction: RowView {
    private struct Address: Hashable {
        var keyspace: Keyspace
        var key: [UInt8]
    }

    /// The first bytes of a key, without an allocation for each: 18 of the 24, the keyspace behind.
    private struct Partition: Hashable {
        private var words: (UInt64, UInt64, UInt64)

        init(_ keyspace: Keyspace, of key: [UInt8]) {
            words = (0, 0, UInt64(keyspace.rawValue) << 32)
            withUnsafeMutableBytes(of: &words) { words in
                key.withUnsafeBytes {
                    words.copyMemory(from: .init(rebasing: $0.prefix(KeySchema.partitionBytes)))
                }
            }
        }

        static func == (left: Self, right: Self) -> Bool { left.words == right.words }

        func hash(into hasher: inout Hasher) {
            hasher.combine(words.0)
            hasher.combine(words.1)
            hasher.combine(words.2)
        }
    }

    private let base: any RowView
    private var writes: [(address: Address, value: [UInt8]?)] = []
    private var indexes: [Address: Int] = [:]
    /// Which writes lie in a partition: scans never leave one.
    private var partitions: [Partition: [Int]] = [:]
    /// Counts every put and delete.
    private(set) var revision = 0

    init(over base: any RowView) {
        self.base = base
    }

    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws -> [UInt8]? {
        if let index = indexes[Address(keyspace: keyspace, key: key)] {
            return writes[index].value
        }
        return try base.get(keyspace, key)
    }

    func put(_ keyspace: Keyspace, _ key: [UInt8], _ value: [UInt8]) {
        set(Address(keyspace: keyspace, key: key), value)
    }

    func put(_ keyspace: Keyspace, _ key: [UInt8], _ row: some StoredRow) {
        set(Address(keyspace: keyspace, key: key), row.encoded())
    }

    func delete(_ keyspace: Keyspace, _ key: [UInt8]) {
        set(Address(keyspace: keyspace, key: key), nil)
    }

    private func set(_ address: Address, _ value: [UInt8]?) {
        revision += 1
        if let index = indexes[address] {
            writes[index].value = value
            return
        }
        indexes[address] = writes.count
        partitions[Partition(address.keyspace, of: address.key), default: []].append(writes.count)
        writes.append((address, value))
    }

    /// Everything written, as one batch.
    func batch() -> WriteBatch {
        var batch = WriteBatch()
        for (address, value) in writes {
            if let value {
                batch.put(address.keyspace, key: address.key, value: value)
            } else {
                batch.delete(address.keyspace, key: address.key)
            }
        }
        return batch
    }

    /// - Precondition: `lower` names the partition in which the whole range lies.
    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8], isReversed: Bool,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        precondition(lower.count >= KeySchema.partitionBytes, "a scan must stay in a partition")
        let own = writesInside(keyspace, lower, upper, isReversed)
        guard !own.isEmpty else {
            return try base.scan(
                keyspace, from: lower, to: upper, isReversed: isReversed, body)
        }
        var next = 0
        var isStopped = false
        func visitOwn() throws {
            let write = writes[own[next]]
            next += 1
            guard let value = write.value else { return }
            let goesOn = try write.address.key.withUnsafeBytes { key in
                try value.withUnsafeBytes { try body(key, $0) }
            }
            isStopped = !goesOn
        }
        try base.scan(keyspace, from: lower, to: upper, isReversed: isReversed) { key, value in
            while next < own.count, !isStopped {
                let order = writes[own[next]].address.key.withUnsafeBytes {
                    OrderedKey.compare($0, key)
                }
                if order == 0 {
                    try visitOwn()
                    return !isStopped
                }
                guard isReversed ? order > 0 : order < 0 else { break }
                try visitOwn()
            }
            if isStopped { return false }
            isStopped = try !body(key, value)
            return !isStopped
        }
        while next < own.count, !isStopped { try visitOwn() }
    }

    /// The writes in a range, in the scan's order.
    private func writesInside(
        _ keyspace: Keyspace, _ lower: [UInt8], _ upper: [UInt8], _ isReversed: Bool
    ) -> [Int] {
        let candidates = partitions[Partition(keyspace, of: lower)] ?? []
        func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
            left.withUnsafeBytes { left in right.withUnsafeBytes { OrderedKey.less(left, $0) } }
        }
        let inside = candidates.filter { index in
            let key = writes[index].address.key
            return !precedes(key, lower) && precedes(key, upper)
        }
        return inside.sorted { left, right in
            let (left, right) = (writes[left].address.key, writes[right].address.key)
            return isReversed ? precedes(right, left) : precedes(left, right)
        }
    }
}
