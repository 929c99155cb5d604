internal import ChatModel

extension ClientCore {
    /// A frame from the server. `id` is that of the frame it answers.
    mutating func received(_ frame: ServerFrame, id: String?) -> [Action] {
        heardSinceHeartbeat = true
        switch (phase, frame) {
        case (.opening, .hello(let hello)): return greet(hello)
        case (.proving, .ready(let ready)): return letIn(ready)
        case (.proving, .error(let error)): return refused(error)
        case (_, .closing(_, let waitMs)):
            announcedWait = .milliseconds(Int64(clamping: min(waitMs, 600_000)))
            return []
        case (.live, _): return live(frame, id: id)
        default: return []
        }
    }

    private mutating func greet(_ hello: Hello) -> [Action] {
        guard hello.version == 1 else {
            return stop(ServiceError(.invalidArgument, "the server speaks another version"))
                + [.close(isClean: true)]
        }
        phase = .proving
        heartbeat = .seconds(Int64(clamping: max(1, min(hello.heartbeatSeconds, 3_600))))
        var resume: Resume?
        if let serverEpoch {
            let recent = followed.sorted {
                ($1.value.touched, $1.key) < ($0.value.touched, $0.key)
            }
            for (index, item) in recent.enumerated() {
                followed[item.key]?.isResumed = index < options.haveMax
            }
            let have = recent.prefix(options.haveMax).map {
                HaveMark(conversation: $0.key, seq: $0.value.seq)
            }
            resume = Resume(epoch: serverEpoch, feed: feed, have: have)
        }
        return [ask(.auth(.token(token), resume: resume), .auth)]
    }

    private mutating func refused(_ error: ServiceError) -> [Action] {
        switch error.code {
        case .unavailable, .internal, .noQuorum, .rateLimited:
            announcedWait = .milliseconds(Int64(clamping: min(error.retryAfterMs ?? 0, 600_000)))
            return [.close(isClean: true)]
                + socketLost(reason: error.detail, closeCode: nil)
        default:
            return stop(error) + [.close(isClean: true)]
        }
    }

    private mutating func letIn(_ ready: Ready) -> [Action] {
        phase = .live
        backoff.reset()
        heardSinceHeartbeat = true
        silentHeartbeats = 0
        var actions: [Action] = [.emit(.connected(user: ready.user, epoch: ready.epoch))]
        if let known = serverEpoch, known != ready.epoch {
            followed = [:]
            feed = 0
            actions.append(.emit(.epochChanged(ready.epoch)))
        }
        serverEpoch = ready.epoch
        pendingFeed = ready.changes.position
        isCaughtUp = false
        actions += changed(ready.changes.changed, isComplete: ready.changes.isComplete)
        actions.append(.schedule(.heartbeat(epoch: socketEpoch), after: heartbeat * 3 / 4))
        return actions + pumpAll()
    }

    private mutating func changed(_ views: [ChangedView], isComplete: Bool) -> [Action] {
        var actions: [Action] = []
        for view in views {
            actions.append(.emit(.changed(view)))
            if view.hasLeft {
                followed[view.conversation] = nil
            } else if var known = followed[view.conversation] {
                known.seq = max(known.seq, view.floor > 0 ? view.floor - 1 : 0)
                followed[view.conversation] = known
                // What the resume named is streamed or said to be a gap; the rest is pulled.
                if !known.isResumed, view.head > known.seq {
                    actions += pullHole(view.conversation, head: view.head)
                }
            }
        }
        if isComplete {
            feed = max(feed, pendingFeed)
            isCaughtUp = true
        }
        return actions
    }

    private mutating func live(_ frame: ServerFrame, id: String?) -> [Action] {
        if let id, let number = UInt64(id) {
            if outbox[number] != nil { return changeAnswered(number, frame) }
            guard let question = questions.removeValue(forKey: number) else { return [] }
            return answered(number, question, frame)
        }
        switch frame {
        case .changed(let views, let isComplete): return changed(views, isComplete: isComplete)
        case .entry(let entry):
            return advance(entry.conversation, to: entry.seq, entry: entry)
        case .gap(let conversation, let head):
            guard followed[conversation] != nil else { return [] }
            return pullHole(conversation, head: head)
        case .mark(let conversation, let mark): return [.emit(.mark(conversation, mark))]
        case .typing(let conversation, let user): return [.emit(.typing(conversation, user))]
        case .presence(let presence): return [.emit(.presence(presence))]
        default: return []
        }
    }

    private mutating func answered(
        _ number: UInt64, _ question: Question, _ frame: ServerFrame
    ) -> [Action] {
        switch question {
        case .auth: return []
        case .ping:
            if case .pong(_, let position) = frame, isCaughtUp { feed = max(feed, position) }
            return []
        case .owner:
            if case .error(let error) = frame { return [.answer(number, .failure(error))] }
            return [.answer(number, .success(frame))]
        case .hole(let conversation):
            guard case .page(let page) = frame else {
                // Refused: the next entry or resume tries again.
                followed[conversation]?.isPulling = false
                return []
            }
            return filled(conversation, page)
        }
    }

    // MARK: Contiguity

    /// Follow a conversation from `seq` on: what comes after it is delivered without holes.
    mutating func follow(_ conversation: ConversationID, from seq: EntrySequence) {
        touches += 1
        followed[conversation] = Followed(seq: seq, touched: touches)
    }

    /// An entry or an own send stands at `seq`. A conversation that is new to the client is
    /// followed from here.
    mutating func advance(
        _ conversation: ConversationID, to seq: EntrySequence, entry: Entry?
    ) -> [Action] {
        touches += 1
        let deliver: [Action] = entry.map { [.emit(.entry($0))] } ?? []
        guard var known = followed[conversation] else {
            followed[conversation] = Followed(seq: seq, head: seq, touched: touches)
            return deliver
        }
        known.touched = touches
        known.head = max(known.head, seq)
        defer { if followed[conversation] != nil { followed[conversation]?.touched = touches } }
        guard seq > known.seq else {
            followed[conversation] = known
            return []
        }
        guard seq == known.seq + 1 else {
            followed[conversation] = known
            return pullHole(conversation, head: seq)
        }
        known.seq = seq
        followed[conversation] = known
        return deliver
    }

    /// Asks for what follows the contiguous part, unless that is under way.
    private mutating func pullHole(
        _ conversation: ConversationID, head: EntrySequence
    ) -> [Action] {
        guard var known = followed[conversation] else { return [] }
        known.head = max(known.head, head)
        guard !known.isPulling, known.head > known.seq else {
            followed[conversation] = known
            return []
        }
        known.isPulling = true
        followed[conversation] = known
        return [ask(.pull(conversation, .after(known.seq), limit: 200), .hole(conversation))]
    }

    private mutating func filled(
        _ conversation: ConversationID, _ page: PageView
    ) -> [Action] {
        guard var known = followed[conversation] else { return [] }
        known.isPulling = false
        if page.floor > known.seq + 1 { known.seq = page.floor - 1 }
        var actions: [Action] = []
        let before = known.seq
        for entry in page.entries where entry.seq == known.seq + 1 {
            known.seq = entry.seq
            actions.append(.emit(.entry(entry)))
        }
        followed[conversation] = known
        // A page that brings nothing would be asked for again without end.
        let hasMoved = known.seq > before
        guard hasMoved, known.seq < known.head || page.hasMoreAfter else { return actions }
        return actions + pullHole(conversation, head: max(known.head, known.seq + 1))
    }
}
