package import ChatModel

/// One client's view over all its sockets and nodes: I6 and I7.
///
/// The client keeps for each conversation the seq up to which nothing is missing. An entry that
/// comes live must follow on it, or a gap must have said that it will not.
package struct SessionChecker {
    struct Stream {
        /// Nothing is missing up to here.
        var whole: EntrySequence = 0
        /// What this socket said would have to be pulled.
        var announced: EntrySequence = 0
        /// The last seq that came live on this socket.
        var streamed: EntrySequence = 0
        /// The largest seq heard of.
        var head: EntrySequence = 0
        var isKnown = false
        /// The client is no member any more; what it may still read ends here.
        var end: EntrySequence?
    }

    struct MarkKey: Hashable {
        let conversation: ConversationID
        let user: UserID
    }

    let client: Int
    let verdict: Verdict
    /// In the order in which the client got to know them.
    private(set) var conversations: [ConversationID] = []
    private var streams: [ConversationID: Stream] = [:]
    private var marks: [MarkKey: MarkView] = [:]
    private var readTo: [ConversationID: EntrySequence] = [:]

    /// A client that knows nothing.
    package init(client: Int, verdict: Verdict) {
        self.client = client
        self.verdict = verdict
    }

    /// Up to where nothing is missing, for a resume.
    package var have: [HaveMark] {
        conversations.compactMap { conversation in
            streams[conversation].map { HaveMark(conversation: conversation, seq: $0.whole) }
        }
    }

    /// Nothing is missing up to here.
    package func whole(_ conversation: ConversationID) -> EntrySequence {
        streams[conversation]?.whole ?? 0
    }

    /// The conversations with something to pull, and what to pull after.
    package var gaps: [(conversation: ConversationID, after: EntrySequence)] {
        conversations.compactMap { conversation in
            guard let stream = streams[conversation] else { return nil }
            guard stream.whole < min(stream.head, stream.end ?? .max) else { return nil }
            return (conversation, stream.whole)
        }
    }

    /// A socket opens: what a former one announced is over.
    package mutating func opens() {
        for conversation in conversations {
            streams[conversation]?.announced = 0
            streams[conversation]?.streamed = 0
        }
    }

    /// A conversation is listed as changed, or the answer to a resume.
    package mutating func changed(_ view: ChangedView) {
        know(view.conversation)
        guard var stream = streams[view.conversation] else { return }
        if !stream.isKnown {
            // What was there before the client came is paged back, not streamed.
            stream.isKnown = true
            stream.whole = view.head
        }
        stream.whole = max(stream.whole, view.floor > 0 ? view.floor - 1 : 0)
        stream.head = max(stream.head, view.head)
        stream.end = view.hasLeft ? view.head : nil
        streams[view.conversation] = stream
        for mark in view.marks { marked(view.conversation, mark) }
    }

    /// An entry, or the answer to one's own, comes live.
    package mutating func streamed(_ conversation: ConversationID, _ seq: EntrySequence) {
        know(conversation)
        guard var stream = streams[conversation] else { return }
        stream.isKnown = true
        if seq <= stream.streamed {
            verdict.fail(
                .streams,
                "client \(client) got seq \(seq) of \(conversation) behind seq "
                    + "\(stream.streamed) on one socket")
        }
        if seq > stream.whole + 1, seq > stream.announced + 1, seq > stream.streamed + 1 {
            verdict.fail(
                .streams,
                "client \(client) got seq \(seq) of \(conversation), has up to "
                    + "\(stream.whole), and no gap was announced")
        }
        stream.streamed = seq
        stream.head = max(stream.head, seq)
        if seq == stream.whole + 1 { stream.whole = seq }
        streams[conversation] = stream
    }

    /// The answer to one's own change stands in the stream in the place of the entry; the answer to
    /// a repeat may come later.
    package mutating func answered(_ conversation: ConversationID, _ seq: EntrySequence) {
        if seq > streams[conversation]?.streamed ?? 0 { streamed(conversation, seq) }
    }

    /// The client became a member with this entry: there is nothing before it.
    package mutating func joined(_ conversation: ConversationID, _ seq: EntrySequence) {
        know(conversation)
        guard var stream = streams[conversation] else { return }
        stream.isKnown = true
        stream.whole = max(stream.whole, seq - 1)
        stream.end = nil
        streams[conversation] = stream
    }

    /// The socket says that entries up to `head` must be pulled.
    package mutating func gap(_ conversation: ConversationID, head: EntrySequence) {
        know(conversation)
        guard var stream = streams[conversation] else { return }
        stream.isKnown = true
        stream.announced = max(stream.announced, head)
        stream.head = max(stream.head, head)
        streams[conversation] = stream
    }

    /// A pulled page after what the client has. False: nothing new.
    package mutating func pulled(_ page: PageView) -> Bool {
        guard var stream = streams[page.conversation] else { return false }
        let before = stream.whole
        if page.floor > stream.whole + 1 { stream.whole = page.floor - 1 }
        for entry in page.entries where entry.seq == stream.whole + 1 { stream.whole = entry.seq }
        if !page.hasMoreAfter { stream.head = min(stream.head, max(stream.whole, before)) }
        streams[page.conversation] = stream
        return stream.whole > before
    }

    /// Up to where the client has read a conversation when it asks again.
    package func readBegins(_ conversation: ConversationID) -> EntrySequence {
        readTo[conversation] ?? 0
    }

    /// The newest page was read: on whatever node, it never ends before what the client had read
    /// when it asked.
    package mutating func read(
        _ conversation: ConversationID, upTo last: EntrySequence, after before: EntrySequence
    ) {
        if last < before {
            verdict.fail(
                .streams,
                "client \(client) read \(conversation) up to seq \(last), and up to "
                    + "\(before) earlier")
        }
        readTo[conversation] = max(readTo[conversation] ?? 0, last)
    }

    /// A member's marks, however they were learnt on the stream.
    package mutating func marked(_ conversation: ConversationID, _ mark: MarkView) {
        if mark.read > mark.delivered {
            verdict.fail(
                .marks,
                "client \(client): \(mark.user) read up to \(mark.read) of "
                    + "\(conversation), delivered is \(mark.delivered)")
        }
        let key = MarkKey(conversation: conversation, user: mark.user)
        let before = marks[key]
        marks[key] = MarkView(
            user: mark.user, delivered: max(before?.delivered ?? 0, mark.delivered),
            read: max(before?.read ?? 0, mark.read))
    }

    /// The client was put out of a conversation: what comes there later is not for it.
    package mutating func left(_ conversation: ConversationID) {
        streams[conversation] = nil
        conversations.removeAll { $0 == conversation }
        readTo[conversation] = nil
    }

    private mutating func know(_ conversation: ConversationID) {
        if streams[conversation] != nil { return }
        streams[conversation] = Stream()
        conversations.append(conversation)
    }
}
