package import ChatModel
package import FanOut

/// What became of a request to the node.
package typealias Answer<Value> = @Sendable (Result<Value, ServiceError>) -> Void

/// Who asks: a user on a device, let in by a token or ticket.
package struct Identity: Equatable, Sendable {
    /// Who.
    package var user: UserID
    /// On which device.
    package var device: DeviceID
    /// When the token ends.
    package var expiresAtMs: Milliseconds

    /// An identity.
    package init(user: UserID, device: DeviceID, expiresAtMs: Milliseconds) {
        self.user = user
        self.device = device
        self.expiresAtMs = expiresAtMs
    }
}

/// What sessions and HTTP routes need from a node. `ChatNode` implements it; tests fake it.
///
/// Every call returns at once; the answer comes exactly once, on some other thread (never inline).
/// A full queue answers `unavailable` with a retry time. Nothing here blocks.
package protocol NodePort: Sendable {
    /// What the node answers in `hello`, `me` and `/status`.
    var facts: NodeFacts { get }

    // Accounts
    func register(_ request: Registration, answer: @escaping Answer<SignedIn>)
    func signIn(_ request: SignInRequest, answer: @escaping Answer<SignedIn>)
    func refresh(_ identity: Identity, answer: @escaping Answer<SignedIn>)
    func signOut(_ identity: Identity, device: DeviceID, answer: @escaping Answer<Void>)
    func issueTicket(_ identity: Identity, answer: @escaping Answer<Ticket>)
    /// Checks a token or a single-use ticket against its signature, life and the revoked devices.
    func authenticate(_ proof: AuthProof, answer: @escaping Answer<Identity>)
    func updateProfile(
        _ identity: Identity, _ request: ProfileRequest, answer: @escaping Answer<UserView>)

    // Changes
    /// Proposes a send, edit, erase, mark, conversation or member change on the asker's behalf.
    func submit(
        _ request: ChangeRequest, by identity: Identity, answer: @escaping Answer<CommandResult>)

    // Questions
    func users(_ ids: [UserID], answer: @escaping Answer<[UserView]>)
    func user(named name: String, answer: @escaping Answer<[UserView]>)
    func devices(_ identity: Identity, answer: @escaping Answer<[DeviceView]>)
    func conversation(
        _ id: ConversationID, for identity: Identity, answer: @escaping Answer<ConversationView>)
    func conversations(
        for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<ConversationView>>)
    func members(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MemberView>>)
    func marks(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MarkView>>)
    func page(
        _ id: ConversationID, _ anchor: PageAnchor, limit: Int, for identity: Identity,
        answer: @escaping Answer<PageView>)
    /// Conversations that changed after `feed`, oldest change first, at most 200; the last part
    /// also lists large ones that may have changed, see ``FeedChanges/changed``. The answer is at
    /// least as new as every event already delivered to the asker's sessions; `unauthenticated`
    /// when the device was signed out.
    func changes(
        since feed: FeedPosition, for identity: Identity, answer: @escaping Answer<FeedChanges>)
    /// The user's newest feed position.
    func feedPosition(for identity: Identity, answer: @escaping Answer<FeedPosition>)
    func presence(
        of users: [UserID], for identity: Identity, answer: @escaping Answer<[PresenceView]>)

    /// Messages that the asker may read now and that are as asked, see ``SearchQuery``.
    func search(
        _ query: SearchQuery, for identity: Identity, answer: @escaping Answer<SearchView>)

    // Live sessions
    /// From now on `endpoint` hears what its user may hear. Events published before the answer to
    /// any later question are delivered too, so nothing falls between. A socket that cannot be
    /// taken in hears ``EventBody/closed(_:)``.
    func attach(_ endpoint: SessionEndpoint, _ identity: Identity)
    /// The socket is gone; `isClean` after a close handshake.
    func detach(_ endpoint: SessionEndpoint, isClean: Bool)
    /// A sign of life; `isActive` false shows AWAY.
    func refreshPresence(_ endpoint: SessionEndpoint, isActive: Bool)
    /// Tells the other members that the user types.
    func typing(_ id: ConversationID, by identity: Identity)
    /// Ephemeral events of these conversations and users from now on; answers one presence each.
    func watch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID],
        answer: @escaping Answer<[PresenceView]>)
    func unwatch(_ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID])

    // Media
    func beginUpload(
        _ request: UploadRequest, by identity: Identity, answer: @escaping Answer<any UploadPort>)
    func openBlob(_ access: BlobAccess, answer: @escaping Answer<any BlobPort>)
    /// Signs media URLs.
    var links: any MediaLinks { get }
}

