/// Why bytes could not be read as what they claim to be.
package enum DecodeError: Error, Equatable, Sendable {
    /// The value ends after the last byte.
    case truncated(offset: Int, needed: Int)
    /// The value is not allowed here; `what` names the field.
    case invalid(offset: Int, what: String)
}

/// A bounded reader over bytes that are not trusted: it throws, it never traps.
///
/// Positions in errors are offsets from the start of the buffer given to `init`. The buffer must
/// outlive the reader.
package struct ByteReader {
    private let buffer: UnsafeRawBufferPointer
    /// Offset of the next byte to read.
    package private(set) var offset: Int = 0

    /// A reader at the start of `buffer`.
    package init(_ buffer: UnsafeRawBufferPointer) {
        self.buffer = buffer
    }

    /// Reads all of `bytes` with `body`, which must consume every byte.
    package static func readAll<Value>(
        _ bytes: [UInt8], _ body: (inout ByteReader) throws -> Value
    ) throws -> Value {
        try bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            let value = try body(&reader)
            try reader.expectEnd()
            return value
        }
    }

    /// Bytes left.
    package var remaining: Int { buffer.count - offset }

    /// Throws unless every byte was read.
    package func expectEnd() throws(DecodeError) {
        if remaining != 0 { throw .invalid(offset: offset, what: "trailing bytes") }
    }

    /// Takes the next `count` bytes without a copy.
    package mutating func readRaw(_ count: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw .truncated(offset: offset, needed: count)
        }
        let slice = UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)])
        offset += count
        return slice
    }

    /// Takes one byte.
    package mutating func readByte() throws(DecodeError) -> UInt8 {
        guard offset < buffer.count else { throw .truncated(offset: offset, needed: 1) }
        defer { offset += 1 }
        return buffer[offset]
    }

    /// Takes a fixed-width little-endian integer.
    package mutating func readFixed<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self
    ) throws(DecodeError) -> Value {
        let raw = try readRaw(MemoryLayout<Value>.size)
        return Value(littleEndian: raw.loadUnaligned(as: Value.self))
    }

    /// Takes an unsigned varint of at most 10 bytes.
    package mutating func readVarint() throws(DecodeError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try readByte()
            if shift == 63, byte > 1 { throw .invalid(offset: start, what: "varint") }
            value |= UInt64(byte & 0x7f) &<< shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw .invalid(offset: start, what: "varint") }
        }
    }

    /// Takes a varint that must fit a count of things in memory.
    package mutating func readCount(max: Int = Int.max) throws(DecodeError) -> Int {
        let start = offset
        guard let count = Int(exactly: try readVarint()), count <= max else {
            throw .invalid(offset: start, what: "count")
        }
        return count
    }

    /// Takes a varint length and that many bytes, without a copy.
    package mutating func readPrefixed() throws(DecodeError) -> UnsafeRawBufferPointer {
        try readRaw(try readCount())
    }

    /// Takes a varint length and that many bytes as an array.
    package mutating func readPrefixedBytes() throws(DecodeError) -> [UInt8] {
        [UInt8](try readPrefixed())
    }

    /// Takes a varint length and that many bytes of valid UTF-8.
    package mutating func readText() throws(DecodeError) -> String {
        let start = offset
        let raw = try readPrefixed()
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw .invalid(offset: start, what: "UTF-8")
        }
        return text
    }
}
