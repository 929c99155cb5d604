import ChatModel
import FanOut

/// What leaves the session, and how much of it the socket bears.
extension SessionMachine {
    /// True above the mark where frames without lasting worth are dropped.
    var dropsEphemeral: Bool { unsentEstimate > facts.limits.ephemeralBacklogBytes }

    /// True above the mark where a conversation's entries become one gap.
    var isCollapsing: Bool { unsentEstimate > facts.limits.collapseBacklogBytes }

    /// True when the reader is too slow to be kept.
    var isStalled: Bool {
        moment.unsentBytes >= facts.limits.closeBacklogBytes
            || moment.unsentBytes > 0
                && moment.nowMs >= moment.progressMs &+ facts.limits.stalledMs
    }

    /// True when something waits for the backlog to fall.
    var waitsForRoom: Bool {
        gaps.hasCollapsed || !waitingReads.isEmpty || (resume?.waitsForRoom ?? false)
    }

    mutating func send(_ frame: ServerFrame, id: String? = nil, bytes: Int = WireSize.small) {
        guard stage != .closed else { return }
        unsentEstimate += bytes
        actions.append(.send(frame, id: id))
    }

    mutating func sendShared(_ event: SharedEvent) {
        guard stage != .closed else { return }
        unsentEstimate += WireSize.of(event.body)
        actions.append(.sendShared(event))
    }

    mutating func refuse(
        _ id: String?, _ code: ErrorCode, _ detail: String, retryAfterMs: Milliseconds? = nil
    ) {
        send(.error(ServiceError(code, detail, retryAfterMs: retryAfterMs)), id: id)
    }

    mutating func ask(_ question: SessionQuestion, _ purpose: Asked) {
        let token = QuestionToken(rawValue: nextToken)
        nextToken &+= 1
        asked[token] = purpose
        actions.append(.ask(question, token))
        if case .submit(let submission) = purpose, submissions[submission.cid] == nil {
            submissions[submission.cid] = token
        }
    }

    mutating func tell(_ notice: SessionNotice) {
        actions.append(.tell(notice))
    }

    /// Says `closing`, leaves the node, closes.
    mutating func close(_ code: CloseCode, waitMs: Milliseconds = 0) {
        guard stage != .closed else { return }
        if code.isResumable { flushMarks() }
        send(.closing(code, waitMs: waitMs))
        if identity != nil { tell(.detach(isClean: !code.isResumable)) }
        actions.append(.close(code, waitMs: waitMs))
        end()
    }

    /// Forgets everything; only the actions already collected remain.
    mutating func end() {
        stage = .closed
        asked = [:]
        submissions = [:]
        streams.removeAll()
        knownMarks.removeAll()
        gaps = PendingGaps()
        heldAnswers = []
        resume = nil
        markRequests = []
        markIDs = []
        markBatches = [:]
        waitingReads = []
        heldPresence = []
        waitingPings = []
    }

    /// One frame out of the client's allowance; refuses the frame when it is used up.
    mutating func admitsFrame(id: String?) -> Bool {
        guard facts.limits.isRateLimited else { return true }
        switch bucket.take(at: moment.nowMs) {
        case .admitted: return true
        case .refused(let retryAfterMs):
            let fits = id.map { $0.utf8.count <= bounds.idBytes } ?? true
            refuse(
                fits ? id : nil, .rateLimited, "too many frames", retryAfterMs: retryAfterMs)
            return false
        case .excessive:
            close(.rateLimited, waitMs: 10_000)
            return false
        }
    }
}

/// A token bucket over a client's frames, in thousandths of a frame.
struct FrameBucket {
    enum Verdict: Equatable {
        case admitted
        case refused(retryAfterMs: Milliseconds)
        case excessive
    }

    private let perMs: UInt64
    private let capacity: UInt64
    private let refusedMax: Int
    private var level: UInt64
    private var filledMs: Milliseconds?
    private var refusedCount = 0

    init(bounds: SessionLimits) {
        perMs = max(1, bounds.framesPerSecond)
        capacity = max(1, bounds.frameBurst) * 1_000
        refusedMax = bounds.refusedFrames
        level = capacity
    }

    mutating func take(at nowMs: Milliseconds) -> Verdict {
        if let filledMs, nowMs > filledMs {
            let (gained, overflow) = (nowMs - filledMs).multipliedReportingOverflow(by: perMs)
            level = overflow || gained >= capacity - level ? capacity : level + gained
        }
        filledMs = max(filledMs ?? nowMs, nowMs)
        if level >= 1_000 {
            level -= 1_000
            if level > capacity / 2 { refusedCount = 0 }
            return .admitted
        }
        refusedCount += 1
        if refusedCount > refusedMax { return .excessive }
        return .refused(retryAfterMs: (1_000 - level) / perMs + 1)
    }
}
