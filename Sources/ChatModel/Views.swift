/// A user as others see them.
package struct UserView: Equatable, Sendable {
    /// Who.
    package var id: UserID
    /// The name that never changes.
    package var username: String
    /// The name shown.
    package var displayName: String
    /// A blob id as text, or empty.
    package var avatar: String

    /// A view.
    package init(id: UserID, username: String, displayName: String, avatar: String) {
        self.id = id
        self.username = username
        self.displayName = displayName
        self.avatar = avatar
    }
}

/// A signed-in device.
package struct DeviceView: Equatable, Sendable {
    /// Which.
    package var id: DeviceID
    /// Its name.
    package var name: String
    /// When it signed in.
    package var createdAtMs: Milliseconds

    /// A view.
    package init(id: DeviceID, name: String, createdAtMs: Milliseconds) {
        self.id = id
        self.name = name
        self.createdAtMs = createdAtMs
    }
}

/// A member of a conversation.
package struct MemberView: Equatable, Sendable {
    /// Who.
    package var user: UserID
    /// Rights.
    package var role: Role
    /// The entry that made them a member.
    package var joinedSeq: EntrySequence

    /// A view.
    package init(user: UserID, role: Role, joinedSeq: EntrySequence) {
        self.user = user
        self.role = role
        self.joinedSeq = joinedSeq
    }
}

/// A member's cumulative marks.
package struct MarkView: Equatable, Sendable {
    /// Who.
    package var user: UserID
    /// Delivered up to here.
    package var delivered: EntrySequence
    /// Read up to here.
    package var read: EntrySequence

    /// A view.
    package init(user: UserID, delivered: EntrySequence, read: EntrySequence) {
        self.user = user
        self.delivered = delivered
        self.read = read
    }
}

/// What changed in a conversation, as its member sees it now.
package struct ChangedView: Equatable, Sendable {
    /// Which conversation.
    package var conversation: ConversationID
    /// The last seq the asker may read.
    package var head: EntrySequence
    /// Messages up to the head.
    package var m: MessageNumber
    /// The first seq the asker may read.
    package var floor: EntrySequence
    /// m(head) − m(read mark).
    package var unread: UInt64
    /// The asker's own mark.
    package var delivered: EntrySequence
    /// The asker's own mark.
    package var read: EntrySequence
    /// The other members' marks; empty above 256 members.
    package var marks: [MarkView]
    /// The newest entry that may be read.
    package var last: Entry?
    /// True when the asker is no longer a member.
    package var hasLeft: Bool

    /// A view.
    package init(
        conversation: ConversationID, head: EntrySequence, m: MessageNumber, floor: EntrySequence,
        unread: UInt64, delivered: EntrySequence, read: EntrySequence, marks: [MarkView],
        last: Entry?, hasLeft: Bool
    ) {
        self.conversation = conversation
        self.head = head
        self.m = m
        self.floor = floor
        self.unread = unread
        self.delivered = delivered
        self.read = read
        self.marks = marks
        self.last = last
        self.hasLeft = hasLeft
    }
}

/// A whole conversation, as its member sees it now.
package struct ConversationView: Equatable, Sendable {
    /// Direct or group.
    package var kind: ConversationKind
    /// Shown to people; empty for direct ones.
    package var title: String
    /// Members in all.
    package var memberCount: UInt64
    /// The first 100 by id.
    package var members: [MemberView]
    /// The asker's role.
    package var role: Role
    /// The part that changes often. Its `marks` hold the first 100.
    package var state: ChangedView
    /// Stamp of the newest entry.
    package var lastAtMs: Milliseconds

    /// A view.
    package init(
        kind: ConversationKind, title: String, memberCount: UInt64, members: [MemberView],
        role: Role, state: ChangedView, lastAtMs: Milliseconds
    ) {
        self.kind = kind
        self.title = title
        self.memberCount = memberCount
        self.members = members
        self.role = role
        self.state = state
        self.lastAtMs = lastAtMs
    }
}

/// Where a page lies.
package enum PageAnchor: Equatable, Sendable {
    /// The newest entries.
    case newest
    /// Those below a seq.
    case before(EntrySequence)
    /// Those above a seq.
    case after(EntrySequence)
    /// Those on both sides of a seq, and itself.
    case around(EntrySequence)
}

