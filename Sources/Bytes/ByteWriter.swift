/// An append-only builder of bytes: fixed-width integers are little endian, lengths are varints.
///
/// The one way to lay out bytes for disk or peers; ``ByteReader`` is its other half. Ordered keys
/// (big endian) are in ``OrderedKey``.
package struct ByteWriter: Sendable {
    /// Everything written so far.
    package private(set) var bytes: [UInt8]

    /// An empty writer with room for `capacity` bytes.
    package init(capacity: Int = 64) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Bytes written so far.
    package var count: Int { bytes.count }

    /// Forgets the content, keeps the capacity.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// Appends one byte.
    package mutating func write(_ value: UInt8) {
        bytes.append(value)
    }

    /// Appends a fixed-width integer, little endian.
    package mutating func write<Value: FixedWidthInteger>(fixed value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends an unsigned LEB128 varint of 1…10 bytes.
    package mutating func write(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Appends bytes as they are.
    package mutating func write(raw source: some Sequence<UInt8>) {
        bytes.append(contentsOf: source)
    }

    /// Appends bytes as they are.
    package mutating func write(raw source: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: source)
    }

    /// Appends a varint length, then the bytes.
    package mutating func write(prefixed source: some Collection<UInt8>) {
        write(varint: UInt64(source.count))
        bytes.append(contentsOf: source)
    }

    /// Appends a varint length, then the text as UTF-8.
    package mutating func write(text: String) {
        var copy = text
        copy.withUTF8 { utf8 in
            write(varint: UInt64(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    /// Overwrites a fixed-width integer written earlier at `offset`.
    ///
    /// - Precondition: the integer lies wholly inside what was written.
    package mutating func patch<Value: FixedWidthInteger>(fixed value: Value, at offset: Int) {
        let size = MemoryLayout<Value>.size
        precondition(offset >= 0 && offset + size <= bytes.count, "patch outside what was written")
        withUnsafeBytes(of: value.littleEndian) { source in
            for index in 0..<size { bytes[offset + index] = source[index] }
        }
    }
}
