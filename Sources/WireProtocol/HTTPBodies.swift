package import ChatModel

/// `POST /v1/accounts`.
package struct AccountBody: Equatable, Sendable {
    /// As typed; the rule for names is checked where accounts are made.
    package var username: String
    /// As typed.
    package var password: String
    /// Nil: the user name.
    package var displayName: String?
    /// Name of the first device, empty when none was given.
    package var deviceName: String

    /// A body.
    package init(username: String, password: String, displayName: String?, deviceName: String) {
        self.username = username
        self.password = password
        self.displayName = displayName
        self.deviceName = deviceName
    }
}

/// `POST /v1/sessions`.
package struct SessionBody: Equatable, Sendable {
    /// As typed.
    package var username: String
    /// As typed.
    package var password: String
    /// Name of the device, empty when none was given.
    package var deviceName: String

    /// A body.
    package init(username: String, password: String, deviceName: String) {
        self.username = username
        self.password = password
        self.deviceName = deviceName
    }
}

/// `PATCH /v1/me`; nil keeps, empty clears.
package struct ProfileBody: Equatable, Sendable {
    /// New display name.
    package var displayName: String?
    /// New avatar: a blob id as text, or empty.
    package var avatar: String?
    /// New password.
    package var password: String?
    /// The old one; needed with `password`.
    package var currentPassword: String?
    /// Whether others may see when the user was last seen.
    package var isLastSeenVisible: Bool?

    /// A body.
    package init(
        displayName: String? = nil, avatar: String? = nil, password: String? = nil,
        currentPassword: String? = nil, isLastSeenVisible: Bool? = nil
    ) {
        self.displayName = displayName
        self.avatar = avatar
        self.password = password
        self.currentPassword = currentPassword
        self.isLastSeenVisible = isLastSeenVisible
    }
}

/// `POST /v1/conversations`.
package enum ConversationBody: Equatable, Sendable {
    /// The direct conversation with a user.
    case direct(peer: UserID)
    /// A group; `cid` makes a retry the same group.
    case group(members: [UserID], title: String, cid: ClientMessageID?)
}

/// `POST /v1/conversations/{id}/entries`.
package struct SendBody: Equatable, Sendable {
    /// The client's id of the send.
    package var cid: ClientMessageID
    /// What was written.
    package var content: MessageContent

    /// A body.
    package init(cid: ClientMessageID, content: MessageContent) {
        self.cid = cid
        self.content = content
    }
}

