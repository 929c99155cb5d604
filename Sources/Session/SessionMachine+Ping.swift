import ChatModel

/// The promise of `pong`: every change up to its feed position was said on this socket before.
extension SessionMachine {
    mutating func takePing(id: String?) {
        guard let identity else { return }
        presenceMs = moment.nowMs
        tell(.refreshPresence(isActive: isActive))
        // Until the resume is done, the promise holds for what the client came with.
        guard stage == .live else {
            send(.pong(serverTimeMs: moment.wallMs, feed: reconciled), id: id)
            return
        }
        guard admitsRequest(id: id) else { return }
        waitingPings.append(id)
        guard !isReconciling else { return }
        isReconciling = true
        reconcileCursor = reconciled
        ask(.changes(since: reconciled, identity), .reconcile)
    }

    /// Says what this socket was not told of the changes, then goes on or answers.
    mutating func tookReconciliation(_ answer: SessionAnswer) {
        guard let identity, case .changes(let changes) = answer else {
            if case .failure(let error) = answer, error.code == .unauthenticated {
                // Fan-out may have lost the news that this device was signed out.
                close(.deviceRevoked)
                return
            }
            // The client hears the position that holds, and the next ping tries again.
            answerPings()
            return
        }
        for view in changes.changed {
            if !view.hasLeft { streams[view.conversation].hasLeft = false }
            announce(view.conversation, view.head)
            learnMarks(of: view, isSending: true)
            if view.hasLeft { streams[view.conversation].hasLeft = true }
        }
        // A part of the list proves nothing yet: a conversation that changed below its end may be
        // listed later, by its newer change. Only the whole list moves the promise.
        let isMoving = changes.position > reconcileCursor
        reconcileCursor = max(reconcileCursor, changes.position)
        if changes.isComplete {
            // Collapsed entries are behind the position too: they are said before it is.
            sayAllGaps()
            reconciled = max(reconciled, reconcileCursor)
            answerPings()
        } else if isMoving {
            ask(.changes(since: reconcileCursor, identity), .reconcile)
        } else {
            answerPings()
        }
    }

    private mutating func answerPings() {
        isReconciling = false
        sayAllGaps()
        let ids = waitingPings
        waitingPings = []
        for id in ids { send(.pong(serverTimeMs: moment.wallMs, feed: reconciled), id: id) }
    }

    /// Remembers the marks of a listed conversation; when sending, says those that are news.
    mutating func learnMarks(of view: ChangedView, isSending: Bool) {
        guard let identity else { return }
        let own = MarkView(user: identity.user, delivered: view.delivered, read: view.read)
        for mark in [own] + view.marks where knownMarks.learn(view.conversation, mark) {
            if isSending { send(.mark(view.conversation, mark)) }
        }
    }
}
