import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Session
import WireProtocol

/// Conversations, their members and marks, and the entries in them.
extension Routes {
    var conversationCalls: [Call] {
        [
            Call(.get, "/v1/conversations", conversations),
            Call(.post, "/v1/conversations", createConversation),
            Call(.get, "/v1/conversations/:conversation", conversation),
            Call(.patch, "/v1/conversations/:conversation", patchConversation),
            Call(.get, "/v1/conversations/:conversation/members", members),
            Call(.put, "/v1/conversations/:conversation/members/:user", putMember),
            Call(.delete, "/v1/conversations/:conversation/members/:user", removeMember),
            Call(.get, "/v1/conversations/:conversation/marks", marks),
            Call(.get, "/v1/conversations/:conversation/entries", entries),
            Call(.post, "/v1/conversations/:conversation/entries", send),
        ]
    }

    @Sendable private func conversations(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let limit = try limit(request, max: limits.pageMax, default: limits.pageDefault)
        let list = try await answer {
            node.conversations(
                for: identity, cursor: query(request, "cursor"), limit: limit, answer: $0)
        }
        return reply(request) { $0.conversations(list) }
    }

    @Sendable private func createConversation(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let change: ChangeRequest =
            switch try HTTPBodyDecoder.conversation(
                try await body(request), try bodyEncoding(request), limits)
            {
            case .direct(let peer): .createDirect(peer: peer)
            case .group(let members, let title, let cid):
                .createGroup(members: members, title: title, cid: cid)
            }
        guard case .conversation(let id, let isNew) = try await submit(change, by: identity) else {
            throw ServiceError(.internal, "the node answered something else")
        }
        let view = try await answer { node.conversation(id, for: identity, answer: $0) }
        return reply(request, isNew ? .created : .ok) { $0.conversation(view) }
    }

    @Sendable private func conversation(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let view = try await answer { node.conversation(id, for: identity, answer: $0) }
        return reply(request) { $0.conversation(view) }
    }

    @Sendable private func patchConversation(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let title = try HTTPBodyDecoder.conversationPatch(
            try await body(request), try bodyEncoding(request), limits)
        if let title { _ = try await submit(.setTitle(id, title), by: identity) }
        let view = try await answer { node.conversation(id, for: identity, answer: $0) }
        return reply(request) { $0.conversation(view) }
    }

    @Sendable private func members(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let limit = try limit(request, max: limits.membersPerCall, default: 100)
        let list = try await answer {
            node.members(
                of: id, for: identity, cursor: query(request, "cursor"), limit: limit, answer: $0)
        }
        return reply(request) { $0.members(list) }
    }

    @Sendable private func marks(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let limit = try limit(request, max: limits.membersPerCall, default: 100)
        let list = try await answer {
            node.marks(
                of: id, for: identity, cursor: query(request, "cursor"), limit: limit, answer: $0)
        }
        return reply(request) { $0.marks(list) }
    }

    @Sendable private func putMember(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let user: UserID = try context.identifier("user")
        let role = try HTTPBodyDecoder.role(try await body(request), try bodyEncoding(request))
        _ = try await submit(.changeMember(id, user: user, role: role), by: identity)
        return Self.noContent
    }

    @Sendable private func removeMember(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let user: UserID = try context.identifier("user")
        _ = try await submit(.changeMember(id, user: user, role: nil), by: identity)
        return Self.noContent
    }

    @Sendable private func entries(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let limit = try limit(request, max: limits.pageMax, default: limits.pageDefault)
        var anchors: [PageAnchor] = []
        if let seq = try number(request, "before") { anchors.append(.before(seq)) }
        if let seq = try number(request, "after") { anchors.append(.after(seq)) }
        if let seq = try number(request, "around") { anchors.append(.around(seq)) }
        guard anchors.count <= 1 else {
            throw ServiceError(.invalidArgument, "before: it excludes after and around")
        }
        let anchor = anchors.first ?? .newest
        let page = try await answer {
            node.page(id, anchor, limit: limit, for: identity, answer: $0)
        }
        return reply(request) { $0.page(page) }
    }

    @Sendable private func send(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let id: ConversationID = try context.identifier("conversation")
        let key = HTTPField.Name("Idempotency-Key").flatMap { request.headers[$0] }
        let body = try HTTPBodyDecoder.send(
            try await body(request), try bodyEncoding(request), to: id, idempotencyKey: key, limits)
        let result = try await submit(
            .send(.conversation(id), cid: body.cid, content: body.content), by: identity)
        guard case .sent(let sent) = result else {
            throw ServiceError(.internal, "the node answered something else")
        }
        return reply(request, sent.isDuplicate ? .ok : .created) { $0.sent(sent) }
    }

    private func submit(
        _ change: ChangeRequest, by identity: Identity
    ) async throws -> CommandResult {
        let result = try await answer { node.submit(change, by: identity, answer: $0) }
        if case .refused(let error) = result { throw error }
        return result
    }
}
