internal import ChatModel
internal import NIOCore
internal import NIOPosix
internal import Platform
internal import WireProtocol

/// A signed-in user of a Magpie server.
///
/// ```swift
/// let ada = try await ChatClient.signIn(
///     url: "http://127.0.0.1:8080", username: "ada", password: "correct horse")
/// let room = try await ada.createGroup(title: "birds", members: [grace])
/// try await ada.send("a magpie!", to: room)
/// for await event in ada.events { print(event) }
/// ```
///
/// The client connects at once and comes back by itself after a loss. A message is repeated until
/// the server has answered; it stands once, whatever breaks in between. Nothing blocks a thread.
public final class ChatClient: Sendable {
    /// The user, as UUID text.
    public let userID: String
    /// The bearer token of this device.
    public let token: String
    /// What happens, from the moment the client was made. For one reader; events that nobody reads
    /// are kept, at most 65,536, the oldest first.
    public let events: AsyncStream<ChatEvent>

    private let api: APIClient
    private let http: HTTPClient
    private let connection: ClientConnection
    private let random: any RandomSource
    private let finish: @Sendable () -> Void

    private init(
        _ session: SignedIn, _ address: ServerAddress, _ http: HTTPClient,
        on loop: any EventLoop, _ random: any RandomSource
    ) {
        userID = session.user.id.description
        token = session.token
        api = APIClient(http, .binary)
        self.http = http
        self.random = random
        let (stream, continuation) = AsyncStream.makeStream(
            of: ChatEvent.self, bufferingPolicy: .bufferingOldest(65_536))
        events = stream
        finish = { continuation.finish() }
        var options = ClientOptions()
        options.isBinary = true
        connection = ClientConnection(
            addresses: [address], token: session.token, options: options, on: loop, random: random
        ) { event in
            if let event = ChatEvent(event) { continuation.yield(event) }
        }
        connection.start()
    }

    /// Registers a user and signs in. `url` is `http://HOST[:PORT]`.
    public static func register(
        url: String, username: String, password: String, displayName: String? = nil
    ) async throws(ChatError) -> ChatClient {
        try await enter(url) { api in
            try await api.register(
                AccountBody(
                    username: username, password: password, displayName: displayName,
                    deviceName: ""))
        }
    }

    /// Signs in.
    public static func signIn(
        url: String, username: String, password: String
    ) async throws(ChatError) -> ChatClient {
        try await enter(url) { api in
            try await api.signIn(
                SessionBody(username: username, password: password, deviceName: ""))
        }
    }

    private static func enter(
        _ url: String, _ call: (APIClient) async throws -> SignedInAnswer
    ) async throws(ChatError) -> ChatClient {
        guard let address = ServerAddress(url) else {
            throw ChatError(ServiceError(.invalidArgument, "url: is not http://HOST[:PORT]"))
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let http = HTTPClient(address, on: loop, connectionsMax: 4)
        do {
            let answer = try await call(APIClient(http, .binary))
            return ChatClient(answer.session, address, http, on: loop, SystemRandom())
        } catch {
            _ = http.close()
            throw ChatError(error)
        }
    }

    /// Ends the connection; what was not answered fails. The device stays signed in.
    public func close() async {
        try? await connection.close().get()
        try? await http.close().get()
        finish()
    }

    // MARK: Conversations

    /// The direct conversation with a user, opened when it is new.
    public func direct(with user: String) async throws(ChatError) -> String {
        try await create(.direct(peer: try id(user, "user")))
    }

    /// Founds a group.
    public func createGroup(
        title: String, members: [String]
    ) async throws(ChatError) -> String {
        var ids: [UserID] = []
        for member in members { ids.append(try id(member, "members")) }
        return try await create(.group(members: ids, title: title, cid: makeID()))
    }

    private func create(_ body: ConversationBody) async throws(ChatError) -> String {
        do {
            let view = try await api.createConversation(body, token: token)
            return view.state.conversation.description
        } catch {
            throw ChatError(error)
        }
    }

    /// Messages of a conversation in order: those after a position, or the newest ones. Entries
    /// that are no messages are left out, so there may be fewer than `limit` (1…200).
    public func messages(
        in conversation: String, after seq: UInt64? = nil, limit: Int = 50
    ) async throws(ChatError) -> [ChatMessage] {
        let room: ConversationID = try id(conversation, "conversation")
        let anchor: PageAnchor = seq.map { .after($0) } ?? .newest
        do {
            let page = try await api.page(room, anchor, limit: limit, token: token).page
            return page.entries.compactMap { ChatMessage($0) }
        } catch {
            throw ChatError(error)
        }
    }

    /// Messages that have these words, newest first or by relevance. Words, `"phrases"`, `-not`,
    /// `OR`, `from:`, `in:`, `before:`, `after:`, `on:` and `has:` mean what the protocol says; no
    /// text is an error. `cursor` is an earlier part's; `limit` is 1…100.
    public func search(
        _ text: String, in conversation: String? = nil, byRelevance: Bool = false,
        cursor: String? = nil, limit: Int = 20
    ) async throws(ChatError) -> ChatSearchResults {
        var query = SearchQuery(
            text: text, sort: byRelevance ? .relevance : .newest, limit: limit, cursor: cursor)
        if let conversation { query.conversation = try id(conversation, "conversation") }
        do {
            return ChatSearchResults(try await api.search(query, token: token).results)
        } catch {
            throw ChatError(error)
        }
    }

    // MARK: Messages

    /// Sends a message; returns its position once it stands.
    @discardableResult
    public func send(
        _ text: String, to conversation: String
    ) async throws(ChatError) -> UInt64 {
        let room: ConversationID = try id(conversation, "conversation")
        return try await change(
            .send(.conversation(room), cid: makeID(), content: MessageContent(text: text)))
    }

    /// Gives one's own message another text.
    public func edit(
        _ seq: UInt64, in conversation: String, to text: String
    ) async throws(ChatError) {
        let room: ConversationID = try id(conversation, "conversation")
        _ = try await change(
            .edit(room, target: seq, cid: makeID(), content: MessageContent(text: text)))
    }

    /// Erases one's own message for all.
    public func erase(_ seq: UInt64, in conversation: String) async throws(ChatError) {
        let room: ConversationID = try id(conversation, "conversation")
        _ = try await change(.erase(room, target: seq, cid: makeID()))
    }

    private func change(_ body: ClientFrameBody) async throws(ChatError) -> UInt64 {
        do {
            return try await connection.submit(body).get().seq
        } catch {
            throw ChatError(error)
        }
    }

    /// Tells the others that everything up to `seq` was read. Lost when the client isn't connected.
    public func markRead(_ seq: UInt64, in conversation: String) throws(ChatError) {
        let room: ConversationID = try id(conversation, "conversation")
        connection.notify(
            .mark([MarkRequest(conversation: room, delivered: nil, read: seq)]))
    }

    /// Delivers what comes after `seq` without holes, also what came while the client was away.
    public func follow(_ conversation: String, from seq: UInt64) throws(ChatError) {
        connection.follow(try id(conversation, "conversation"), from: seq)
    }

    // MARK: Identifiers

    private func id<Kind>(_ text: String, _ name: String) throws(ChatError) -> Identifier<Kind> {
        guard let id = Identifier<Kind>(text) else {
            throw ChatError(ServiceError(.invalidArgument, "\(name): is not a UUID"))
        }
        return id
    }

    private func makeID() -> ClientMessageID { ClientMessageID(hash: random.bytes(16)) }
}
