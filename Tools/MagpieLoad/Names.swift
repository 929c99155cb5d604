import Bytes
import ChatModel

/// Names that follow from a run's tag: a second run with the same tag finds its users, groups and
/// messages again, so a repeated run changes nothing.
struct Names: Sendable {
    /// 1…12 of `a-z 0-9 -`.
    let tag: String

    /// A sender's user name: the tag, a dash, 16 hexadecimal digits of the sender's hash.
    func username(_ sender: String) -> String {
        "\(tag)-" + Hex.encode(Array(bytes("user", sender, 0).prefix(8)))
    }

    /// Everyone's password; long enough, and known to whoever wants to look.
    var password: String { "correct horse battery" }

    /// The cid under which a conversation's group is made.
    func groupID(_ conversation: String) -> ClientMessageID {
        ClientMessageID(hash: bytes("group", conversation, 0))
    }

    /// The cid of a conversation's message.
    func messageID(_ conversation: String, _ index: Int) -> ClientMessageID {
        ClientMessageID(hash: bytes("message", conversation, UInt64(index)))
    }

    /// 16 bytes that are the same for the same names.
    private func bytes(_ kind: String, _ name: String, _ index: UInt64) -> [UInt8] {
        var key = OrderedKey(capacity: 64)
        key.append(index)
        let input = key.bytes + Array("\(tag)\u{0}\(kind)\u{0}\(name)".utf8)
        var output = OrderedKey(capacity: 16)
        output.append(Checksum.xxh3(input, seed: 1))
        output.append(Checksum.xxh3(input, seed: 2))
        return output.bytes
    }
}
