import Bytes
import ChatEngine
import LSMTree

/// Rows in plain sorted arrays: the dumbest tree there is.
struct MemoryRows: RowView, Equatable {
    struct Row: Equatable {
        var key: [UInt8]
        var value: [UInt8]
    }

    private(set) var keyspaces: [[Row]] = Array(repeating: [], count: 10)

    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws -> [UInt8]? {
        let rows = keyspaces[Int(keyspace.rawValue)]
        let index = place(rows, key)
        return index < rows.count && rows[index].key == key ? rows[index].value : nil
    }

    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8], isReversed: Bool,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        let rows = keyspaces[Int(keyspace.rawValue)]
        let (first, last) = (place(rows, lower), place(rows, upper))
        guard first < last else { return }
        for offset in 0..<(last - first) {
            let row = rows[isReversed ? last - 1 - offset : first + offset]
            let goesOn = try row.key.withUnsafeBytes { key in
                try row.value.withUnsafeBytes { try body(key, $0) }
            }
            if !goesOn { return }
        }
    }

    mutating func apply(_ batch: WriteBatch) {
        batch.forEach { row in
            let key = [UInt8](row.key)
            if isPut(row.kind) {
                put(row.keyspace, key, [UInt8](row.value))
            } else {
                put(row.keyspace, key, nil)
            }
        }
    }

    mutating func put(_ keyspace: Keyspace, _ key: [UInt8], _ value: [UInt8]?) {
        let number = Int(keyspace.rawValue)
        let index = place(keyspaces[number], key)
        let isThere = index < keyspaces[number].count && keyspaces[number][index].key == key
        switch (isThere, value) {
        case (true, let value?): keyspaces[number][index].value = value
        case (true, nil): keyspaces[number].remove(at: index)
        case (false, let value?): keyspaces[number].insert(Row(key: key, value: value), at: index)
        case (false, nil): break
        }
    }

    /// RowKind's put is 2; its module is not among this target's imports.
    private func isPut<Kind: RawRepresentable>(_ kind: Kind) -> Bool where Kind.RawValue == UInt8 {
        kind.rawValue == 2
    }

    private func place(_ rows: [Row], _ key: [UInt8]) -> Int {
        var (low, high) = (0, rows.count)
        while low < high {
            let middle = (low + high) / 2
            let isBelow = rows[middle].key.withUnsafeBytes { left in
                key.withUnsafeBytes { OrderedKey.less(left, $0) }
            }
            if isBelow { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
