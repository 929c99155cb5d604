import ChatEngine
package import ChatModel
import Platform
package import Session

/// Changes to conversations: what the log cannot know from the command's own partition (who exists,
/// what a blob is) is looked up before the command is proposed.
extension ChatNode {
    /// Proposes a change on the asker's behalf.
    ///
    /// One user's changes are proposed in the order in which they were submitted: while one of them
    /// is being looked up, the later ones go the same way behind it. What is refused here is first
    /// looked for among the sends that are kept: a repeat is answered whatever has changed since.
    package func submit(
        _ request: ChangeRequest, by identity: Identity, answer: @escaping Answer<CommandResult>
    ) {
        let user = identity.user
        if let refusal = rateRefusal(request, identity) {
            return recall(request, user, orRefuse: refusal, answer)
        }
        let needsLookUp = Self.needsLookUp(request)
        if !needsLookUp, !detours.isUnderWay(user) {
            return propose(command(request, user, media: [:]), answer: answer)
        }
        let isQueued = detours.run(user) { [self] done in
            guard needsLookUp else {
                propose(command(request, user, media: [:]), answer: answer)
                return done()
            }
            lookUp(request, user, .any) { [self] looked in
                switch looked {
                case .success(let media):
                    propose(command(request, user, media: media), answer: answer)
                case .failure(let error): recall(request, user, orRefuse: error, answer)
                }
                done()
            }
        }
        if !isQueued { refuse(answer, Self.overloaded) }
    }

    /// Looks up what a change needs in the rows as they are here; what is not found there may only
    /// not have come here yet, and is looked for once more in rows that are up to date.
    private func lookUp(
        _ request: ChangeRequest, _ user: UserID, _ freshness: Freshness,
        _ next: @escaping @Sendable (Result<[BlobID: BlobRecord], ServiceError>) -> Void
    ) {
        confirm(freshness) { [self] error in
            if let error { return next(.failure(error)) }
            let isQueued = readers.run(at: Int(truncatingIfNeeded: user.low)) { [self] in
                let looked = attempt { try lookUp(request, user, $0) }
                guard case .failure(let error) = looked, error.code == .notFound,
                    case .any = freshness, !cluster.isAlone
                else { return next(looked) }
                lookUp(request, user, .all, next)
            }
            if !isQueued { later { next(.failure(Self.overloaded)) } }
        }
    }

    /// Answers a repeat of a send, edit or erase that is kept, and refuses everything else. The
    /// rows answer alone: what was not looked up must not get into the log.
    private func recall(
        _ request: ChangeRequest, _ user: UserID, orRefuse refusal: ServiceError,
        _ answer: @escaping Answer<CommandResult>
    ) {
        switch request {
        case .send, .edit, .erase: break
        case .mark, .createDirect, .createGroup, .setTitle, .changeMember:
            return refuse(answer, refusal)
        }
        let command = command(request, user, media: [:])
        let nowMs = seams.clock.wallMilliseconds()
        confirm(.of([shards.shard(of: command.slot)])) { [self] error in
            if error != nil { return refuse(answer, refusal) }
            let isQueued = readers.run(at: Int(truncatingIfNeeded: user.low)) { [self] in
                switch attempt({ try $0.recall(command, nowMs: nowMs) }) {
                case .success(let sent?): answer(.success(.sent(sent)))
                case .success(nil): answer(.failure(refusal))
                case .failure(let error): answer(.failure(error))
                }
            }
            if !isQueued { refuse(answer, refusal) }
        }
    }

    private func rateRefusal(_ request: ChangeRequest, _ identity: Identity) -> ServiceError? {
        guard configuration.limits.isRateLimited else { return nil }
        switch request {
        case .send, .edit, .erase, .createGroup, .createDirect: break
        case .mark, .setTitle, .changeMember: return nil
        }
        return sends.take(identity.user, nowMs: seams.clock.wallMilliseconds()).map {
            ServiceError(.rateLimited, "too many messages; slow down", retryAfterMs: $0)
        }
    }