/// Bodies of HTTP requests from bytes. Refusals name the field.
package enum HTTPBodyDecoder {
    /// The body of `POST /v1/accounts`.
    package static func account(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(ServiceError) -> AccountBody {
        let wire = try FieldReader.parse(WireNewAccount.self, bytes, encoding, what: "body")
        try needCredentials(wire.username, wire.password)
        return AccountBody(
            username: wire.username, password: wire.password,
            displayName: wire.hasDisplayName
                ? try FieldReader.text(wire.displayName, "displayName", max: limits.nameBytes)
                : nil,
            deviceName: try FieldReader.text(wire.device, "device", max: limits.nameBytes))
    }

    /// The body of `POST /v1/sessions`.
    package static func session(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(ServiceError) -> SessionBody {
        let wire = try FieldReader.parse(WireNewSession.self, bytes, encoding, what: "body")
        try needCredentials(wire.username, wire.password)
        return SessionBody(
            username: wire.username, password: wire.password,
            deviceName: try FieldReader.text(wire.device, "device", max: limits.nameBytes))
    }

    private static func needCredentials(
        _ username: String, _ password: String
    ) throws(ServiceError) {
        guard !username.isEmpty else { throw FieldReader.refusal("username", "is missing") }
        guard !password.isEmpty else { throw FieldReader.refusal("password", "is missing") }
    }

    /// The body of `PATCH /v1/me`.
    package static func profile(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(ServiceError) -> ProfileBody {
        let wire = try FieldReader.parse(WireProfilePatch.self, bytes, encoding, what: "body")
        var visibility: Bool?
        if wire.hasLastSeenVisibility {
            switch wire.lastSeenVisibility {
            case .contacts: visibility = true
            case .nobody: visibility = false
            case .unspecified, .UNRECOGNIZED: throw unknownVisibility
            }
        } else if encoding == .json,
            let members = JSONMembers(bytes, in: 0..<bytes.count),
            members.has("lastSeenVisibility", in: bytes)
                || members.has("last_seen_visibility", in: bytes)
        {
            // The parser passes over names it doesn't know; a wrong one must not mean "keep".
            throw unknownVisibility
        }
        if wire.hasAvatar, !wire.avatar.isEmpty {
            let _: BlobID = try FieldReader.identifier(wire.avatar, "avatar")
        }
        return ProfileBody(
            displayName: wire.hasDisplayName
                ? try FieldReader.text(wire.displayName, "displayName", max: limits.nameBytes)
                : nil,
            avatar: wire.hasAvatar ? wire.avatar : nil,
            password: wire.hasPassword ? wire.password : nil,
            currentPassword: wire.hasCurrentPassword ? wire.currentPassword : nil,
            isLastSeenVisible: visibility)
    }

    private static var unknownVisibility: ServiceError {
        FieldReader.refusal("lastSeenVisibility", "must be CONTACTS or NOBODY")
    }

    /// The body of `POST /v1/conversations`.
    package static func conversation(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(ServiceError) -> ConversationBody {
        let wire = try FieldReader.parse(WireNewConversation.self, bytes, encoding, what: "body")
        let members: [UserID] = try FieldReader.identifiers(
            wire.members, "members", max: limits.membersPerCall)
        switch ConversationKind(wire.kind) {
        case nil: throw FieldReader.refusal("kind", "must be DIRECT or GROUP")
        case .direct:
            guard let peer = members.first, members.count == 1 else {
                throw FieldReader.refusal("members", "a direct conversation names one user")
            }
            return .direct(peer: peer)
        case .group:
            return .group(
                members: members,
                title: try FieldReader.text(wire.title, "title", max: limits.nameBytes),
                cid: wire.hasCid ? try FieldReader.identifier(wire.cid, "cid") : nil)
        }
    }

    /// The body of `PATCH /v1/conversations/{id}`: the new title; nil keeps, empty clears.
    package static func conversationPatch(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(ServiceError) -> String? {
        let wire = try FieldReader.parse(
            WireConversationPatch.self, bytes, encoding, what: "body")
        guard wire.hasTitle else { return nil }
        return try FieldReader.text(wire.title, "title", max: limits.nameBytes)
    }

    /// The body of `PUT /v1/conversations/{id}/members/{userId}`. No body at all is a MEMBER.
    package static func role(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> Role {
        if bytes.isEmpty { return .member }
        let wire = try FieldReader.parse(WireMemberPut.self, bytes, encoding, what: "body")
        guard let role = Role(wire.role) else {
            throw FieldReader.refusal("role", "must be OWNER, ADMIN or MEMBER")
        }
        return role
    }

    /// The body of `POST /v1/conversations/{id}/entries`. `idempotencyKey` is the header's value
    /// and counts when the body has no cid.
    package static func send(
        _ bytes: [UInt8], _ encoding: WireEncoding, to conversation: ConversationID,
        idempotencyKey: String?, _ limits: Limits
    ) throws(ServiceError) -> SendBody {
        let wire = try FieldReader.parse(WireSend.self, bytes, encoding, what: "body")
        switch wire.to {
        case .conversation(let text):
            let named: ConversationID = try FieldReader.identifier(text, "conversation")
            guard named == conversation else {
                throw FieldReader.refusal("conversation", "differs from the path's")
            }
        case .user: throw FieldReader.refusal("user", "the path names the conversation")
        case nil: break
        }
        let cid = wire.cid.isEmpty ? (idempotencyKey ?? "") : wire.cid
        return SendBody(
            cid: try FieldReader.identifier(cid, "cid"),
            content: try FieldReader.content(
                text: wire.text, replyTo: wire.hasReplyTo ? wire.replyTo : nil,
                mentions: wire.mentions, media: wire.media, field: "", limits: limits))
    }
}
