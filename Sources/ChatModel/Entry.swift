/// One entry of a conversation's log: everything durable that happens in it.
package struct Entry: Equatable, Sendable {
    /// Where it stands.
    package var conversation: ConversationID
    /// Dense position from 1.
    package var seq: EntrySequence
    /// Displayable messages up to and including this entry.
    package var m: MessageNumber
    /// The sender's id of this entry; nil for entries the server made.
    package var cid: ClientMessageID?
    /// Who caused it.
    package var from: UserID
    /// The leader's stamp; never decreases in a shard.
    package var atMs: Milliseconds
    /// What happened.
    package var body: EntryBody

    /// An entry with all its parts.
    package init(
        conversation: ConversationID, seq: EntrySequence, m: MessageNumber, cid: ClientMessageID?,
        from: UserID, atMs: Milliseconds, body: EntryBody
    ) {
        self.conversation = conversation
        self.seq = seq
        self.m = m
        self.cid = cid
        self.from = from
        self.atMs = atMs
        self.body = body
    }
}

/// What an entry says.
package enum EntryBody: Equatable, Sendable {
    /// A message as it is now.
    case message(Message)
    /// New content for an earlier message.
    case edit(target: EntrySequence, content: MessageContent)
    /// The earlier message is erased for all.
    case erase(target: EntrySequence)
    /// A member came, went or changed role.
    case membership(user: UserID, change: MembershipChange, role: Role)
    /// New settings; nil keeps, empty clears.
    case settings(title: String?)
}

/// What a sender wrote.
package struct MessageContent: Equatable, Sendable {
    /// UTF-8 text, at most ``Limits/textBytes``.
    package var text: String
    /// The seq answered to.
    package var replyTo: EntrySequence?
    /// Users named in the text.
    package var mentions: [UserID]
    /// Attached blobs.
    package var media: [MediaReference]

    /// Content with all its parts.
    package init(
        text: String, replyTo: EntrySequence? = nil, mentions: [UserID] = [],
        media: [MediaReference] = []
    ) {
        self.text = text
        self.replyTo = replyTo
        self.mentions = mentions
        self.media = media
    }
}

/// A message in its present state.
package struct Message: Equatable, Sendable {
    /// The content as it is now; empty when erased.
    package var content: MessageContent
    /// When it was last edited.
    package var editedAtMs: Milliseconds?
    /// True for a tombstone.
    package var isErased: Bool
    /// The seq of the last entry that changed it; its own seq when none did.
    package var revision: EntrySequence

    /// A message with all its parts.
    package init(
        content: MessageContent, editedAtMs: Milliseconds? = nil, isErased: Bool = false,
        revision: EntrySequence
    ) {
        self.content = content
        self.editedAtMs = editedAtMs
        self.isErased = isErased
        self.revision = revision
    }
}

/// A blob in a message. In a send only `blob` and `name` count; the rest is filled in from the
/// blob's own row when the command is made.
package struct MediaReference: Equatable, Sendable {
    /// Which upload.
    package var blob: BlobID
    /// File name for people.
    package var name: String
    /// MIME type.
    package var type: String
    /// Bytes.
    package var size: UInt64
    /// Pixels, when known.
    package var width: UInt32?
    /// Pixels, when known.
    package var height: UInt32?

    /// A reference with all its parts.
    package init(
        blob: BlobID, name: String, type: String = "", size: UInt64 = 0, width: UInt32? = nil,
        height: UInt32? = nil
    ) {
        self.blob = blob
        self.name = name
        self.type = type
        self.size = size
        self.width = width
        self.height = height
    }
}

/// How a membership changed.
package enum MembershipChange: UInt8, Sendable {
    case joined = 1
    case left = 2
    case removed = 3
    case role = 4
}

/// What a member may do.
package enum Role: UInt8, Sendable, Comparable {
    case member = 1
    case admin = 2
    case owner = 3

    /// Rights order.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What kind of conversation it is.
package enum ConversationKind: UInt8, Sendable {
    case direct = 1
    case group = 2
}
