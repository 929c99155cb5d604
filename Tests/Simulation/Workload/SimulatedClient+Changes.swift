import ChatModel
import Session

// Sends, edits and erasures, until they are answered.
extension SimulatedClient {
    func send(to room: Town.Room, isBurst: Bool = false) {
        let number = world.nextRequestNumber()
        let length = world.isDrawn(20) ? 3_000 : world.draw(300)
        let filler = String(repeating: "word ", count: length / 5)
        begin(number, room.id, .message(text: words(number) + filler), isBurst: isBurst)
    }

    func edit() {
        guard let own = world.pick(ownMessages) else { return }
        let number = world.nextRequestNumber()
        begin(number, own.conversation, .edit(own.seq, text: words(number) + "edited"))
        world.marks.reach(.edited)
    }

    func erase() {
        guard let own = world.pick(ownMessages) else { return }
        ownMessages.removeAll { $0.conversation == own.conversation && $0.seq == own.seq }
        begin(world.nextRequestNumber(), own.conversation, .erase(own.seq))
        world.marks.reach(.erased)
    }

    /// The number of a request and some words to find it by.
    private func words(_ number: UInt64) -> String {
        (0...world.draw(4)).reduce(PlatterLedger.mark(number) + " ") { text, _ in
            text + (world.pick(SearchWords.all) ?? "") + " "
        }
    }

    private func begin(
        _ number: UInt64, _ conversation: ConversationID, _ body: SendRequest.Body,
        isBurst: Bool = false
    ) {
        let request = SendRequest(
            number: number, client: index, user: user,
            cid: ClientMessageID(high: 0x8000 | number << 16, low: world.options.seed),
            conversation: conversation, body: body)
        world.history.begins(request)
        world.searches.begins(request)
        var change = Pending(request: request)
        if isBurst {
            if pending.isEmpty {
                burstCount += 1
                burstAnswers = []
            }
            change.burst = burstCount
        }
        pending[number] = change
        attempt(number)
    }

    // MARK: Tries

    private func attempt(_ number: UInt64) {
        guard var change = pending[number], !change.isUnderWay else { return }
        let isSocket = connection?.isReady == true && (change.burst > 0 || !world.isDrawn(5))
        let member = isSocket ? connection?.member : world.pick(world.serving)
        guard let member else { return attemptLater(number) }
        tryCount += 1
        change.place = tryCount
        change.tries += 1
        change.isUnderWay = true
        if change.tries > 1, change.node != member.number { world.marks.reach(.retriedElsewhere) }
        change.node = isSocket ? 0 : member.number
        pending[number] = change
        world.trace.note(.invoked, UInt64(index), UInt64(member.number), number)
        if isSocket {
            transmit(ClientFrame(id: "\(number)", body: frame(of: change.request)))
            let tries = change.tries
            world.later(ms: 7_000) { [self] in
                guard let open = pending[number], open.isUnderWay, open.tries == tries else {
                    return
                }
                tryFailed(number, isUncertain: true)
            }
        } else {
            submit(change, member)
        }
    }

    private func attemptLater(_ number: UInt64) {
        world.later(ms: 200 + world.around(ms: 500)) { [self] in attempt(number) }
    }

    private func submit(_ change: Pending, _ member: SimulatedMember) {
        let request = changeRequest(change.request)
        let identity = device.identity
        let number = change.request.number
        let tries = change.tries
        world.call(member, timeoutMs: 7_000) { node, answer in
            node.submit(request, by: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<CommandResult>) in
            guard let open = pending[number], open.tries == tries else { return }
            switch outcome {
            case .answer(.success(.sent(let sent))): acknowledged(number, sent)
            case .answer(.success(.refused(let error))), .answer(.failure(let error)):
                refused(number, error)
            case .answer(.success): tryFailed(number, isUncertain: true)
            case .unreachable: tryFailed(number, isUncertain: false)
            case .silence: tryFailed(number, isUncertain: true)
            }
        }
    }

