import ChatEngine
import ChatModel
import LSMTree
import Testing

/// An engine, its rows, and a clock that a test turns.
struct World {
    var engine: ChatEngine
    var rows = MemoryRows()
    var nowMs: Milliseconds = 1_000_000
    var events: [Event] = []
    let limits: Limits

    init(_ change: (inout Limits) -> Void = { _ in }) {
        var limits = Limits()
        change(&limits)
        self.limits = limits
        engine = ChatEngine(shard: 3, limits: limits)
    }

    var ask: ChatQueries<MemoryRows> { ChatQueries(rows, limits: limits) }

    /// Applies commands as one batch; and once more on an engine without caches, which must come to
    /// the same bytes, results and number of events.
    mutating func run(
        _ commands: [Command], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [CommandResult] {
        let batch = CommandBatch(stampMs: nowMs, commands)
        var replica = ChatEngine(shard: 3, limits: limits)
        let again = try replica.apply(batch, view: rows)
        let applied = try engine.apply(batch, view: rows)
        let bytes = applied.batch.withBytes { [UInt8]($0) }
        #expect(
            bytes == again.batch.withBytes { [UInt8]($0) }, "a replica wrote other bytes",
            sourceLocation: sourceLocation)
        #expect(applied.results == again.results, sourceLocation: sourceLocation)
        #expect(
            applied.events.map { "\(Told($0))" } == again.events.map { "\(Told($0))" },
            sourceLocation: sourceLocation)
        rows.apply(applied.batch)
        events = applied.events
        return applied.results
    }

    @discardableResult
    mutating func run(
        _ command: Command, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CommandResult {
        try #require(try run([command], sourceLocation: sourceLocation).first)
    }

    /// Sends text and gives the answer; fails when it is refused.
    @discardableResult
    mutating func send(
        _ text: String, by user: UserID, to conversation: ConversationID, cid: UInt64? = nil,
        media: [MediaReference] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Sent {
        let author = Author(user: user, cid: cid.map(Make.cid) ?? Make.cid(nowMs))
        nowMs += 1
        let result = try run(
            .send(
                conversation: conversation, peer: nil, by: author,
                content: MessageContent(text: text, media: media)),
            sourceLocation: sourceLocation)
        guard case .sent(let sent) = result else {
            Issue.record("not sent: \(result)", sourceLocation: sourceLocation)
            throw Stop()
        }
        return sent
    }

    /// Founds a group owned by the first.
    mutating func group(_ users: [UserID], number: UInt64 = 1) throws -> ConversationID {
        let conversation = Make.conversation(number)
        try run(
            .createGroup(
                NewGroup(
                    conversation: conversation, creator: users[0],
                    members: Array(users.dropFirst()), title: "group")))
        return conversation
    }

    /// Opens a direct conversation.
    mutating func direct(
        _ user: UserID, _ peer: UserID, number: UInt64 = 2
    ) throws -> ConversationID {
        let conversation = Make.conversation(number)
        try run(.createDirect(conversation: conversation, by: user, peer: peer))
        return conversation
    }

    /// Works off all feeds' work, as a leader would.
    mutating func workOff() throws {
        let all = Slot(rawValue: 0)...Slot(rawValue: 0x3FFF)
        while let conversation = try ask.conversationsWithWork(slots: all, limit: 1).first {
            let work = try #require(try ask.feedWork(of: conversation))
            _ = try run(work.touches.map { .touchFeed(user: $0.user, touch: $0.touch) })
            try run(.clearWork(conversation: conversation, work: .feeds, change: work.change))
        }
    }

    func text(_ conversation: ConversationID, _ seq: EntrySequence, asker: UserID) throws -> String?
    {
        let page = try ask.page(of: conversation, asker: asker, anchor: .around(seq), limit: 1)
        guard case .message(let message)? = page?.entries.first?.body else { return nil }
        return message.content.text
    }

    /// The entries told, with those who hear.
    var told: [(entry: Entry, audience: [UserID])] {
        events.compactMap { event in
            guard case .entry(let entry, let audience) = event else { return nil }
            return (entry, audience.members)
        }
    }
}

struct Stop: Error {}

/// An event as a value that can be compared.
struct Told: CustomStringConvertible {
    let event: Event
    init(_ event: Event) { self.event = event }
    var description: String {
        switch event {
        case .entry(let entry, let audience): "\(entry) \(audience.members)"
        case .mark(let conversation, let user, let delivered, let read, let audience):
            "\(conversation) \(user) \(delivered) \(read) \(audience?.members ?? [])"
        default: "\(event)"
        }
    }
}

/// Identifiers made of small numbers.
enum Make {
    static func user(_ number: UInt64) -> UserID {
        UserID(high: number &* 0x9E37_79B9_7F4A_7C15, low: number)
    }
    static func conversation(_ number: UInt64) -> ConversationID {
        ConversationID(high: number &* 0xC2B2_AE3D_27D4_EB4F, low: number)
    }
    static func cid(_ number: UInt64) -> ClientMessageID {
        ClientMessageID(high: 7, low: number)
    }
    static func device(_ number: UInt64) -> DeviceID { DeviceID(high: 9, low: number) }
    static func blob(_ number: UInt64) -> BlobID { BlobID(high: number << 50, low: number) }
    static func users(_ count: UInt64) -> [UserID] { (1...count).map(user) }
}

extension CommandResult {
    /// The code of a refusal, or nil.
    var code: ErrorCode? {
        guard case .refused(let error) = self else { return nil }
        return error.code
    }
}
