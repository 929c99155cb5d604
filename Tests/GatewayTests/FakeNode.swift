import Bytes
import ChatModel
import FanOut
import Session
import Synchronization

/// A node in memory: enough of ``NodePort`` to see what the gateway asks and does with answers.
/// Tokens are `good-NAME`; every send is accepted and heard by all attached sockets.
final class FakeNode: NodePort {
    struct State {
        var endpoints: [SessionEndpoint] = []
        var cleanDetaches = 0
        var detaches = 0
        var heads: [ConversationID: EntrySequence] = [:]
        var entries: [Entry] = []
        var blobs: [BlobID: (type: String, bytes: [UInt8])] = [:]
        var abandoned = 0
        var addresses: [String] = []
        var searches: [SearchQuery] = []
    }

    let facts: NodeFacts
    let state = Mutex(State())
    let links: any MediaLinks = FakeLinks()

    init(publicURL: String? = nil, change: (inout Limits) -> Void = { _ in }) {
        var limits = Limits()
        change(&limits)
        facts = NodeFacts(id: "node-1", epoch: 7, limits: limits, publicURL: publicURL)
    }

    /// Something of what the node saw.
    func seen<Value: Sendable>(_ what: (State) -> Value) -> Value {
        state.withLock { what($0) }
    }

    static func user(_ name: String) -> UserID {
        UserID(hash: [UInt8](("user-" + name + "................").utf8))
    }

    static func identity(_ name: String) -> Identity {
        Identity(
            user: user(name), device: DeviceID(high: 1, low: 2),
            expiresAtMs: FakeHost.wallMs + 3_600_000)
    }

    static let conversation = ConversationID(
        high: 0x1234_5678_9ABC_8DEF, low: 0x8000_0000_0000_0001)

    /// Answers from another thread, as the port demands.
    private func reply<Value: Sendable>(
        _ answer: @escaping Answer<Value>, _ result: Result<Value, ServiceError>
    ) {
        Task { answer(result) }
    }

    private func view(_ user: UserID) -> UserView {
        UserView(id: user, username: "someone", displayName: "Some One", avatar: "")
    }

    private func signedIn(_ name: String) -> SignedIn {
        SignedIn(
            user: UserView(id: Self.user(name), username: name, displayName: name, avatar: ""),
            device: DeviceID(high: 1, low: 2), token: "good-" + name,
            expiresAtMs: FakeHost.wallMs + 3_600_000)
    }

    func register(_ request: Registration, answer: @escaping Answer<SignedIn>) {
        guard request.username != "taken" else {
            return reply(answer, .failure(ServiceError(.conflict, "username: is taken")))
        }
        reply(answer, .success(signedIn(request.username)))
    }

    func signIn(_ request: SignInRequest, answer: @escaping Answer<SignedIn>) {
        state.withLock { $0.addresses.append(request.address) }
        guard request.password == "right" else {
            return reply(
                answer,
                .failure(ServiceError(.rateLimited, "too many tries", retryAfterMs: 1_500)))
        }
        reply(answer, .success(signedIn(request.username)))
    }

    func refresh(_ identity: Identity, answer: @escaping Answer<SignedIn>) {
        reply(answer, .success(signedIn("again")))
    }

    func signOut(_ identity: Identity, device: DeviceID, answer: @escaping Answer<Void>) {
        reply(answer, .success(()))
    }

    func issueTicket(_ identity: Identity, answer: @escaping Answer<Ticket>) {
        reply(
            answer, .success(Ticket(ticket: "ticket", expiresAtMs: FakeHost.wallMs + 60_000)))
    }

    func authenticate(_ proof: AuthProof, answer: @escaping Answer<Identity>) {
        switch proof {
        case .token(let token) where token.hasPrefix("good-"):
            reply(answer, .success(Self.identity(String(token.dropFirst(5)))))
        case .ticket("ticket"):
            reply(answer, .success(Self.identity("ticketed")))
        case .token, .ticket:
            reply(answer, .failure(ServiceError(.unauthenticated, "the token is not valid")))
        }
    }

    func updateProfile(
        _ identity: Identity, _ request: ProfileRequest, answer: @escaping Answer<UserView>
    ) {
        var user = view(identity.user)
        if let name = request.displayName { user.displayName = name }
        reply(answer, .success(user))
    }

