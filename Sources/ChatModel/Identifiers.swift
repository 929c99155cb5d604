import Bytes

/// A 128-bit identifier, written as UUID text (version 8 unless a client made it).
///
/// Its first 14 bits are the *slot*: an identifier says where its rows live. `Kind` keeps users,
/// conversations, devices and blobs apart at compile time.
package struct Identifier<Kind>: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Bytes 0…7, big endian.
    package let high: UInt64
    /// Bytes 8…15, big endian.
    package let low: UInt64

    /// An identifier of exactly these bits.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The identifier made of the first 16 bytes of a hash or of chance, with version 8 and the
    /// RFC 9562 variant set.
    ///
    /// - Precondition: at least 16 bytes.
    package init(hash: [UInt8]) {
        precondition(hash.count >= 16, "an identifier needs 16 bytes")
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<8 {
            high = high << 8 | UInt64(hash[index])
            low = low << 8 | UInt64(hash[index + 8])
        }
        self.high = high & ~0xF000 | 0x8000
        self.low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    }

    /// Parses UUID text (8-4-4-4-12, either case); nil when it is not that.
    package init?(_ text: some StringProtocol) {
        let utf8 = Array(text.utf8)
        guard utf8.count == 36, [8, 13, 18, 23].allSatisfy({ utf8[$0] == 0x2D }) else { return nil }
        let digits = utf8.enumerated().filter { ![8, 13, 18, 23].contains($0.offset) }.map(
            \.element)
        guard let bytes = Hex.decode(String(decoding: digits, as: UTF8.self)), bytes.count == 16
        else { return nil }
        self.init(bytes: bytes)
    }

    /// The identifier of 16 bytes as they are; nil for another count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
        }
        self.init(high: high, low: low)
    }

    /// The 16 bytes in order.
    package var bytes: [UInt8] {
        var key = OrderedKey(capacity: 16)
        key.append(high)
        key.append(low)
        return key.bytes
    }

    /// Where the rows of this identifier live, 0…16,383.
    package var slot: Slot { Slot(rawValue: UInt16(high >> 50)) }

    /// UUID text in lower case.
    package var description: String {
        let hex = Array(Hex.encode(bytes).utf8)
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for (index, digit) in hex.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append(0x2D) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Byte order.
    package static func < (left: Self, right: Self) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

/// One of the 16,384 parts that data is divided into; a shard owns a set of them.
package struct Slot: Hashable, Comparable, Sendable {
    /// 0…16,383.
    package let rawValue: UInt16
    /// How many slots there are.
    package static let count = 16_384

    /// A slot by number; the upper two bits are cut off.
    package init(rawValue: UInt16) { self.rawValue = rawValue & 0x3FFF }

    /// Number order.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Names the kind of ``UserID``.
package enum UserKind {}
/// Names the kind of ``ConversationID``.
package enum ConversationKindTag {}
/// Names the kind of ``DeviceID``.
package enum DeviceKind {}
/// Names the kind of ``BlobID``.
package enum BlobKind {}
/// Names the kind of ``ClientMessageID``.
package enum ClientMessageKind {}

/// A user: the hash of the user name.
package typealias UserID = Identifier<UserKind>
/// A conversation: the hash of the pair, or of a group's creator and cid.
package typealias ConversationID = Identifier<ConversationKindTag>
/// One signed-in device of a user.
package typealias DeviceID = Identifier<DeviceKind>
/// One upload: random.
package typealias BlobID = Identifier<BlobKind>
/// A client's own id of a send (`cid`): any UUID, made once per message.
package typealias ClientMessageID = Identifier<ClientMessageKind>

/// Position of an entry in its conversation, dense from 1; 0 is before the first.
package typealias EntrySequence = UInt64
/// Count of displayable messages up to an entry (`m`).
package typealias MessageNumber = UInt64
/// Position in a user's feed; only grows.
package typealias FeedPosition = UInt64
/// Milliseconds since 1970.
package typealias Milliseconds = UInt64
