import ChatModel
import FanOut

/// A conversation whose missing entries are streamed on resume.
struct Tail {
    var conversation: ConversationID
    var after: EntrySequence
    var head: EntrySequence
    var hasLeft: Bool
}

/// How far a resume has come.
///
/// `ready` and `changed` list what changed, as far as the socket takes it; then the tails follow,
/// one conversation at a time; then the live events that waited behind them.
struct ResumeState {
    let authID: String?
    /// The client said where it left off, in this epoch.
    let isResuming: Bool
    let since: FeedPosition
    private var have: [ConversationID: EntrySequence] = [:]
    /// The client's conversations, in its order.
    let haveOrder: [ConversationID]

    /// Listed by the node, not sent yet.
    var views: [ChangedView] = []
    var nextView = 0
    /// Where the next list of changes starts.
    var position: FeedPosition
    var isLastList = false
    /// The feed of `ready`; nil until it is known.
    var readyFeed: FeedPosition?
    var isReadySent = false
    var isAsking = false
    var tails: [Tail] = []
    var nextTail = 0
    private(set) var held: [SharedEvent] = []
    var waitsForRoom = false

    init(_ resume: Resume?, epoch: UInt64, authID: String?) {
        self.authID = authID
        if let resume, resume.epoch == epoch {
            isResuming = true
            since = resume.feed
            for mark in resume.have {
                have[mark.conversation] = max(have[mark.conversation] ?? 0, mark.seq)
            }
            haveOrder = resume.have.map(\.conversation)
        } else {
            isResuming = false
            since = 0
            haveOrder = []
        }
        position = since
    }

    func have(_ conversation: ConversationID) -> EntrySequence? { have[conversation] }

    mutating func hold(_ event: SharedEvent, max: Int) -> Bool {
        guard held.count < max else { return false }
        held.append(event)
        return true
    }
}

extension SessionMachine {
    mutating func beginResume(_ identity: Identity) {
        guard let state = resume else { return }
        for conversation in state.haveOrder {
            guard let seq = state.have(conversation) else { continue }
            streams[conversation].announced = seq
            streams[conversation].streamed = seq
        }
        reconciled = state.since
        resume?.isAsking = true
        ask(.changes(since: state.since, identity), .resumeChanges)
    }

    mutating func tookResumeChanges(_ answer: SessionAnswer) {
        guard var state = resume, let identity else { return }
        guard case .changes(let changes) = answer else {
            failResume(answer)
            return
        }
        state.isAsking = false
        state.views = changes.changed
        state.nextView = 0
        // A list that neither moves on nor is complete would never end.
        guard changes.isComplete || changes.position > state.position else {
            failResume(.failure(ServiceError(.internal, "the list of changes does not move on")))
            return
        }
        state.position = max(state.position, changes.position)
        state.isLastList = changes.isComplete
        if state.readyFeed == nil {
            if state.isLastList {
                state.readyFeed = state.position
            } else {
                // All changes up to the feed's present position will have been listed once
                // `complete` is said: that is what the client may store.
                state.isAsking = true
                ask(.feedPosition(identity), .resumePosition)
            }
        }
        resume = state
    }

    mutating func tookResumePosition(_ answer: SessionAnswer) {
        guard var state = resume else { return }
        guard case .feedPosition(let position) = answer else {
            failResume(answer)
            return
        }
        state.isAsking = false
        state.readyFeed = max(position, state.position)
        resume = state
    }

    private mutating func failResume(_ answer: SessionAnswer) {
        var waitMs = bounds.comeBackMs
        if case .failure(let error) = answer {
            send(.error(error), id: resume?.isReadySent == true ? nil : resume?.authID)
            waitMs = error.retryAfterMs ?? waitMs
            if error.code == .unauthenticated {
                // Signed out between the proof and the ear.
                close(.deviceRevoked)
                return
            }
        }
        close(.internal, waitMs: waitMs)
    }

