internal import Bytes

/// The number of a write batch; 56 bits, later batches have higher ones.
package typealias SequenceNumber = UInt64

/// What a row says about its user key.
package enum RowKind: UInt8, Sendable {
    /// The key is gone.
    case delete = 1
    /// The key has the row's value.
    case put = 2
    /// Keys of a range are gone; stands in bounds of tables, never in a data block.
    case rangeDelete = 3
}

/// An internal key is a user key and an 8-byte trailer: little-endian `sequence << 8 | kind`.
///
/// Order: user key ascending as memcmp does, then trailer descending, so that the newest row of a
/// user key comes first. The functions work on raw bytes; only
/// ``make(userKey:sequence:kind:)`` and ``makeSeek(userKey:sequence:)`` allocate.
package enum InternalKey {
    /// Bytes of the trailer.
    package static let trailerBytes = 8
    /// The highest sequence number.
    package static let sequenceMax: SequenceNumber = (1 << 56) - 1
    /// The most bytes a user key may have.
    package static let userKeyBytesMax = 65_000

    /// The trailer of a row.
    @inline(__always)
    package static func trailer(sequence: SequenceNumber, kind: RowKind) -> UInt64 {
        sequence &<< 8 | UInt64(kind.rawValue)
    }

    /// The trailer that sorts before every row of a user key at or below `sequence`, and after
    /// every row above it.
    @inline(__always)
    package static func seekTrailer(_ sequence: SequenceNumber) -> UInt64 {
        sequence &<< 8 | 0xFF
    }

    /// The user key of an internal key.
    ///
    /// - Precondition: the key has a trailer.
    @inline(__always)
    package static func userKey(_ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        precondition(key.count >= trailerBytes, "an internal key has a trailer")
        return UnsafeRawBufferPointer(start: key.baseAddress, count: key.count &- trailerBytes)
    }

    /// The trailer of an internal key.
    ///
    /// - Precondition: the key has a trailer.
    @inline(__always)
    package static func trailer(_ key: UnsafeRawBufferPointer) -> UInt64 {
        precondition(key.count >= trailerBytes, "an internal key has a trailer")
        return UInt64(
            littleEndian: key.loadUnaligned(
                fromByteOffset: key.count &- trailerBytes, as: UInt64.self))
    }

    /// The sequence number of an internal key.
    @inline(__always)
    package static func sequence(_ key: UnsafeRawBufferPointer) -> SequenceNumber {
        trailer(key) &>> 8
    }

    /// The kind of an internal key. Data blocks with other kinds are refused when they are read;
    /// a key from elsewhere whose kind is none of the three reads as a delete.
    @inline(__always)
    package static func kind(_ key: UnsafeRawBufferPointer) -> RowKind {
        RowKind(rawValue: UInt8(truncatingIfNeeded: trailer(key))) ?? .delete
    }

    /// Below, at or above zero as `left` sorts before, with or after `right`.
    @inline(__always)
    package static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Int {
        let order = OrderedKey.compare(userKey(left), userKey(right))
        if order != 0 { return order }
        let a = trailer(left)
        let b = trailer(right)
        return a == b ? 0 : (a > b ? -1 : 1)
    }

    /// Below, at or above zero as `left` sorts before, with or after `right`.
    package static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { a in right.withUnsafeBytes { b in compare(a, b) } }
    }

    /// An internal key of its parts.
    package static func make(
        userKey: some Collection<UInt8>, sequence: SequenceNumber, kind: RowKind
    ) -> [UInt8] {
        make(userKey: userKey, trailer: trailer(sequence: sequence, kind: kind))
    }

    /// The internal key at which a search for the newest row at or below `sequence` starts.
    package static func makeSeek(
        userKey: some Collection<UInt8>, sequence: SequenceNumber = sequenceMax
    ) -> [UInt8] {
        make(userKey: userKey, trailer: seekTrailer(sequence))
    }

    private static func make(userKey: some Collection<UInt8>, trailer: UInt64) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(userKey.count + trailerBytes)
        key.append(contentsOf: userKey)
        withUnsafeBytes(of: trailer.littleEndian) { key.append(contentsOf: $0) }
        return key
    }
}