    func submit(
        _ change: ChangeRequest, by identity: Identity, answer: @escaping Answer<CommandResult>
    ) {
        switch change {
        case .send(.conversation(let conversation), let cid, let content):
            guard conversation == Self.conversation else {
                return reply(
                    answer, .success(.refused(ServiceError(.notFound, "no such conversation"))))
            }
            let entry = append(conversation, cid, content, by: identity.user)
            reply(
                answer,
                .success(
                    .sent(
                        Sent(
                            conversation: conversation, seq: entry.seq, m: entry.m,
                            atMs: entry.atMs, cid: cid, isDuplicate: false))))
            publish(.entry(entry))
        case .createDirect, .createGroup:
            reply(answer, .success(.conversation(Self.conversation, isNew: true)))
        default:
            reply(answer, .success(.done))
        }
    }

    private func append(
        _ conversation: ConversationID, _ cid: ClientMessageID, _ content: MessageContent,
        by user: UserID
    ) -> Entry {
        state.withLock { state in
            let seq = (state.heads[conversation] ?? 0) + 1
            state.heads[conversation] = seq
            let entry = Entry(
                conversation: conversation, seq: seq, m: seq, cid: cid, from: user,
                atMs: FakeHost.wallMs, body: .message(Message(content: content, revision: seq)))
            state.entries.append(entry)
            return entry
        }
    }

    /// Hands an event to every attached socket, one delivery a loop.
    func publish(_ body: EventBody) {
        let event = SharedEvent(body)
        let endpoints = state.withLock { $0.endpoints }
        for endpoint in endpoints {
            endpoint.loop.deliver([Delivery(event: event, slots: [endpoint.slot])])
        }
    }

    func users(_ ids: [UserID], answer: @escaping Answer<[UserView]>) {
        reply(answer, .success(ids.map(view)))
    }

    func user(named name: String, answer: @escaping Answer<[UserView]>) {
        reply(answer, .success(name == "nobody" ? [] : [view(Self.user(name))]))
    }

    func devices(_ identity: Identity, answer: @escaping Answer<[DeviceView]>) {
        reply(
            answer,
            .success([DeviceView(id: identity.device, name: "phone", createdAtMs: 1)]))
    }

    private func conversationView(_ state: State) -> ConversationView {
        let head = state.heads[Self.conversation] ?? 0
        return ConversationView(
            kind: .group, title: "three", memberCount: 1, members: [], role: .owner,
            state: ChangedView(
                conversation: Self.conversation, head: head, m: head, floor: 1, unread: 0,
                delivered: 0, read: 0, marks: [], last: state.entries.last, hasLeft: false),
            lastAtMs: 0)
    }

    func conversation(
        _ id: ConversationID, for identity: Identity, answer: @escaping Answer<ConversationView>
    ) {
        guard id == Self.conversation else {
            return reply(answer, .failure(ServiceError(.notFound, "no such conversation")))
        }
        reply(answer, .success(state.withLock { conversationView($0) }))
    }

    func conversations(
        for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<ConversationView>>
    ) {
        let view = state.withLock { conversationView($0) }
        reply(answer, .success(ListView(items: [view], cursor: cursor ?? "next-\(limit)")))
    }

    func members(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MemberView>>
    ) {
        let member = MemberView(user: identity.user, role: .owner, joinedSeq: 1)
        reply(answer, .success(ListView(items: [member], cursor: nil)))
    }

    func marks(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MarkView>>
    ) {
        let mark = MarkView(user: identity.user, delivered: 2, read: 1)
        reply(answer, .success(ListView(items: [mark], cursor: nil)))
    }

    func page(
        _ id: ConversationID, _ anchor: PageAnchor, limit: Int, for identity: Identity,
        answer: @escaping Answer<PageView>
    ) {
        let entries = state.withLock { $0.entries }.filter { entry in
            switch anchor {
            case .newest, .around: true
            case .before(let seq): entry.seq < seq
            case .after(let seq): entry.seq > seq
            }
        }
        reply(
            answer,
            .success(
                PageView(
                    conversation: id, entries: Array(entries.prefix(limit)), hasMore: false,
                    hasMoreBefore: false, hasMoreAfter: false, floor: 1)))
    }

    func changes(
        since feed: FeedPosition, for identity: Identity, answer: @escaping Answer<FeedChanges>
    ) {
        reply(answer, .success(FeedChanges(changed: [], position: 0, isComplete: true)))
    }

    func feedPosition(for identity: Identity, answer: @escaping Answer<FeedPosition>) {
        reply(answer, .success(0))
    }

    func presence(
        of users: [UserID], for identity: Identity, answer: @escaping Answer<[PresenceView]>
    ) {
        reply(
            answer,
            .success(users.map { PresenceView(user: $0, state: .online, lastSeenMs: nil) }))
    }

