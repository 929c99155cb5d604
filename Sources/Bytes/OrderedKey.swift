/// Builds keys whose byte order is the order of their parts: integers big endian, text last.
package struct OrderedKey: Sendable {
    /// The key so far.
    package private(set) var bytes: [UInt8]

    /// An empty key with room for `capacity` bytes.
    package init(capacity: Int = 40) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Appends an unsigned integer, big endian.
    package mutating func append<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends bytes as they are; only one part of variable length may stand in a key, last.
    package mutating func append(raw: some Sequence<UInt8>) {
        bytes.append(contentsOf: raw)
    }

    /// The smallest key above every key that starts with `prefix`, or nil when there is none.
    package static func successor(ofPrefix prefix: [UInt8]) -> [UInt8]? {
        var key = prefix
        while let last = key.last {
            key.removeLast()
            if last < 0xFF {
                key.append(last + 1)
                return key
            }
        }
        return nil
    }

    /// Reads a big-endian integer at `offset` of a key; nil when it does not lie inside.
    package static func integer<Value: FixedWidthInteger & UnsignedInteger>(
        _ type: Value.Type, in key: UnsafeRawBufferPointer, at offset: Int
    ) -> Value? {
        guard offset >= 0, offset <= key.count - MemoryLayout<Value>.size else { return nil }
        return Value(bigEndian: key.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    /// Compares keys as memcmp does, the shorter first when one starts with the other.
    @inline(__always)
    package static func less(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Bool {
        compare(left, right) < 0
    }

    /// Below, at or above zero as `left` sorts before, with or after `right`.
    @inline(__always)
    package static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) -> Int {
        let shared = min(left.count, right.count)
        var index = 0
        while index &+ 8 <= shared {
            let a = left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let b = right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if a != b { return a.bigEndian < b.bigEndian ? -1 : 1 }
            index &+= 8
        }
        while index < shared {
            let a = left[index]
            let b = right[index]
            if a != b { return a < b ? -1 : 1 }
            index &+= 1
        }
        return left.count &- right.count
    }
}
