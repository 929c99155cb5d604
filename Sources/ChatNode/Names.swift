import ChatModel
import Secrets

/// How identifiers come about: a hash of what they name, so that everyone finds them without
/// asking, or chance.
enum Names {
    /// The user of a name.
    static func user(_ name: String) -> UserID {
        UserID(hash: hash("user", Array(name.utf8)))
    }

    /// The direct conversation of two users, whichever is named first.
    static func pair(_ one: UserID, _ other: UserID) -> ConversationID {
        let (first, second) = one < other ? (one, other) : (other, one)
        return ConversationID(hash: hash("pair", first.bytes + second.bytes))
    }

    /// The group that `creator` founds with `cid`.
    static func group(_ creator: UserID, _ cid: ClientMessageID) -> ConversationID {
        ConversationID(hash: hash("group", creator.bytes + cid.bytes))
    }

    /// The kind's name and a zero byte keep the hashes of different kinds apart.
    private static func hash(_ kind: String, _ bytes: [UInt8]) -> [UInt8] {
        SHA256.hash(Array(kind.utf8) + [0] + bytes)
    }

    /// Why a text is no user name, or nil when it is one.
    static func objection(toUserName name: String) -> String? {
        let isAllowed = name.utf8.allSatisfy { byte in
            switch byte {
            case 0x61...0x7A, 0x30...0x39, 0x5F, 0x2E, 0x2D: true
            default: false
            }
        }
        return isAllowed && (3...32).contains(name.utf8.count)
            ? nil : "username: 3 to 32 of a-z 0-9 _ . -"
    }

    /// Why a text is no password, or nil when it is one.
    static func objection(toPassword password: String) -> String? {
        (8...256).contains(password.utf8.count) ? nil : "password: 8 to 256 bytes"
    }
}
