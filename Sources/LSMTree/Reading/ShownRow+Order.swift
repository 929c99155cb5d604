import SortedTable

/// What a merge does for each row; here, because functions of another module are not inlined.
extension ShownRow {
    /// Below, at or above zero as the user key sorts before, with or after that of `other`.
    @inline(__always)
    func compare(_ other: ShownRow) -> Int {
        let shared = min(userKeyBytes, other.userKeyBytes)
        var place = 0
        while place &+ 8 <= shared {
            let order = Self.compare(keyStart, other.keyStart, at: place)
            if order != 0 { return order }
            place &+= 8
        }
        if place == shared { return userKeyBytes &- other.userKeyBytes }
        if shared >= 8 {
            // Some bytes once more: they are equal.
            let order = Self.compare(keyStart, other.keyStart, at: shared &- 8)
            return order != 0 ? order : userKeyBytes &- other.userKeyBytes
        }
        while place < shared {
            let a = keyStart.load(fromByteOffset: place, as: UInt8.self)
            let b = other.keyStart.load(fromByteOffset: place, as: UInt8.self)
            if a != b { return a < b ? -1 : 1 }
            place &+= 1
        }
        return userKeyBytes &- other.userKeyBytes
    }

    /// The same for eight bytes of both keys.
    @inline(__always)
    private static func compare(
        _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, at place: Int
    ) -> Int {
        let a = left.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        let b = right.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        return a == b ? 0 : (a.bigEndian < b.bigEndian ? -1 : 1)
    }

    /// Whether the row says that its key is gone.
    @inline(__always)
    var isDelete: Bool { UInt8(truncatingIfNeeded: trailer) == RowKind.delete.rawValue }

    /// When the row was written.
    @inline(__always)
    var sequence: SequenceNumber { trailer &>> 8 }
}
