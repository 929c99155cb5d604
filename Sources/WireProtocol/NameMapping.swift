internal import ChatModel

// Enumerations both ways. From the wire, UNSPECIFIED and what a newer peer may say are nil.

extension ConversationKind {
    var wire: WireConversationKind.Value {
        switch self {
        case .direct: .direct
        case .group: .group
        }
    }

    init?(_ wire: WireConversationKind.Value) {
        switch wire {
        case .direct: self = .direct
        case .group: self = .group
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}

extension Role {
    var wire: WireRole.Value {
        switch self {
        case .member: .member
        case .admin: .admin
        case .owner: .owner
        }
    }

    init?(_ wire: WireRole.Value) {
        switch wire {
        case .member: self = .member
        case .admin: self = .admin
        case .owner: self = .owner
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}

extension MembershipChange {
    var wire: WireMembershipChange.Value {
        switch self {
        case .joined: .joined
        case .left: .left
        case .removed: .removed
        case .role: .role
        }
    }

    init?(_ wire: WireMembershipChange.Value) {
        switch wire {
        case .joined: self = .joined
        case .left: self = .left
        case .removed: self = .removed
        case .role: self = .role
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}

extension PresenceState {
    var wire: WirePresenceState.Value {
        switch self {
        case .offline: .offline
        case .away: .away
        case .online: .online
        }
    }

    init?(_ wire: WirePresenceState.Value) {
        switch wire {
        case .offline: self = .offline
        case .away: self = .away
        case .online: self = .online
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}
