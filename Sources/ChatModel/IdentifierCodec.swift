package import Bytes

/// How the parts that many formats share are laid out: identifiers as 16 bytes, truth as one byte
/// that is 0 or 1.
extension ByteWriter {
    /// Appends the 16 bytes of an identifier.
    package mutating func write<Kind>(id: Identifier<Kind>) {
        write(fixed: id.high.bigEndian)
        write(fixed: id.low.bigEndian)
    }

    /// Appends 1 for true, 0 for false.
    package mutating func write(flag: Bool) {
        write(flag ? UInt8(1) : UInt8(0))
    }

    /// Appends a varint count, then 16 bytes each.
    package mutating func write<Kind>(ids: [Identifier<Kind>]) {
        write(varint: UInt64(ids.count))
        for id in ids { write(id: id) }
    }

    /// Appends 0, or 1 and the value.
    package mutating func write(optionalVarint value: UInt64?) {
        write(flag: value != nil)
        if let value { write(varint: value) }
    }

    /// Appends 0, or 1 and the text.
    package mutating func write(optionalText value: String?) {
        write(flag: value != nil)
        if let value { write(text: value) }
    }
}

extension ByteReader {
    /// Takes the 16 bytes of an identifier.
    package mutating func readID<Kind>(
        _ type: Identifier<Kind>.Type = Identifier<Kind>.self
    ) throws(DecodeError) -> Identifier<Kind> {
        let high = UInt64(bigEndian: try readFixed(UInt64.self))
        let low = UInt64(bigEndian: try readFixed(UInt64.self))
        return Identifier(high: high, low: low)
    }

    /// Takes a byte that must be 0 or 1.
    package mutating func readFlag() throws(DecodeError) -> Bool {
        let start = offset
        switch try readByte() {
        case 0: return false
        case 1: return true
        default: throw .invalid(offset: start, what: "flag")
        }
    }

    /// Takes a count and that many identifiers.
    package mutating func readIDs<Kind>(
        _ type: Identifier<Kind>.Type = Identifier<Kind>.self
    ) throws(DecodeError) -> [Identifier<Kind>] {
        let count = try readCount(max: remaining / 16)
        var ids: [Identifier<Kind>] = []
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(try readID()) }
        return ids
    }

    /// Takes 0, or 1 and a varint.
    package mutating func readOptionalVarint() throws(DecodeError) -> UInt64? {
        try readFlag() ? try readVarint() : nil
    }

    /// Takes 0, or 1 and text.
    package mutating func readOptionalText() throws(DecodeError) -> String? {
        try readFlag() ? try readText() : nil
    }
}
