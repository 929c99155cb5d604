package import ChatModel
package import WireProtocol

/// The calls of `/v1/…` that a client makes. All throw ``ServiceError``: what the server answered,
/// or `unavailable` when it couldn't be reached.
package struct APIClient: Sendable {
    private let http: HTTPClient
    private let encoding: WireEncoding

    /// Calls over `http`.
    package init(_ http: HTTPClient, _ encoding: WireEncoding = .json) {
        self.http = http
        self.encoding = encoding
    }

    /// Registers a user and signs them in.
    package func register(_ body: AccountBody) async throws -> SignedInAnswer {
        let bytes = try await call(
            "POST", "/v1/accounts", body: HTTPBodyEncoder.account(body, encoding))
        return try HTTPAnswerDecoder.signedIn(bytes, encoding)
    }

    /// Signs in.
    package func signIn(_ body: SessionBody) async throws -> SignedInAnswer {
        let bytes = try await call(
            "POST", "/v1/sessions", body: HTTPBodyEncoder.session(body, encoding))
        return try HTTPAnswerDecoder.signedIn(bytes, encoding)
    }

    /// A new token for the device.
    package func refresh(token: String) async throws -> SignedInAnswer {
        let bytes = try await call("POST", "/v1/sessions/current/refresh", token: token)
        return try HTTPAnswerDecoder.signedIn(bytes, encoding)
    }

    /// Opens a conversation, or finds the one that is there.
    package func createConversation(
        _ body: ConversationBody, token: String
    ) async throws -> ConversationView {
        let bytes = try await call(
            "POST", "/v1/conversations", token: token,
            body: HTTPBodyEncoder.conversation(body, encoding))
        return try HTTPAnswerDecoder.conversation(bytes, encoding)
    }

    /// Adds a member, or changes one's role.
    package func putMember(
        _ user: UserID, role: Role, in conversation: ConversationID, token: String
    ) async throws {
        _ = try await call(
            "PUT", "/v1/conversations/\(conversation)/members/\(user)", token: token,
            body: HTTPBodyEncoder.role(role, encoding))
    }

    /// One conversation.
    package func conversation(
        _ id: ConversationID, token: String
    ) async throws -> ConversationView {
        let bytes = try await call("GET", "/v1/conversations/\(id)", token: token)
        return try HTTPAnswerDecoder.conversation(bytes, encoding)
    }

    /// Part of the list of the user's conversations, most recent first.
    package func conversations(
        cursor: String? = nil, limit: Int = 50, token: String
    ) async throws -> ListView<ConversationView> {
        // Cursors are made of characters that stand in a query as they are.
        let suffix = cursor.map { "&cursor=\($0)" } ?? ""
        let bytes = try await call(
            "GET", "/v1/conversations?limit=\(limit)\(suffix)", token: token)
        return try HTTPAnswerDecoder.conversations(bytes, encoding)
    }

    /// A page of entries, and where its media can be read.
    package func page(
        _ conversation: ConversationID, _ anchor: PageAnchor, limit: Int = 200, token: String
    ) async throws -> (page: PageView, mediaURLs: [MediaURL]) {
        let query =
            switch anchor {
            case .newest: ""
            case .before(let seq): "before=\(seq)&"
            case .after(let seq): "after=\(seq)&"
            case .around(let seq): "around=\(seq)&"
            }
        let bytes = try await call(
            "GET", "/v1/conversations/\(conversation)/entries?\(query)limit=\(limit)",
            token: token)
        return try HTTPAnswerDecoder.page(bytes, encoding)
    }

    /// Messages that are as asked, and where the media in them can be read.
    package func search(
        _ query: SearchQuery, token: String
    ) async throws -> (results: SearchView, mediaURLs: [MediaURL]) {
        let bytes = try await call("GET", HTTPBodyEncoder.searchPath(query), token: token)
        return try HTTPAnswerDecoder.results(bytes, encoding)
    }

    /// Sends a message over HTTP.
    package func send(
        _ body: SendBody, to conversation: ConversationID, token: String
    ) async throws -> Sent {
        let bytes = try await call(
            "POST", "/v1/conversations/\(conversation)/entries", token: token,
            body: HTTPBodyEncoder.send(body, encoding))
        return try HTTPAnswerDecoder.sent(bytes, encoding)
    }

    private func call(
        _ method: String, _ path: String, token: String? = nil, body: [UInt8] = []
    ) async throws -> [UInt8] {
        let reply = try await http.call(
            HTTPCall(
                method, path, token: token, contentType: encoding.contentType, body: body))
        guard (200..<300).contains(reply.status) else {
            throw HTTPAnswerDecoder.problem(status: reply.status, reply.body)
        }
        return reply.body
    }
}
