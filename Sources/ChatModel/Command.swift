/// A change to one partition. Commands travel in the replicated log: what they carry is all that
/// apply may use besides the rows and the leader's stamp.
package enum Command: Equatable, Sendable {
    /// Registers a user and the first device. Partition: the user.
    case createAccount(NewAccount)
    /// Signs in another device. Partition: the user.
    case openDevice(user: UserID, device: DeviceID, name: String)
    /// Signs a device out for good. Partition: the user.
    case revokeDevice(user: UserID, device: DeviceID)
    /// Changes a profile; nil keeps. Partition: the user.
    case updateProfile(user: UserID, change: ProfileChange)
    /// Opens the pair's conversation. Partition: the pair.
    case createDirect(conversation: ConversationID, by: UserID, peer: UserID)
    /// Founds a group. Partition: the group.
    case createGroup(NewGroup)
    /// A message; for a direct conversation that may be new, `peer` names the other user.
    case send(conversation: ConversationID, peer: UserID?, by: Author, content: MessageContent)
    /// New content for one's own message.
    case edit(
        conversation: ConversationID, by: Author, target: EntrySequence, content: MessageContent)
    /// Erases a message for all: one's own, or as admin of a group.
    case erase(conversation: ConversationID, by: Author, target: EntrySequence)
    /// Adds members or changes one's role (`role` given), or removes one (`role` nil).
    case changeMembers(conversation: ConversationID, by: UserID, users: [UserID], role: Role?)
    /// Changes a group's title.
    case setTitle(conversation: ConversationID, by: UserID, title: String)
    /// Moves a member's cumulative marks; merged by max, clamped to the head.
    case mark(
        conversation: ConversationID, user: UserID, delivered: EntrySequence, read: EntrySequence)
    /// Tells a user's feed that a conversation changed; `change` is the conversation's change
    /// counter, older ones are ignored. Partition: the user.
    case touchFeed(user: UserID, touch: FeedTouch)
    /// Clears a dirty mark worked off up to `change`. Partition: the conversation.
    case clearWork(conversation: ConversationID, work: WorkKind, change: UInt64)
    /// Records an upload. Partition: the blob.
    case registerBlob(BlobRecord)
    /// Last seen times of users that went offline. Partition: the user.
    case setLastSeen(user: UserID, atMs: Milliseconds)
    /// Replaces the cluster's map by the one with the next epoch. The meta shard's.
    case setMap(ClusterMap)

    /// The slot of the partition the command touches.
    package var slot: Slot {
        switch self {
        case .createAccount(let account): account.user.slot
        case .openDevice(let user, _, _), .revokeDevice(let user, _), .updateProfile(let user, _),
            .touchFeed(let user, _), .setLastSeen(let user, _):
            user.slot
        case .createGroup(let group): group.conversation.slot
        case .createDirect(let conversation, _, _), .send(let conversation, _, _, _),
            .edit(let conversation, _, _, _), .erase(let conversation, _, _),
            .changeMembers(let conversation, _, _, _), .setTitle(let conversation, _, _),
            .mark(let conversation, _, _, _), .clearWork(let conversation, _, _):
            conversation.slot
        case .registerBlob(let blob): blob.blob.slot
        // It goes to the meta shard, which owns no slots.
        case .setMap: Slot(rawValue: 0)
        }
    }
}

/// Who sends, and their id of the send.
package struct Author: Equatable, Hashable, Sendable {
    /// The sender.
    package var user: UserID
    /// Made once per message; a retry repeats it.
    package var cid: ClientMessageID

    /// An author.
    package init(user: UserID, cid: ClientMessageID) {
        self.user = user
        self.cid = cid
    }
}

/// A user to be.
package struct NewAccount: Equatable, Sendable {
    /// The hash of `name`.
    package var user: UserID
    /// 3…32 of `a-z 0-9 _ . -`.
    package var name: String
    /// Shown to people.
    package var displayName: String
    /// What ``Secrets`` made of the password: salt, parameters, hash.
    package var credential: [UInt8]
    /// The first device.
    package var device: DeviceID
    /// Its name.
    package var deviceName: String

    /// A user to be.
    package init(
        user: UserID, name: String, displayName: String, credential: [UInt8], device: DeviceID,
        deviceName: String
    ) {
        self.user = user
        self.name = name
        self.displayName = displayName
        self.credential = credential
        self.device = device
        self.deviceName = deviceName
    }
}

