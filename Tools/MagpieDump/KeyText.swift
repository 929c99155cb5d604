import Bytes
import ChatEngine
import ChatModel
import LSMTree

/// Keys as people read and write them.
struct KeyText {
    /// Print bytes only.
    var isHex = false

    /// A user key: in the words of the chat schema when its keyspace and layout are known, else
    /// hexadecimal.
    func describe(_ key: [UInt8], keyspace: UInt8) -> String {
        if !isHex {
            let words = KeySchema.describe(keyspace: Keyspace(rawValue: keyspace), key: key)
            if !words.hasPrefix("unknown ") { return words }
        }
        return "0x" + Hex.encode(key)
    }

    /// The name of a keyspace.
    static func keyspaceName(_ keyspace: UInt8) -> String {
        KeySchema.all.first { $0.keyspace.rawValue == keyspace }?.name ?? "\(keyspace)"
    }

    /// The bytes that a key given on the command line starts with: an identifier (UUID text) stands
    /// for its partition, anything else is hexadecimal with or without `0x`.
    static func parse(_ text: String) throws -> [UInt8] {
        let digits = text.hasPrefix("0x") ? text.dropFirst(2) : text[...]
        if let bytes = Hex.decode(digits), !bytes.isEmpty, !text.contains("-") { return bytes }
        if let id = Identifier<UserKind>(text) {
            var key = OrderedKey()
            key.append(id.slot.rawValue)
            key.append(id.high)
            key.append(id.low)
            return key.bytes
        }
        throw UsageMistake("a key is an identifier or hexadecimal digits, not '\(text)'")
    }
}
