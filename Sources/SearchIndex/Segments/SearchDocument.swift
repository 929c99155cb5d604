/// A 128-bit identifier of a conversation or a user, ordered as its 16 bytes are.
package struct SearchID: Hashable, Comparable, Sendable {
    /// The first eight bytes, big endian.
    package var high: UInt64
    /// The last eight bytes, big endian.
    package var low: UInt64

    /// From its two halves.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Byte order.
    @inline(__always)
    package static func < (left: SearchID, right: SearchID) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

/// What names a document: a message of a conversation. An edit keeps the key and gives new words.
package struct DocumentKey: Hashable, Comparable, Sendable {
    /// Where it was said.
    package var conversation: SearchID
    /// Its place in the conversation.
    package var seq: UInt64

    /// The message `seq` of `conversation`.
    package init(conversation: SearchID, seq: UInt64) {
        self.conversation = conversation
        self.seq = seq
    }

    /// By conversation, then seq.
    @inline(__always)
    package static func < (left: DocumentKey, right: DocumentKey) -> Bool {
        left.conversation != right.conversation
            ? left.conversation < right.conversation : left.seq < right.seq
    }
}

/// What a message has besides words.
package struct DocumentFlags: OptionSet, Hashable, Sendable {
    /// Bits 0…3; the others are zero.
    package let rawValue: UInt8

    /// From its bits.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// It shows a picture.
    package static let image = DocumentFlags(rawValue: 1)
    /// It carries a file.
    package static let file = DocumentFlags(rawValue: 2)
    /// Its text has a link.
    package static let link = DocumentFlags(rawValue: 4)
    /// It names somebody.
    package static let mention = DocumentFlags(rawValue: 8)

    static let bits: UInt8 = 15
    /// The single flags, ascending.
    static let each: [DocumentFlags] = [.image, .file, .link, .mention]
}

/// What the index knows of a message besides its words.
package struct SearchDocument: Equatable, Sendable {
    /// What names it.
    package var key: DocumentKey
    /// When it was said, in milliseconds since 1970. All versions of a document have one time.
    package var time: UInt64
    /// Who said it.
    package var sender: SearchID
    /// What it has.
    package var flags: DocumentFlags

    /// A message.
    package init(key: DocumentKey, time: UInt64, sender: SearchID, flags: DocumentFlags) {
        self.key = key
        self.time = time
        self.sender = sender
        self.flags = flags
    }
}
