private import Bytes
private import ChatModel
package import LSMTree

extension KeySchema {
    /// A key in words, for dumps: `member 0b6f… user 7c21…`. A key that is none of ours comes back
    /// as its bytes.
    package static func describe(keyspace: Keyspace, key: [UInt8]) -> String {
        key.withUnsafeBytes { describe(keyspace: keyspace, key: $0) }
    }

    /// ``describe(keyspace:key:)-(Keyspace,[UInt8])`` for a buffer.
    package static func describe(keyspace: Keyspace, key: UnsafeRawBufferPointer) -> String {
        words(keyspace, key) ?? "unknown 0x\(Hex.encode(key))"
    }

    private static func words(_ keyspace: Keyspace, _ key: UnsafeRawBufferPointer) -> String? {
        guard let slot = OrderedKey.integer(UInt16.self, in: key, at: 0),
            let owner = id(key, at: 2)
        else { return nil }
        let tail = UnsafeRawBufferPointer(rebasing: key[partitionBytes...])
        guard keyspace != .meta else {
            guard slot >= Slot.count, tail.count == 1 else { return nil }
            switch tail[0] {
            case 0: return "stamp of shard \(Int(slot) - Slot.count)"
            case 1 where slot == UInt16(Slot.count): return "map of the cluster"
            default: return nil
            }
        }
        switch keyspace {
        case .entries:
            guard tail.count == 8 else { return nil }
            return number(tail, at: 0).map { "entry \(owner) seq \($0)" }
        case .dedup:
            guard tail.count == 32, let user = id(tail, at: 0), let cid = id(tail, at: 16) else {
                return nil
            }
            return "dedup \(owner) user \(user) cid \(cid)"
        default:
            guard let field = tail.first else { return nil }
            let rest = UnsafeRawBufferPointer(rebasing: tail[1...])
            return fieldWords(keyspace, field, rest).map { name, more in
                more.isEmpty ? "\(name) \(owner)" : "\(name) \(owner) \(more)"
            }
        }
    }

    private static func fieldWords(
        _ keyspace: Keyspace, _ field: UInt8, _ rest: UnsafeRawBufferPointer
    ) -> (String, String)? {
        switch (keyspace, field, rest.count) {
        case (.conversations, 0, 0): ("head", "")
        case (.conversations, 1, 16): id(rest, at: 0).map { ("member", "user \($0)") }
        case (.conversations, 2, 16): id(rest, at: 0).map { ("marks", "user \($0)") }
        case (.accounts, 0, 0): ("profile", "")
        case (.accounts, 1, 0): ("credential", "")
        case (.accounts, 2, 16): id(rest, at: 0).map { ("device", "device \($0)") }
        case (.feeds, 0, 0): ("feed head", "")
        case (.feeds, 1, 16): id(rest, at: 0).map { ("feed", "conversation \($0)") }
        case (.feeds, 2, 24): indexWords(rest)
        case (.feeds, 3, 16): id(rest, at: 0).map { ("large index", "conversation \($0)") }
        case (.media, 0, 0): ("blob", "")
        case (.media, 1, 24): shownWords(rest)
        case (.presence, 0, 0): ("last seen", "")
        case (.work, _, 0): ("work kind \(field)", "")
        case (.work, _, 16): id(rest, at: 0).map { ("work kind \(field)", "user \($0)") }
        default: nil
        }
    }

    private static func indexWords(_ rest: UnsafeRawBufferPointer) -> (String, String)? {
        guard let position = number(rest, at: 0), let conversation = id(rest, at: 8) else {
            return nil
        }
        return ("feed index", "position \(position) conversation \(conversation)")
    }

    private static func shownWords(_ rest: UnsafeRawBufferPointer) -> (String, String)? {
        guard let blob = id(rest, at: 0), let seq = number(rest, at: 16) else { return nil }
        return ("shown", "blob \(blob) seq \(seq)")
    }

    private static func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64? {
        OrderedKey.integer(UInt64.self, in: bytes, at: offset)
    }

    private static func id(
        _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) -> Identifier<UserKind>? {
        guard let high = number(bytes, at: offset), let low = number(bytes, at: offset + 8) else {
            return nil
        }
        return Identifier(high: high, low: low)
    }
}