    /// Finds every entry; the cursor `elsewhere` is not its own.
    func search(
        _ query: SearchQuery, for identity: Identity, answer: @escaping Answer<SearchView>
    ) {
        guard query.cursor != "elsewhere" else {
            return reply(
                answer, .failure(ServiceError(.invalidArgument, "cursor: is not of this server")))
        }
        let entries = state.withLock { state in
            state.searches.append(query)
            return state.entries
        }
        let hits = entries.prefix(query.limit ?? SearchQuery.limitDefault).map {
            SearchHitView(
                entry: $0, snippet: "over here", highlights: [TextSpan(start: 0, length: 4)])
        }
        let hasMore = hits.count < entries.count
        reply(
            answer,
            .success(
                SearchView(
                    hits: hits, cursor: hasMore ? "next" : nil, atLeast: entries.count,
                    isPartial: false, isIndexing: true, isSealedNotSearched: false)))
    }

    func attach(_ endpoint: SessionEndpoint, _ identity: Identity) {
        state.withLock { $0.endpoints.append(endpoint) }
    }

    func detach(_ endpoint: SessionEndpoint, isClean: Bool) {
        state.withLock { state in
            state.endpoints.removeAll { $0 == endpoint }
            state.detaches += 1
            if isClean { state.cleanDetaches += 1 }
        }
    }

    func refreshPresence(_ endpoint: SessionEndpoint, isActive: Bool) {}
    func typing(_ id: ConversationID, by identity: Identity) {
        publish(.typing(id, identity.user))
    }

    func watch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID],
        answer: @escaping Answer<[PresenceView]>
    ) {
        reply(answer, .success([]))
    }

    func unwatch(_ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID]) {}

    func beginUpload(
        _ request: UploadRequest, by identity: Identity, answer: @escaping Answer<any UploadPort>
    ) {
        reply(answer, .success(FakeUpload(self, type: request.type)))
    }

    func openBlob(_ access: BlobAccess, answer: @escaping Answer<any BlobPort>) {
        let id: BlobID
        var expiry: Milliseconds?
        switch access {
        case .signed(let blob, let expiresAtMs, let signature):
            guard signature == "signed" else {
                return reply(answer, .failure(ServiceError(.permissionDenied, "the URL expired")))
            }
            (id, expiry) = (blob, expiresAtMs)
        case .user(let blob, _): id = blob
        }
        guard let blob = state.withLock({ $0.blobs[id] }) else {
            return reply(answer, .failure(ServiceError(.notFound, "no such media")))
        }
        reply(
            answer,
            .success(FakeBlob(id: id, type: blob.type, bytes: blob.bytes, expiresAtMs: expiry)))
    }
}

struct FakeLinks: MediaLinks {
    func url(for blob: BlobID) -> String {
        "/media/\(blob)?e=\(FakeHost.wallMs + 7_200_000)&s=signed"
    }
}

final class FakeUpload: UploadPort {
    private let node: FakeNode
    private let type: String
    private let bytes = Mutex<[UInt8]>([])

    init(_ node: FakeNode, type: String) {
        self.node = node
        self.type = type
    }

    func append(_ more: [UInt8], answer: @escaping Answer<Void>) {
        bytes.withLock { $0 += more }
        Task { answer(.success(())) }
    }

    func finish(answer: @escaping Answer<BlobView>) {
        let content = bytes.withLock { $0 }
        let id = BlobID(
            high: 0x0042_0000_0000_8000, low: 0x8000_0000_0000_0000 | UInt64(content.count))
        node.state.withLock { $0.blobs[id] = (type, content) }
        let view = BlobView(
            blob: id, url: FakeLinks().url(for: id), size: UInt64(content.count), type: type,
            contentHash: Array(repeating: 0xAB, count: 32))
        Task { answer(.success(view)) }
    }

    func abandon() { node.state.withLock { $0.abandoned += 1 } }
}

final class FakeBlob: BlobPort {
    let view: BlobView
    let expiresAtMs: Milliseconds?
    private let bytes: [UInt8]

    init(id: BlobID, type: String, bytes: [UInt8], expiresAtMs: Milliseconds?) {
        view = BlobView(
            blob: id, url: "", size: UInt64(bytes.count), type: type, contentHash: [])
        self.bytes = bytes
        self.expiresAtMs = expiresAtMs
    }

    func read(_ range: Range<UInt64>, answer: @escaping Answer<[UInt8]>) {
        let part = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        Task { answer(.success(part)) }
    }
}