/// What a node says about itself.
package struct NodeFacts: Sendable {
    /// Its id.
    package var id: String
    /// Changes only after a restore from backup.
    package var epoch: UInt64
    /// What it takes from clients.
    package var limits: Limits
    /// Configured public URL, or nil: follow the request's Host.
    package var publicURL: String?

    /// Facts.
    package init(id: String, epoch: UInt64, limits: Limits, publicURL: String?) {
        self.id = id
        self.epoch = epoch
        self.limits = limits
        self.publicURL = publicURL
    }
}

/// A user to be, as a client asks for it.
package struct Registration: Sendable {
    /// The wished name, not checked yet.
    package var username: String
    /// The password in clear, not checked yet; never kept.
    package var password: String
    /// What others see; nil or empty: the user name.
    package var displayName: String?
    /// What the user calls the device that is signed in with it.
    package var deviceName: String

    /// A request.
    package init(username: String, password: String, displayName: String?, deviceName: String) {
        self.username = username
        self.password = password
        self.displayName = displayName
        self.deviceName = deviceName
    }
}

/// A sign-in, as a client asks for it.
package struct SignInRequest: Sendable {
    /// Who claims to be there; of any length.
    package var username: String
    /// The password in clear; never kept.
    package var password: String
    /// What the user calls the new device.
    package var deviceName: String
    /// The client's address, for the limit on failed tries.
    package var address: String

    /// A request.
    package init(username: String, password: String, deviceName: String, address: String) {
        self.username = username
        self.password = password
        self.deviceName = deviceName
        self.address = address
    }
}

/// A profile change, as a client asks for it; nil keeps, empty clears.
package struct ProfileRequest: Sendable {
    /// What others see.
    package var displayName: String?
    /// A blob id as text.
    package var avatar: String?
    /// The new password in clear; never kept.
    package var password: String?
    /// The present password in clear; needed with `password`.
    package var currentPassword: String?
    /// Whether others may see when the user was last there.
    package var isLastSeenVisible: Bool?

    /// A request.
    package init(
        displayName: String?, avatar: String?, password: String?, currentPassword: String?,
        isLastSeenVisible: Bool?
    ) {
        self.displayName = displayName
        self.avatar = avatar
        self.password = password
        self.currentPassword = currentPassword
        self.isLastSeenVisible = isLastSeenVisible
    }
}

/// A single-use way in for a browser's socket.
package struct Ticket: Equatable, Sendable {
    /// The secret, in Base64URL.
    package var ticket: String
    /// When it ends: milliseconds since 1970.
    package var expiresAtMs: Milliseconds

    /// A ticket.
    package init(ticket: String, expiresAtMs: Milliseconds) {
        self.ticket = ticket
        self.expiresAtMs = expiresAtMs
    }
}

/// A change to conversations that a user asks for.
package enum ChangeRequest: Equatable, Sendable {
    case send(SendTarget, cid: ClientMessageID, content: MessageContent)
    case edit(ConversationID, target: EntrySequence, cid: ClientMessageID, content: MessageContent)
    case erase(ConversationID, target: EntrySequence, cid: ClientMessageID)
    case mark(MarkRequest)
    case createDirect(peer: UserID)
    /// `cid` nil: the node makes one.
    case createGroup(members: [UserID], title: String, cid: ClientMessageID?)
    case setTitle(ConversationID, String)
    /// `role` nil removes; removing oneself leaves.
    case changeMember(ConversationID, user: UserID, role: Role?)
}

/// An upload to be.
package struct UploadRequest: Sendable {
    /// The media type, e.g. `image/png`.
    package var type: String
    /// Announced bytes, when known.
    package var size: UInt64?
    /// `X-Content-SHA256`, when given: 32 bytes.
    package var contentHash: [UInt8]?

    /// A request.
    package init(type: String, size: UInt64?, contentHash: [UInt8]?) {
        self.type = type
        self.size = size
        self.contentHash = contentHash
    }
}

/// An upload under way. Calls come one at a time: the next after the last one's answer.
package protocol UploadPort: AnyObject, Sendable {
    /// Adds bytes; the answer is the back pressure.
    func append(_ bytes: [UInt8], answer: @escaping Answer<Void>)
    /// Makes the upload durable and registers it.
    func finish(answer: @escaping Answer<BlobView>)
    /// Forgets it.
    func abandon()
}

/// By what right a blob is read.
package enum BlobAccess: Sendable {
    /// The query of a signed URL.
    case signed(BlobID, expiresAtMs: Milliseconds, signature: String)
    /// By its uploader.
    case user(BlobID, Identity)
}

/// A blob that may be read.
package protocol BlobPort: AnyObject, Sendable {
    /// What it is.
    var view: BlobView { get }
    /// Until when the URL that opened it is good; nil when it was opened by its uploader.
    var expiresAtMs: Milliseconds? { get }
    /// Reads at most 256 KiB of the range, checksums verified.
    func read(_ range: Range<UInt64>, answer: @escaping Answer<[UInt8]>)
}
