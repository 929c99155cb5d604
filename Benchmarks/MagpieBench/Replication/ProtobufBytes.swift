import NIOCore

/// Protobuf's wire form by hand: what a message and its answer cost the client is the same few
/// instructions for every engine, where generated code would weigh on one and not on the other.
enum ProtobufBytes {
    /// Bytes of a number in base 128.
    static func varintBytes(_ value: Int) -> Int {
        var (rest, count) = (value >> 7, 1)
        while rest > 0 { (rest, count) = (rest >> 7, count + 1) }
        return count
    }

    /// Bytes of a field of `count` bytes whose number is below 16.
    static func fieldBytes(_ count: Int) -> Int { 1 + varintBytes(count) + count }
}

extension ByteBuffer {
    /// A number in base 128.
    mutating func writeVarint(_ value: Int) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(rest))
    }

    /// Head of a field of bytes: its number (below 16) and how many bytes follow.
    mutating func writeFieldHead(_ field: UInt8, bytes count: Int) {
        writeInteger(field << 3 | 2)
        writeVarint(count)
    }

    /// A field of bytes.
    mutating func writeField(_ field: UInt8, _ bytes: [UInt8]) {
        writeFieldHead(field, bytes: bytes.count)
        writeBytes(bytes)
    }

    /// A field that is a number.
    mutating func writeField(_ field: UInt8, _ number: Int) {
        writeInteger(field << 3)
        writeVarint(number)
    }

    /// The next field of a message; nil at its end, or where its bytes make no sense.
    mutating func readField() -> ProtobufField? {
        guard let key = readVarint(), key < 1 << 32 else { return nil }
        let number = Int(key >> 3)
        switch key & 7 {
        case 0: return readVarint().map { ProtobufField(number: number, value: .number($0)) }
        case 1:
            return readInteger(endianness: .little, as: UInt64.self).map {
                ProtobufField(number: number, value: .number($0))
            }
        case 2:
            guard let count = readVarint(), count <= UInt64(readableBytes),
                let slice = readSlice(length: Int(count))
            else { return nil }
            return ProtobufField(number: number, value: .bytes(slice))
        case 5:
            return readInteger(endianness: .little, as: UInt32.self).map {
                ProtobufField(number: number, value: .number(UInt64($0)))
            }
        default: return nil
        }
    }

    private mutating func readVarint() -> UInt64? {
        var (value, shift) = (UInt64(0), UInt64(0))
        while shift < 64, let byte: UInt8 = readInteger() {
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }
}

/// A field of a protobuf message as it stands on the wire.
struct ProtobufField {
    enum Value {
        case number(UInt64)
        case bytes(ByteBuffer)
    }

    let number: Int
    let value: Value

    /// Its number, when it is one.
    var integer: UInt64? {
        if case .number(let value) = value { return value }
        return nil
    }

    /// Its bytes, when it has some.
    var bytes: ByteBuffer? {
        if case .bytes(let value) = value { return value }
        return nil
    }
}