    private static func needsLookUp(_ request: ChangeRequest) -> Bool {
        switch request {
        case .send(.user, _, _), .createDirect, .createGroup: true
        case .send(.conversation, _, let content), .edit(_, _, _, let content):
            !content.media.isEmpty
        case .changeMember(_, _, let role): role != nil
        case .erase, .mark, .setTitle: false
        }
    }

    /// The blobs of the request, for the command; throws when a user or blob is not there for the
    /// asker.
    private func lookUp(
        _ request: ChangeRequest, _ user: UserID, _ queries: Queries
    ) throws -> [BlobID: BlobRecord] {
        switch request {
        case .send(.user(let peer), _, let content):
            try requireUsers([peer], queries)
            return try records(content, user, queries)
        case .send(.conversation, _, let content), .edit(_, _, _, let content):
            return try records(content, user, queries)
        case .createDirect(let peer): try requireUsers([peer], queries)
        case .createGroup(let members, _, _):
            guard members.count <= configuration.limits.membersPerCall else {
                throw ServiceError(
                    .invalidArgument,
                    "members: at most \(configuration.limits.membersPerCall) a call")
            }
            try requireUsers(members, queries)
        case .changeMember(_, let member, _): try requireUsers([member], queries)
        case .erase, .mark, .setTitle: break
        }
        return [:]
    }

    private func requireUsers(_ users: [UserID], _ queries: Queries) throws {
        for user in users where try queries.user(user) == nil {
            throw ServiceError(.notFound, "no user \(user)")
        }
    }

    private func records(
        _ content: MessageContent, _ user: UserID, _ queries: Queries
    ) throws -> [BlobID: BlobRecord] {
        guard content.media.count <= configuration.limits.mediaPerMessage else {
            throw ServiceError(
                .invalidArgument, "media: at most \(configuration.limits.mediaPerMessage)")
        }
        var records: [BlobID: BlobRecord] = [:]
        for reference in content.media {
            guard let record = try queries.blob(reference.blob),
                try queries.mayAttach(user, reference.blob)
            else { throw ServiceError(.notFound, "no blob \(reference.blob)") }
            records[reference.blob] = record
        }
        return records
    }

    private func command(
        _ request: ChangeRequest, _ user: UserID, media: [BlobID: BlobRecord]
    ) -> Command {
        switch request {
        case .send(let target, let cid, let content):
            let by = Author(user: user, cid: cid)
            let filled = fill(content, media)
            switch target {
            case .conversation(let conversation):
                return .send(conversation: conversation, peer: nil, by: by, content: filled)
            case .user(let peer):
                return .send(
                    conversation: Names.pair(user, peer), peer: peer, by: by, content: filled)
            }
        case .edit(let conversation, let target, let cid, let content):
            return .edit(
                conversation: conversation, by: Author(user: user, cid: cid), target: target,
                content: fill(content, media))
        case .erase(let conversation, let target, let cid):
            return .erase(
                conversation: conversation, by: Author(user: user, cid: cid), target: target)
        case .mark(let mark):
            return .mark(
                conversation: mark.conversation, user: user, delivered: mark.delivered ?? 0,
                read: mark.read ?? 0)
        case .createDirect(let peer):
            return .createDirect(conversation: Names.pair(user, peer), by: user, peer: peer)
        case .createGroup(let members, let title, let cid):
            let cid = cid ?? ClientMessageID(hash: seams.random.bytes(16))
            return .createGroup(
                NewGroup(
                    conversation: Names.group(user, cid), creator: user,
                    members: members.filter { $0 != user }, title: title))
        case .setTitle(let conversation, let title):
            return .setTitle(conversation: conversation, by: user, title: title)
        case .changeMember(let conversation, let member, let role):
            return .changeMembers(
                conversation: conversation, by: user, users: [member], role: role)
        }
    }

    private func fill(_ content: MessageContent, _ records: [BlobID: BlobRecord]) -> MessageContent
    {
        var filled = content
        filled.media = content.media.map { reference in
            guard let record = records[reference.blob] else { return reference }
            return MediaReference(
                blob: reference.blob, name: reference.name, type: record.type, size: record.size,
                width: record.width, height: record.height)
        }
        return filled
    }
}
