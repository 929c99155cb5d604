import ChatModel
import FanOut

/// What fan-out delivers, put into each conversation's stream.
extension SessionMachine {
    mutating func hear(_ event: SharedEvent) {
        switch event.body {
        case .deviceRevoked(let device):
            if identity?.device == device { close(.deviceRevoked) }
            return
        case .accountDisabled(let user):
            if identity?.user == user { close(.accountDisabled) }
            return
        case .closed(let code):
            close(code, waitMs: code.isResumable ? bounds.crowdedMs : 0)
            return
        default: break
        }
        guard let identity else { return }
        if stage == .resuming {
            hold(event)
            return
        }
        guard stage == .live else { return }
        switch event.body {
        case .entry(let entry): hear(entry, event, identity)
        case .mark(let conversation, let mark): hear(mark, in: conversation, event)
        case .feed(let feed): hear(feed)
        case .typing: if !dropsEphemeral { sendShared(event) }
        case .presence:
            if watchesInFlight > 0, heldPresence.count < bounds.heldPresence {
                heldPresence.append(event)
            } else if !dropsEphemeral {
                sendShared(event)
            }
        case .deviceRevoked, .accountDisabled, .closed: break
        }
    }

    /// During a resume durable events wait; what finds no room becomes a gap.
    private mutating func hold(_ event: SharedEvent) {
        switch event.body {
        case .entry(let entry):
            let isOverflowing = gaps[entry.conversation].map { $0.dueMs == nil } ?? false
            if !isOverflowing, resume?.hold(event, max: bounds.heldEvents) == true { return }
            collapse(entry)
        case .mark: _ = resume?.hold(event, max: bounds.heldEvents)
        case .feed(let feed): hear(feed)
        case .typing, .presence, .deviceRevoked, .accountDisabled, .closed: break
        }
    }

    private mutating func hear(_ entry: Entry, _ event: SharedEvent, _ identity: Identity) {
        let conversation = entry.conversation
        var stream = streams[conversation]
        guard entry.seq > stream.streamed else { return }
        let ownChange = Self.ownMembership(entry, identity.user)
        if stream.hasLeft {
            guard ownChange == .joined else { return }
            stream.hasLeft = false
            stream.announced = max(stream.announced, entry.seq &- 1)
            streams[conversation] = stream
        }
        if isCollapsing {
            collapse(entry)
        } else {
            // A newcomer reads from the entry that made them a member: nothing is missing before.
            if ownChange != .joined || stream.announced != 0 {
                closeHole(conversation, below: entry.seq)
            }
            if let index = heldAnswers.firstIndex(where: {
                $0.sent.conversation == conversation && $0.sent.seq == entry.seq
            }) {
                let held = heldAnswers.remove(at: index)
                send(.sent(held.sent), id: held.id)
            } else if let submission = takeSubmission(of: entry, identity) {
                send(.sent(Self.sent(for: entry, submission.cid)), id: submission.id)
            } else {
                sendShared(event)
            }
            advance(conversation, to: entry.seq)
        }
        if ownChange == .left || ownChange == .removed { leave(conversation) }
        releaseAnswers(in: conversation)
    }

    /// The entry is not streamed: its conversation's news wait as one gap.
    private mutating func collapse(_ entry: Entry) {
        guard hasRoomForGap() else { return }
        gaps.raise(entry.conversation, to: entry.seq, dueMs: nil)
    }

    /// Makes room by saying what waits. Before `ready` nothing can be said: then the news are
    /// dropped, and the next ping's reconciliation finds them.
    private mutating func hasRoomForGap() -> Bool {
        if gaps.count < bounds.gaps { return true }
        guard stage == .live else { return false }
        sayAllGaps()
        return true
    }

    private mutating func hear(
        _ mark: MarkView, in conversation: ConversationID, _ event: SharedEvent
    ) {
        // What is dropped here, the next ping's reconciliation repeats.
        guard !isCollapsing, !streams[conversation].hasLeft else { return }
        if knownMarks.learn(conversation, mark) { sendShared(event) }
    }

    /// The feed says that the user may read up to `head`: if the entries do not come soon, the
    /// fan-out has dropped them.
    private mutating func hear(_ feed: FeedEvent) {
        let head = feed.leftSeq ?? feed.head
        let stream = streams[feed.conversation]
        guard head > stream.announced, !stream.hasLeft else { return }
        if let waiting = gaps[feed.conversation], waiting.head >= head { return }
        guard hasRoomForGap() else { return }
        gaps.raise(feed.conversation, to: head, dueMs: moment.nowMs &+ bounds.reorderMs)
    }

    private static func ownMembership(_ entry: Entry, _ user: UserID) -> MembershipChange? {
        guard case .membership(let member, let change, _) = entry.body, member == user else {
            return nil
        }
        return change
    }

    private mutating func leave(_ conversation: ConversationID) {
        streams[conversation].hasLeft = true
        guard let gap = gaps[conversation], gap.head <= streams[conversation].announced else {
            return
        }
        gaps.remove(conversation)
    }

