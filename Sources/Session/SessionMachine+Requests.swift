import ChatModel
import FanOut

/// What a client asks for, and what becomes of it. Resume, pings and marks have their own files.
extension SessionMachine {
    mutating func take(_ body: ClientFrameBody, id: String?) {
        if case .auth(let proof, let resume) = body {
            takeProof(proof, resume, id: id)
            return
        }
        guard let identity else {
            refuse(id, .unauthenticated, "auth comes first")
            return
        }
        showPresence()
        switch body {
        case .auth: break
        case .send(let target, let cid, let content):
            var conversation: ConversationID?
            if case .conversation(let named) = target { conversation = named }
            if let conversation { flushMarks(of: conversation) }
            submit(
                .send(target, cid: cid, content: content),
                Submission(id: id, cid: cid, conversation: conversation), identity)
        case .edit(let conversation, let target, let cid, let content):
            submit(
                .edit(conversation, target: target, cid: cid, content: content),
                Submission(id: id, cid: cid, conversation: conversation), identity)
        case .erase(let conversation, let target, let cid):
            submit(
                .erase(conversation, target: target, cid: cid),
                Submission(id: id, cid: cid, conversation: conversation), identity)
        case .mark(let marks): takeMarks(marks, id: id)
        case .typing(let conversation):
            tell(.typing(conversation, identity))
            if id != nil { send(.done, id: id) }
        case .pull(let conversation, let anchor, let limit):
            takePull(conversation, anchor, limit, id: id, identity)
        case .search(let query): takeSearch(query, id: id, identity)
        case .watch(let conversations, let users): takeWatch(conversations, users, id: id)
        case .unwatch(let conversations, let users):
            guard fitsWatch(conversations, users, id: id) else { return }
            tell(.unwatch(conversations: conversations, users: users))
            send(.done, id: id)
        case .activity(let isActive):
            self.isActive = isActive
            presenceMs = moment.nowMs
            tell(.refreshPresence(isActive: isActive))
            if id != nil { send(.done, id: id) }
        case .ping: takePing(id: id)
        }
    }

    /// A sign of life goes to the presence store, not with every frame.
    private mutating func showPresence() {
        guard moment.nowMs >= presenceMs &+ bounds.presenceMs else { return }
        presenceMs = moment.nowMs
        tell(.refreshPresence(isActive: isActive))
    }

    /// True when one more request may wait for the node; refuses it otherwise.
    mutating func admitsRequest(id: String?) -> Bool {
        let waiting = asked.count + heldAnswers.count + waitingReads.count + waitingPings.count
        if waiting < bounds.outstanding { return true }
        refuse(
            id, .rateLimited, "\(bounds.outstanding) requests wait already", retryAfterMs: 1_000)
        return false
    }

    // MARK: Sends, edits, erasures

    private mutating func submit(
        _ change: ChangeRequest, _ submission: Submission, _ identity: Identity
    ) {
        guard admitsRequest(id: submission.id) else { return }
        ask(.submit(change, identity), .submit(submission))
    }

    mutating func tookResult(
        _ answer: SessionAnswer, _ submission: Submission, _ token: QuestionToken
    ) {
        if submissions[submission.cid] == token { submissions[submission.cid] = nil }
        switch answer {
        case .result(.sent(let sent)): answerInOrder(sent, id: submission.id)
        case .result(.done), .result(.conversation): send(.done, id: submission.id)
        case .result(.refused(let error)), .failure(let error):
            send(.error(error), id: submission.id)
        default: refuse(submission.id, .internal, "the node's answer does not fit the request")
        }
    }

    // MARK: Pulls and searches

