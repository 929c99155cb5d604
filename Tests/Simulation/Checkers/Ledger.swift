import ChatModel

/// What all observers together know of one conversation's log.
struct Ledger {
    /// What of an entry never changes.
    struct Identity: Equatable {
        let m: MessageNumber
        let cid: ClientMessageID?
        let from: UserID
        let atMs: Milliseconds
        let kind: Kind

        enum Kind: Equatable {
            case message
            case edit(EntrySequence)
            case erase(EntrySequence)
            case membership(UserID, MembershipChange, Role)
            case settings(String?)
        }

        init(_ entry: Entry) {
            m = entry.m
            cid = entry.cid
            from = entry.from
            atMs = entry.atMs
            kind =
                switch entry.body {
                case .message: .message
                case .edit(let target, _): .edit(target)
                case .erase(let target): .erase(target)
                case .membership(let user, let change, let role): .membership(user, change, role)
                case .settings(let title): .settings(title)
                }
        }
    }

    /// The largest seq that a client was told.
    private(set) var acknowledged: EntrySequence = 0
    /// The largest seq that anyone saw.
    private(set) var seen: EntrySequence = 0
    private var identities: [Identity?] = []

    /// A client was told of a seq.
    mutating func acknowledge(_ seq: EntrySequence) {
        acknowledged = max(acknowledged, seq)
    }

    /// Notes an entry; what is wrong with it, if anything.
    mutating func take(_ entry: Entry) -> String? {
        guard entry.seq > 0, entry.seq < 1 << 20 else { return "no such seq" }
        let place = Int(entry.seq)
        while identities.count <= place + 1 { identities.append(nil) }
        seen = max(seen, entry.seq)
        let identity = Identity(entry)
        if let known = identities[place] {
            return known == identity ? nil : "it is \(identity), but was seen as \(known)"
        }
        identities[place] = identity
        if let before = identities[place - 1] {
            if let problem = Self.problem(before, identity) { return problem }
        } else if place == 1, identity.m > 1 {
            return "the first entry has message number \(identity.m)"
        }
        return identities[place + 1].flatMap { Self.problem(identity, $0) }
    }

    /// What is wrong between two neighbours: time does not go back, messages are counted.
    private static func problem(_ before: Identity, _ after: Identity) -> String? {
        if after.atMs < before.atMs { return "its stamp lies before its predecessor's" }
        let step: MessageNumber = after.kind == .message ? 1 : 0
        if after.m != before.m + step {
            return "message number \(after.m) follows on \(before.m)"
        }
        return nil
    }

    /// Seqs up to `head` that nobody has seen; they would be a hole.
    func missing(upTo head: EntrySequence) -> EntrySequence? {
        guard head > 0 else { return nil }
        return (1...head).first { Int($0) >= identities.count || identities[Int($0)] == nil }
    }
}