    /// Goes on with the resume as far as answers and backlog allow.
    mutating func pumpResume() {
        while stage == .resuming, let state = resume, let identity, !state.isAsking {
            guard let feed = state.readyFeed else { return }
            if dropsEphemeral {
                resume?.waitsForRoom = true
                return
            }
            resume?.waitsForRoom = false
            if state.nextView < state.views.count || !state.isReadySent {
                sendViews(feed: feed, identity)
            } else if !state.isLastList {
                resume?.isAsking = true
                ask(.changes(since: state.position, identity), .resumeChanges)
            } else if state.nextTail < state.tails.count {
                let tail = state.tails[state.nextTail]
                resume?.nextTail += 1
                resume?.isAsking = true
                ask(
                    .page(
                        tail.conversation, .after(tail.after), limit: facts.limits.resumeTailMax,
                        identity), .tail(tail))
            } else {
                finishResume()
            }
        }
    }

    /// One `ready` or `changed`: at most 200 conversations and ``SessionLimits/changedBytes``.
    private mutating func sendViews(feed: FeedPosition, _ identity: Identity) {
        guard var state = resume else { return }
        var chunk: [ChangedView] = []
        var bytes = WireSize.small
        while state.nextView < state.views.count, chunk.count < facts.limits.changedMax {
            let view = state.views[state.nextView]
            let size = WireSize.of(view)
            if !chunk.isEmpty, bytes + size > bounds.changedBytes { break }
            chunk.append(view)
            bytes += size
            state.nextView += 1
        }
        let isComplete = state.isLastList && state.nextView == state.views.count
        if state.isReadySent {
            if !chunk.isEmpty || isComplete {
                send(.changed(chunk, isComplete: isComplete), bytes: bytes)
            }
        } else {
            state.isReadySent = true
            let changes = FeedChanges(changed: chunk, position: feed, isComplete: isComplete)
            send(
                .ready(
                    Ready(
                        user: identity.user, device: identity.device, epoch: facts.epoch,
                        changes: changes)), id: state.authID, bytes: bytes)
        }
        if state.nextView == state.views.count {
            state.views = []
            state.nextView = 0
        }
        resume = state
        for view in chunk { place(view) }
    }

    /// Decides how the client gets what it misses of a listed conversation.
    private mutating func place(_ view: ChangedView) {
        guard let state = resume else { return }
        learnMarks(of: view, isSending: false)
        let conversation = view.conversation
        if let have = state.have(conversation) {
            let after = max(have, view.floor > 0 ? view.floor - 1 : 0)
            if view.head <= after {
                streams[conversation].hasLeft = view.hasLeft
            } else if view.head - after <= UInt64(facts.limits.resumeTailMax) {
                resume?.tails.append(
                    Tail(
                        conversation: conversation, after: after, head: view.head,
                        hasLeft: view.hasLeft))
            } else {
                announce(conversation, view.head)
                streams[conversation].hasLeft = view.hasLeft
            }
            return
        }
        if state.isResuming {
            announce(conversation, view.head)
        } else {
            streams[conversation].announced = max(streams[conversation].announced, view.head)
        }
        streams[conversation].hasLeft = view.hasLeft
    }

    mutating func tookTail(_ answer: SessionAnswer, _ tail: Tail) {
        resume?.isAsking = false
        if case .page(let page) = answer {
            var bytes = 0
            for entry in page.entries where entry.seq > streams[tail.conversation].streamed {
                let size = WireSize.of(entry)
                guard bytes + size <= bounds.tailBytes, !isCollapsing else { break }
                let stream = streams[tail.conversation]
                if entry.seq > tail.after + 1, entry.seq - 1 > stream.announced {
                    announce(tail.conversation, entry.seq - 1)
                }
                bytes += size
                send(.entry(entry), bytes: size)
                advance(tail.conversation, to: entry.seq)
            }
        }
        // What was not streamed, for its length or because the node could not read it.
        announce(tail.conversation, tail.head)
        streams[tail.conversation].hasLeft = tail.hasLeft
    }

    private mutating func finishResume() {
        guard let state = resume else { return }
        reconciled = max(reconciled, state.position)
        resume = nil
        stage = .live
        for event in state.held { hear(event) }
        if !isCollapsing {
            for gap in gaps.take(where: { $0.dueMs == nil }) {
                announce(gap.conversation, gap.head)
            }
        }
        releaseAllAnswers()
    }
}