    private mutating func takePull(
        _ conversation: ConversationID, _ anchor: PageAnchor, _ limit: Int?, id: String?,
        _ identity: Identity
    ) {
        let limit = limit ?? facts.limits.pageDefault
        guard limit >= 1, limit <= facts.limits.pageMax else {
            refuse(id, .invalidArgument, "limit is 1 to \(facts.limits.pageMax)")
            return
        }
        guard admitsRequest(id: id) else { return }
        waitingReads.append(
            WaitingRead(
                question: .page(conversation, anchor, limit: limit, identity),
                purpose: .pull(id: id, anchor)))
    }

    private mutating func takeSearch(_ query: SearchQuery, id: String?, _ identity: Identity) {
        guard (1...SearchQuery.limitMax).contains(query.limit ?? SearchQuery.limitDefault) else {
            refuse(id, .invalidArgument, "limit is 1 to \(SearchQuery.limitMax)")
            return
        }
        guard admitsRequest(id: id) else { return }
        waitingReads.append(
            WaitingRead(
                question: .search(query, identity), purpose: .search(id: id, query)))
    }

    /// Pages and results are the large answers: a few are made at a time, and only while the
    /// socket drains.
    mutating func pumpReads() {
        while readsInFlight < bounds.readsInFlight, !dropsEphemeral, let read = waitingReads.first {
            waitingReads.removeFirst()
            readsInFlight += 1
            ask(read.question, read.purpose)
        }
    }

    mutating func tookPage(_ answer: SessionAnswer, id: String?, _ anchor: PageAnchor) {
        readsInFlight -= 1
        switch answer {
        case .page(let page):
            let page = page.cut(toBytes: bounds.pageBytes, anchor: anchor)
            send(.page(page), id: id, bytes: page.entries.reduce(0) { $0 + WireSize.of($1) })
        case .failure(let error): send(.error(error), id: id)
        default: refuse(id, .internal, "the node's answer does not fit the request")
        }
    }

    mutating func tookResults(_ answer: SessionAnswer, id: String?, _ query: SearchQuery) {
        readsInFlight -= 1
        switch answer {
        case .results(let results):
            let fitting = results.hitsFitting(bytes: bounds.pageBytes)
            // Only the node can say where the rest of a shorter answer begins: it is asked again.
            if let identity, fitting < min(results.hits.count, query.limit ?? .max) {
                var shorter = query
                shorter.limit = fitting
                let again = WaitingRead(
                    question: .search(shorter, identity), purpose: .search(id: id, shorter))
                waitingReads.insert(again, at: 0)
                return
            }
            send(
                .results(results), id: id,
                bytes: results.hits.reduce(WireSize.small) { $0 + WireSize.of($1) })
        case .failure(let error): send(.error(error), id: id)
        default: refuse(id, .internal, "the node's answer does not fit the request")
        }
    }

    // MARK: Watching

    private mutating func fitsWatch(
        _ conversations: [ConversationID], _ users: [UserID], id: String?
    ) -> Bool {
        if conversations.count <= bounds.watchedConversations, users.count <= bounds.watchedUsers {
            return true
        }
        refuse(
            id, .invalidArgument,
            "a watch names at most \(bounds.watchedConversations) conversations and "
                + "\(bounds.watchedUsers) users")
        return false
    }

    private mutating func takeWatch(
        _ conversations: [ConversationID], _ users: [UserID], id: String?
    ) {
        guard fitsWatch(conversations, users, id: id), admitsRequest(id: id) else { return }
        watchesInFlight += 1
        ask(.watch(conversations: conversations, users: users), .watch(id: id))
    }

    /// `done`, one presence of each, then the changes that overtook the answer.
    mutating func tookPresence(_ answer: SessionAnswer, id: String?) {
        watchesInFlight -= 1
        switch answer {
        case .presence(let views):
            send(.done, id: id)
            for view in views { send(.presence(view)) }
        case .failure(let error): send(.error(error), id: id)
        default: refuse(id, .internal, "the node's answer does not fit the request")
        }
        guard watchesInFlight == 0 else { return }
        let held = heldPresence
        heldPresence = []
        for event in held { sendShared(event) }
    }
}