/// What to change in a profile; nil keeps.
package struct ProfileChange: Equatable, Sendable {
    /// New display name.
    package var displayName: String?
    /// New avatar: a blob id as text, empty clears.
    package var avatar: String?
    /// New credential.
    package var credential: [UInt8]?
    /// Whether others may see when this user was last seen.
    package var isLastSeenVisible: Bool?

    /// A change.
    package init(
        displayName: String? = nil, avatar: String? = nil, credential: [UInt8]? = nil,
        isLastSeenVisible: Bool? = nil
    ) {
        self.displayName = displayName
        self.avatar = avatar
        self.credential = credential
        self.isLastSeenVisible = isLastSeenVisible
    }
}

/// A group to be.
package struct NewGroup: Equatable, Sendable {
    /// The hash of creator and cid.
    package var conversation: ConversationID
    /// Its first owner.
    package var creator: UserID
    /// The other first members.
    package var members: [UserID]
    /// Shown to people.
    package var title: String

    /// A group to be.
    package init(conversation: ConversationID, creator: UserID, members: [UserID], title: String) {
        self.conversation = conversation
        self.creator = creator
        self.members = members
        self.title = title
    }
}

/// That a conversation changed, as its leader tells a user's feed.
package struct FeedTouch: Equatable, Sendable {
    /// Which conversation.
    package var conversation: ConversationID
    /// The conversation's change counter (entries and marks) at the source.
    package var change: UInt64
    /// Its head.
    package var head: EntrySequence
    /// Its message count.
    package var m: MessageNumber
    /// Set when the user is no longer a member: their own last membership entry.
    package var leftSeq: EntrySequence?
    /// The conversation is above ``Limits/smallGroupMembers``: its messages touch no feeds, so the
    /// user's changes must look at it themselves.
    package var isLarge: Bool

    /// A touch.
    package init(
        conversation: ConversationID, change: UInt64, head: EntrySequence, m: MessageNumber,
        leftSeq: EntrySequence? = nil, isLarge: Bool = false
    ) {
        self.conversation = conversation
        self.change = change
        self.head = head
        self.m = m
        self.leftSeq = leftSeq
        self.isLarge = isLarge
    }
}

/// The kinds of cross-partition work.
package enum WorkKind: UInt8, Sendable {
    /// Members' feeds must hear of the conversation's change.
    case feeds = 1
}

/// What is kept about an upload.
package struct BlobRecord: Equatable, Sendable {
    /// The random id outside.
    package var blob: BlobID
    /// SHA-256 of the content, kept inside.
    package var contentHash: [UInt8]
    /// Who uploaded it.
    package var uploader: UserID
    /// MIME type.
    package var type: String
    /// Bytes.
    package var size: UInt64
    /// Pixels of an image, when known.
    package var width: UInt32?
    /// Pixels of an image, when known.
    package var height: UInt32?

    /// A record.
    package init(
        blob: BlobID, contentHash: [UInt8], uploader: UserID, type: String, size: UInt64,
        width: UInt32? = nil, height: UInt32? = nil
    ) {
        self.blob = blob
        self.contentHash = contentHash
        self.uploader = uploader
        self.type = type
        self.size = size
        self.width = width
        self.height = height
    }
}

/// What became of a command.
package enum CommandResult: Equatable, Sendable {
    /// Applied; nothing to say.
    case done
    /// An entry stands, or stood already.
    case sent(Sent)
    /// The conversation; `isNew` false when it was there.
    case conversation(ConversationID, isNew: Bool)
    /// Refused; nothing changed.
    case refused(ServiceError)
}

/// The answer to a send, edit or erase.
package struct Sent: Equatable, Sendable {
    /// Where.
    package var conversation: ConversationID
    /// The entry's position.
    package var seq: EntrySequence
    /// Its message count.
    package var m: MessageNumber
    /// Its stamp.
    package var atMs: Milliseconds
    /// The client's id.
    package var cid: ClientMessageID
    /// True when an earlier try had made it.
    package var isDuplicate: Bool

    /// An answer.
    package init(
        conversation: ConversationID, seq: EntrySequence, m: MessageNumber, atMs: Milliseconds,
        cid: ClientMessageID, isDuplicate: Bool
    ) {
        self.conversation = conversation
        self.seq = seq
        self.m = m
        self.atMs = atMs
        self.cid = cid
        self.isDuplicate = isDuplicate
    }
}