    // MARK: Gaps

    /// Rule 2: what lies between the announced and the next entry is said to be missing.
    private mutating func closeHole(_ conversation: ConversationID, below seq: EntrySequence) {
        guard seq > 1, seq - 1 > streams[conversation].announced else { return }
        announce(conversation, seq - 1)
    }

    /// Says a gap, unless the client knows of the head already.
    mutating func announce(_ conversation: ConversationID, _ head: EntrySequence) {
        var stream = streams[conversation]
        guard head > stream.announced else { return }
        stream.announced = head
        streams[conversation] = stream
        send(.gap(conversation, head: head))
    }

    mutating func advance(_ conversation: ConversationID, to seq: EntrySequence) {
        var stream = streams[conversation]
        stream.streamed = max(stream.streamed, seq)
        stream.announced = max(stream.announced, seq)
        streams[conversation] = stream
    }

    mutating func flushDueGaps() {
        guard stage == .live, let due = gaps.earliestDueMs, moment.nowMs >= due else { return }
        let now = moment.nowMs
        for gap in gaps.take(where: { $0.dueMs.map { now >= $0 } ?? false }) {
            announce(gap.conversation, gap.head)
        }
    }

    /// Before a pong, and when the table is full, whatever the backlog: gaps are small.
    mutating func sayAllGaps() {
        for gap in gaps.take(where: { _ in true }) { announce(gap.conversation, gap.head) }
    }

    // MARK: Answers in the stream

    /// Finds the waiting request that this entry fulfils, and closes it.
    private mutating func takeSubmission(of entry: Entry, _ identity: Identity) -> Submission? {
        guard entry.from == identity.user, let cid = entry.cid, let token = submissions[cid],
            case .submit(let submission) = asked[token],
            submission.conversation == nil || submission.conversation == entry.conversation
        else { return nil }
        submissions[cid] = nil
        asked[token] = .answeredSubmit
        return submission
    }

    private static func sent(for entry: Entry, _ cid: ClientMessageID) -> Sent {
        Sent(
            conversation: entry.conversation, seq: entry.seq, m: entry.m, atMs: entry.atMs,
            cid: cid, isDuplicate: false)
    }

    /// Sends an answer at its place in the stream: at once when it is next, in the place of its
    /// own entry when that has still to come, after `reorderMs` behind a gap when it never comes.
    mutating func answerInOrder(_ sent: Sent, id: String?) {
        guard !sent.isDuplicate else {
            send(.sent(sent), id: id)
            return
        }
        let stream = streams[sent.conversation]
        if stage == .live, sent.seq <= stream.streamed {
            // Its entry was lost by fan-out and the stream has passed it behind a gap: the client
            // must not count it for contiguity, and that is what `duplicate` says.
            var late = sent
            late.isDuplicate = true
            send(.sent(late), id: id)
            return
        }
        let collapsed = gaps[sent.conversation].map { $0.dueMs == nil } ?? false
        if stage == .live, sent.seq <= stream.announced &+ 1 || collapsed {
            sendAnswer(sent, id: id)
            releaseAnswers(in: sent.conversation)
            return
        }
        let due = moment.nowMs &+ bounds.reorderMs
        heldAnswers.append(HeldAnswer(sent: sent, id: id, dueMs: due))
    }

    private mutating func sendAnswer(_ sent: Sent, id: String?) {
        closeHole(sent.conversation, below: sent.seq)
        send(.sent(sent), id: id)
        advance(sent.conversation, to: sent.seq)
    }

    /// Answers that have become next in their conversation go out.
    private mutating func releaseAnswers(in conversation: ConversationID) {
        while let index = heldAnswers.firstIndex(where: {
            $0.sent.conversation == conversation
                && $0.sent.seq <= streams[conversation].announced &+ 1
        }) {
            let held = heldAnswers.remove(at: index)
            answerInOrder(held.sent, id: held.id)
        }
    }

    /// After a resume: each held answer takes its place.
    mutating func releaseAllAnswers() {
        let held = heldAnswers
        heldAnswers = []
        for answer in held.sorted(by: { $0.sent.seq < $1.sent.seq }) {
            answerInOrder(answer.sent, id: answer.id)
        }
    }

    mutating func flushDueAnswers() {
        guard stage == .live, !heldAnswers.isEmpty else { return }
        let now = moment.nowMs
        let due = heldAnswers.filter { now >= $0.dueMs }
        guard !due.isEmpty else { return }
        heldAnswers.removeAll { now >= $0.dueMs }
        for answer in due.sorted(by: { $0.sent.seq < $1.sent.seq }) {
            let stream = streams[answer.sent.conversation]
            if answer.sent.seq <= stream.streamed {
                answerInOrder(answer.sent, id: answer.id)
            } else {
                sendAnswer(answer.sent, id: answer.id)
            }
        }
    }
}
