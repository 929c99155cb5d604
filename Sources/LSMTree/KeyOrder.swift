import Bytes

/// The order of user keys: bytewise, the shorter first when one starts with the other.
enum KeyOrder {
    /// Below, at or above zero as `left` sorts before, with or after `right`.
    @inline(__always)
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        OrderedKey.compare(left, right)
    }

    /// Below, at or above zero as `left` sorts before, with or after `right`.
    static func compare(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Int {
        left.withUnsafeBytes { OrderedKey.compare($0, right) }
    }

    /// Below, at or above zero as `left` sorts before, with or after `right`.
    static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { left in right.withUnsafeBytes { OrderedKey.compare(left, $0) } }
    }

    /// True when `left` sorts before `right`.
    static func less(_ left: [UInt8], _ right: [UInt8]) -> Bool { compare(left, right) < 0 }

    /// The smaller of two keys.
    static func lesser(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        less(right, left) ? right : left
    }

    /// The first key after `key`: the same bytes and a zero.
    static func successor(_ key: [UInt8]) -> [UInt8] { key + [0] }
}

extension [UInt8] {
    /// `withUnsafeBytes` for bodies that throw one type.
    @inline(__always)
    func withRaw<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let result = withUnsafeBytes { raw in
            Result { () throws(Failure) in try body(raw) }
        }
        return try result.get()
    }
}
