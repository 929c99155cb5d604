import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Session
import WireProtocol

/// Accounts, sessions, tickets, the own profile and devices, other users and their presence.
extension Routes {
    var accountCalls: [Call] {
        [
            Call(.post, "/v1/accounts", register),
            Call(.post, "/v1/sessions", signIn),
            Call(.post, "/v1/sessions/current/refresh", refresh),
            Call(.delete, "/v1/sessions/current", signOut),
            Call(.post, "/v1/tickets", ticket),
            Call(.get, "/v1/me", me),
            Call(.patch, "/v1/me", updateProfile),
            Call(.get, "/v1/devices", devices),
            Call(.delete, "/v1/devices/:device", revokeDevice),
        ]
    }

    var userCalls: [Call] {
        [
            Call(.get, "/v1/users", users),
            Call(.get, "/v1/users/:user", user),
            Call(.get, "/v1/presence", presence),
        ]
    }

    @Sendable private func register(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let body = try HTTPBodyDecoder.account(
            try await body(request), try bodyEncoding(request), limits)
        let signedIn = try await answer {
            node.register(
                Registration(
                    username: body.username, password: body.password,
                    displayName: body.displayName, deviceName: body.deviceName), answer: $0)
        }
        return session(request, .created, signedIn)
    }

    @Sendable private func signIn(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let body = try HTTPBodyDecoder.session(
            try await body(request), try bodyEncoding(request), limits)
        let signedIn = try await answer {
            node.signIn(
                SignInRequest(
                    username: body.username, password: body.password,
                    deviceName: body.deviceName, address: context.peer), answer: $0)
        }
        return session(request, .created, signedIn)
    }

    @Sendable private func refresh(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        return session(request, .ok, try await answer { node.refresh(identity, answer: $0) })
    }

    private func session(
        _ request: Request, _ status: HTTPResponse.Status, _ signedIn: SignedIn
    ) -> Response {
        reply(request, status) {
            $0.signedIn(
                signedIn, websocketURL: websocketURL(request, of: signedIn.user.id),
                nodes: nodes(request))
        }
    }

    @Sendable private func signOut(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        try await answer { node.signOut(identity, device: identity.device, answer: $0) }
        return Self.noContent
    }

    @Sendable private func ticket(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let ticket = try await answer { node.issueTicket(identity, answer: $0) }
        return reply(request) { $0.ticket(ticket.ticket, expiresAtMs: ticket.expiresAtMs) }
    }

    @Sendable private func me(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let users = try await answer { node.users([identity.user], answer: $0) }
        guard let user = users.first else {
            throw ServiceError(.unauthenticated, "this account is gone")
        }
        return reply(request) {
            $0.me(
                user, device: identity.device,
                websocketURL: websocketURL(request, of: identity.user),
                nodes: nodes(request), limits: limits)
        }
    }

    @Sendable private func updateProfile(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let body = try HTTPBodyDecoder.profile(
            try await body(request), try bodyEncoding(request), limits)
        let user = try await answer {
            node.updateProfile(
                identity,
                ProfileRequest(
                    displayName: body.displayName, avatar: body.avatar, password: body.password,
                    currentPassword: body.currentPassword,
                    isLastSeenVisible: body.isLastSeenVisible), answer: $0)
        }
        return reply(request) { $0.user(user) }
    }

    @Sendable private func devices(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let devices = try await answer { node.devices(identity, answer: $0) }
        return reply(request) { $0.devices(devices) }
    }

    @Sendable private func revokeDevice(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let device: DeviceID = try context.identifier("device")
        try await answer { node.signOut(identity, device: device, answer: $0) }
        return Self.noContent
    }

    @Sendable private func users(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        _ = try await identity(request)
        let found: [UserView]
        if let name = query(request, "username") {
            found = try await answer { node.user(named: name, answer: $0) }
        } else if let ids: [UserID] = try identifiers(request, "ids", max: limits.pageMax) {
            found = try await answer { node.users(ids, answer: $0) }
        } else {
            throw ServiceError(.invalidArgument, "username: it or ids is missing")
        }
        return reply(request) { $0.users(found) }
    }

    @Sendable private func user(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        _ = try await identity(request)
        let id: UserID = try context.identifier("user")
        let found = try await answer { node.users([id], answer: $0) }
        guard let user = found.first else {
            throw ServiceError(.notFound, "there is no such user")
        }
        return reply(request) { $0.user(user) }
    }

    @Sendable private func presence(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        guard let users: [UserID] = try identifiers(request, "users", max: limits.pageMax) else {
            throw ServiceError(.invalidArgument, "users: is missing")
        }
        let views = try await answer { node.presence(of: users, for: identity, answer: $0) }
        return reply(request) { $0.presence(views) }
    }
}