/// Entries in ascending seq.
package struct PageView: Equatable, Sendable {
    /// Which conversation.
    package var conversation: ConversationID
    /// Dense, ascending.
    package var entries: [Entry]
    /// More in the direction asked for.
    package var hasMore: Bool
    /// More below.
    package var hasMoreBefore: Bool
    /// More above.
    package var hasMoreAfter: Bool
    /// The first seq the asker may read.
    package var floor: EntrySequence

    /// A page.
    package init(
        conversation: ConversationID, entries: [Entry], hasMore: Bool, hasMoreBefore: Bool,
        hasMoreAfter: Bool, floor: EntrySequence
    ) {
        self.conversation = conversation
        self.entries = entries
        self.hasMore = hasMore
        self.hasMoreBefore = hasMoreBefore
        self.hasMoreAfter = hasMoreAfter
        self.floor = floor
    }
}

/// Part of a list, and where the next part starts.
package struct ListView<Element: Equatable & Sendable>: Equatable, Sendable {
    /// The part.
    package var items: [Element]
    /// Opaque; nil at the end.
    package var cursor: String?

    /// A part.
    package init(items: [Element], cursor: String?) {
        self.items = items
        self.cursor = cursor
    }
}

/// What changed for a user since a feed position.
package struct FeedChanges: Equatable, Sendable {
    /// At most ``Limits/changedMax`` conversations, oldest change first. The last part also holds
    /// the user's large conversations, at most as many again, changed or not: their messages move
    /// no feed.
    package var changed: [ChangedView]
    /// The feed position the changes reach.
    package var position: FeedPosition
    /// True when nothing is left above `position`.
    package var isComplete: Bool

    /// Changes.
    package init(changed: [ChangedView], position: FeedPosition, isComplete: Bool) {
        self.changed = changed
        self.position = position
        self.isComplete = isComplete
    }
}

/// How present a user is.
package enum PresenceState: UInt8, Sendable {
    case offline = 1
    case away = 2
    case online = 3
}

/// A user's presence, as the asker may see it.
package struct PresenceView: Equatable, Sendable {
    /// Who.
    package var user: UserID
    /// How present.
    package var state: PresenceState
    /// Last activity; nil when unknown, hidden, or online.
    package var lastSeenMs: Milliseconds?

    /// A view.
    package init(user: UserID, state: PresenceState, lastSeenMs: Milliseconds?) {
        self.user = user
        self.state = state
        self.lastSeenMs = lastSeenMs
    }
}

/// An upload, as its uploader sees it.
package struct BlobView: Equatable, Sendable {
    /// The random id.
    package var blob: BlobID
    /// A signed URL, relative to the server.
    package var url: String
    /// Bytes.
    package var size: UInt64
    /// MIME type.
    package var type: String
    /// SHA-256 of the content; shown to the uploader only.
    package var contentHash: [UInt8]

    /// A view.
    package init(blob: BlobID, url: String, size: UInt64, type: String, contentHash: [UInt8]) {
        self.blob = blob
        self.url = url
        self.size = size
        self.type = type
        self.contentHash = contentHash
    }
}

/// A fresh session.
package struct SignedIn: Equatable, Sendable {
    /// Who.
    package var user: UserView
    /// Which device.
    package var device: DeviceID
    /// The bearer token.
    package var token: String
    /// When it ends.
    package var expiresAtMs: Milliseconds

    /// A session.
    package init(user: UserView, device: DeviceID, token: String, expiresAtMs: Milliseconds) {
        self.user = user
        self.device = device
        self.token = token
        self.expiresAtMs = expiresAtMs
    }
}

/// One node, as clients see it.
package struct NodeView: Equatable, Sendable {
    /// Its id.
    package var id: String
    /// Its public URL; empty when it follows the request's Host.
    package var url: String
    /// 0…1.
    package var load: Double
    /// True for the node that answers.
    package var isSelf: Bool

    /// A node.
    package init(id: String, url: String, load: Double, isSelf: Bool) {
        self.id = id
        self.url = url
        self.load = load
        self.isSelf = isSelf
    }
}

/// Makes the capability URLs under which media is delivered.
package protocol MediaLinks: Sendable {
    /// A URL, relative to the server, that lets its holder read the blob for a while.
    func url(for blob: BlobID) -> String
}
