package import ChatModel

/// A change that a client wants: from its first try to its outcome.
package struct SendRequest: Sendable {
    /// Its number in the run.
    package let number: UInt64
    /// Which client.
    package let client: Int
    /// Its user.
    package let user: UserID
    /// The client's id of it.
    package let cid: ClientMessageID
    /// Where.
    package let conversation: ConversationID
    /// What.
    package let body: Body

    /// What is wanted.
    package enum Body: Equatable, Sendable {
        case message(text: String)
        case edit(EntrySequence, text: String)
        case erase(EntrySequence)
    }

    /// A request.
    package init(
        number: UInt64, client: Int, user: UserID, cid: ClientMessageID,
        conversation: ConversationID, body: Body
    ) {
        self.number = number
        self.client = client
        self.user = user
        self.cid = cid
        self.conversation = conversation
        self.body = body
    }
}

/// The history of a run, checked while it happens, in time linear in its length: the seq that the
/// server gives to every entry decides the order, so nothing has to be searched.
///
/// - I3: every observer sees the same entry at a seq; a seq is larger than all that were
///   acknowledged in its conversation before its request began.
/// - I4: a client message id has one place, whatever was tried how often.
/// - I5: what is seen was requested so by its sender, and was never refused for good.
/// - I2: a read holds what was acknowledged before it began; see also ``finish(_:)``.
// Confined to the thread that steps the scheduler.
package final class HistoryChecker: @unchecked Sendable {
    struct Place: Equatable {
        let conversation: ConversationID
        let seq: EntrySequence
    }

    struct Known {
        let request: SendRequest
        /// The largest seq acknowledged in its conversation when it began.
        let floor: EntrySequence
        var place: Place?
        var isAcknowledged = false
        var isRefused = false
        /// Given up: what an early try did is not known.
        var isAbandoned = false
    }

    let verdict: Verdict
    var requests: [ClientMessageID: Known] = [:]
    var ledgers: [ConversationID: Ledger] = [:]
    /// Acknowledged read marks.
    var receipts: [ConversationID: [UserID: EntrySequence]] = [:]
    /// The largest mark that anyone was shown.
    var farthestMarks: [ConversationID: EntrySequence] = [:]
    private(set) var acknowledgedCount = 0
    private(set) var readCount = 0

    /// An empty history.
    package init(verdict: Verdict) {
        self.verdict = verdict
    }

    // MARK: Requests

    /// A request begins: its first try.
    package func begins(_ request: SendRequest) {
        let floor = ledgers[request.conversation]?.acknowledged ?? 0
        requests[request.cid] = Known(request: request, floor: floor)
    }

    /// A try was acknowledged.
    package func acknowledged(_ sent: Sent, isFirstTry: Bool) {
        guard let known = requests[sent.cid] else {
            return verdict.fail(.honesty, "an answer to a request nobody made: cid \(sent.cid)")
        }
        if known.request.conversation != sent.conversation {
            verdict.fail(
                .once,
                "request \(known.request.number) for \(known.request.conversation) was "
                    + "answered for \(sent.conversation)")
        }
        stands(sent.cid, at: Place(conversation: sent.conversation, seq: sent.seq))
        if sent.seq <= known.floor {
            verdict.fail(
                .order,
                "request \(known.request.number) became seq \(sent.seq), but seq "
                    + "\(known.floor) was acknowledged before it began")
        }
        if isFirstTry, sent.isDuplicate {
            verdict.fail(
                .once, "the only try of request \(known.request.number) was answered as a repeat")
        }
        if !known.isAcknowledged { acknowledgedCount += 1 }
        requests[sent.cid]?.isAcknowledged = true
        ledgers[sent.conversation, default: Ledger()].acknowledge(sent.seq)
    }

    /// All tries were refused for good: it must never be seen.
    package func refused(_ cid: ClientMessageID, _ reason: String) {
        guard let known = requests[cid] else { return }
        requests[cid]?.isRefused = true
        if let place = known.place {
            verdict.fail(
                .honesty,
                "request \(known.request.number) was refused (\(reason)) but stands at "
                    + "seq \(place.seq)")
        }
    }

    /// The client gave up without knowing whether it stands.
    package func abandoned(_ cid: ClientMessageID) {
        requests[cid]?.isAbandoned = true
    }

    /// The largest acknowledged seq of a conversation now: a read that begins now shows it.
    package func readBegins(_ conversation: ConversationID) -> EntrySequence {
        ledgers[conversation]?.acknowledged ?? 0
    }

    // MARK: What is seen

    /// Someone saw an entry: live, in a page, or in a list of changes.
    package func saw(_ entry: Entry, by observer: @autoclosure () -> String) {
        if let problem = ledgers[entry.conversation, default: Ledger()].take(entry) {
            verdict.fail(
                .order,
                "seq \(entry.seq) of \(entry.conversation), seen by \(observer()): "
                    + problem)
        }
        guard let cid = entry.cid, requests[cid] != nil || isFromClient(entry) else { return }
        guard let known = requests[cid] else {
            return verdict.fail(
                .honesty,
                "\(observer()) saw seq \(entry.seq) of \(entry.conversation), which "
                    + "nobody asked for")
        }
        if known.request.user != entry.from {
            verdict.fail(
                .honesty,
                "request \(known.request.number) shows another sender at seq "
                    + "\(entry.seq)")
        }
        if known.isRefused {
            verdict.fail(
                .honesty,
                "request \(known.request.number) was refused, but \(observer()) saw it "
                    + "at seq \(entry.seq)")
        }
        stands(cid, at: Place(conversation: entry.conversation, seq: entry.seq))
        checkContent(entry, known.request)
    }

    /// A member's whole newest page, asked for when `floor` was the largest acknowledged seq.
    package func read(
        _ page: PageView, after floor: EntrySequence, by observer: @autoclosure () -> String
    ) {
        readCount += 1
        let last = page.entries.last?.seq ?? 0
        if last < floor {
            verdict.fail(
                .durability,
                "\(observer()) read \(page.conversation) up to seq \(last), but seq "
                    + "\(floor) was acknowledged before")
        }
        saw(page, by: observer())
    }

    /// A page of any kind.
    package func saw(_ page: PageView, by observer: @autoclosure () -> String) {
        var previous: EntrySequence?
        for entry in page.entries {
            if let previous, entry.seq != previous + 1 {
                verdict.fail(
                    .order,
                    "\(observer()): a page of \(page.conversation) goes from seq "
                        + "\(previous) to \(entry.seq)")
            }
            previous = entry.seq
            saw(entry, by: observer())
        }
    }

    private func isFromClient(_ entry: Entry) -> Bool {
        switch entry.body {
        case .message, .edit, .erase: true
        case .membership, .settings: false
        }
    }

    private func stands(_ cid: ClientMessageID, at place: Place) {
        guard let known = requests[cid] else { return }
        if let before = known.place, before != place {
            verdict.fail(
                .once,
                "request \(known.request.number) stands at seq \(before.seq) and at seq "
                    + "\(place.seq) of \(place.conversation)")
        }
        requests[cid]?.place = place
    }

    private func checkContent(_ entry: Entry, _ request: SendRequest) {
        switch (entry.body, request.body) {
        case (.message(let message), .message(let text)):
            // What it became by edits is checked against the whole log at the end.
            if message.revision == entry.seq, !message.isErased, message.content.text != text {
                verdict.fail(
                    .honesty,
                    "seq \(entry.seq) of \(entry.conversation) is not what request "
                        + "\(request.number) sent")
            }
        case (.edit(let target, let content), .edit(let wanted, let text)):
            // Erasing a message empties its edits.
            if target != wanted || (content.text != text && !content.text.isEmpty) {
                verdict.fail(
                    .honesty,
                    "seq \(entry.seq) of \(entry.conversation) is not the edit of "
                        + "request \(request.number)")
            }
        case (.erase(let target), .erase(let wanted)) where target == wanted: break
        default:
            verdict.fail(
                .honesty,
                "seq \(entry.seq) of \(entry.conversation) is another kind of entry "
                    + "than request \(request.number)")
        }
    }
}