    private func frame(of request: SendRequest) -> ClientFrameBody {
        switch request.body {
        case .message(let text):
            .send(
                .conversation(request.conversation), cid: request.cid,
                content: MessageContent(text: text))
        case .edit(let target, let text):
            .edit(
                request.conversation, target: target, cid: request.cid,
                content: MessageContent(text: text))
        case .erase(let target): .erase(request.conversation, target: target, cid: request.cid)
        }
    }

    private func changeRequest(_ request: SendRequest) -> ChangeRequest {
        switch request.body {
        case .message(let text):
            .send(
                .conversation(request.conversation), cid: request.cid,
                content: MessageContent(text: text))
        case .edit(let target, let text):
            .edit(
                request.conversation, target: target, cid: request.cid,
                content: MessageContent(text: text))
        case .erase(let target): .erase(request.conversation, target: target, cid: request.cid)
        }
    }

    // MARK: Outcomes

    /// `sent` on the socket: the answer, in the place of the entry in the stream.
    func answered(_ sent: Sent, _ id: String?) {
        // A repeat's answer stands outside of the stream.
        if !sent.isDuplicate { session.answered(sent.conversation, sent.seq) }
        guard let number = id.flatMap({ UInt64($0) }), pending[number] != nil else { return }
        acknowledged(number, sent)
    }

    /// An error on the socket.
    func refused(_ error: ServiceError, _ id: String?) {
        if id == "pull" {
            if error.code == .notFound, let gone = pulledConversation { session.left(gone) }
            return pullLater(ms: 300)
        }
        guard let number = id.flatMap({ UInt64($0) }), pending[number]?.isUnderWay == true else {
            return
        }
        refused(number, error)
    }

    private func acknowledged(_ number: UInt64, _ sent: Sent) {
        guard let change = pending.removeValue(forKey: number) else { return }
        world.trace.note(.acknowledged, UInt64(index), UInt64(change.node), number, sent.seq)
        world.history.acknowledged(sent, isFirstTry: change.tries == 1 && world.options.nodes == 1)
        world.searches.acknowledged(sent)
        searchOwn(change.request)
        if sent.isDuplicate { world.marks.reach(.duplicateAnswered) }
        if change.tries == 1 {
            world.checkPlatters(change.request, sent)
            if change.burst > 0, change.node == 0 { checkBurst(change, sent) }
        }
        if case .message = change.request.body {
            ownMessages.append((sent.conversation, sent.seq))
            if ownMessages.count > 20 { ownMessages.removeFirst() }
        }
    }

    /// What one socket sent in order stands in order, unless something had to be tried again.
    private func checkBurst(_ change: Pending, _ sent: Sent) {
        guard change.burst == burstCount else { return }
        for other in burstAnswers where other.change.request.conversation == sent.conversation {
            if (other.change.place < change.place) == (other.seq < sent.seq) { continue }
            world.verdict.fail(
                .order,
                "client \(index): requests \(other.change.request.number), seq \(other.seq), and "
                    + "\(change.request.number), seq \(sent.seq), left one socket the other way")
        }
        burstAnswers.append((change, sent.seq))
    }

    private func refused(_ number: UInt64, _ error: ServiceError) {
        guard let change = pending[number] else { return }
        world.trace.note(.refusedRequest, UInt64(index), UInt64(change.node), number)
        switch error.code {
        case .noQuorum:
            world.marks.reach(.noQuorum)
            tryFailed(number, isUncertain: true)
        case .unavailable, .rateLimited, .internal, .unauthenticated, .quotaExceeded, .readOnly:
            tryFailed(number, isUncertain: false)
        default:
            // For good. What an earlier try may have done is not known then.
            pending[number] = nil
            if change.isUncertain {
                world.history.abandoned(change.request.cid)
            } else {
                world.history.refused(change.request.cid, error.detail)
                world.searches.refused(change.request.cid)
            }
        }
    }

    func tryFailed(_ number: UInt64, isUncertain: Bool) {
        guard pending[number] != nil else { return }
        if isUncertain {
            world.trace.note(.unknownOutcome, UInt64(index), 0, number)
            pending[number]?.isUncertain = true
        }
        pending[number]?.isUnderWay = false
        attemptLater(number)
    }
}
