import Bytes
import ChatModel

/// Identifiers and frames that the tests share.
enum WireSamples {
    static let conversation = ConversationID(
        high: 0x1122_3344_5566_8788, low: 0x99AA_BBCC_DDEE_FF00)
    static let user = UserID(high: 0x0000_0000_0000_8001, low: 0x8000_0000_0000_0001)
    static let peer = UserID(high: 0x0000_0000_0000_8002, low: 0x8000_0000_0000_0002)
    static let device = DeviceID(high: 0x0000_0000_0000_8003, low: 0x8000_0000_0000_0003)
    static let cid = ClientMessageID(high: 0x0102_0304_0506_4708, low: 0x890A_0B0C_0D0E_0F10)
    static let blob = BlobID(high: 0x0000_0000_0000_8005, low: 0x8000_0000_0000_0005)

    static let content = MessageContent(
        text: "hello 你好 🐦", replyTo: 3, mentions: [peer],
        media: [MediaReference(blob: blob, name: "bird.png")])

    /// One client frame of each kind and form.
    static let clientFrames: [ClientFrame] = [
        ClientFrame(id: nil, body: nil),
        ClientFrame(id: "1", body: .auth(.token("t.o.k"), resume: nil)),
        ClientFrame(
            id: "2",
            body: .auth(
                .ticket("one"),
                resume: Resume(
                    epoch: 7, feed: 1 << 60, have: [HaveMark(conversation: conversation, seq: 9)]))
        ),
        ClientFrame(id: "3", body: .send(.conversation(conversation), cid: cid, content: content)),
        ClientFrame(
            id: nil, body: .send(.user(peer), cid: cid, content: MessageContent(text: "hi"))),
        ClientFrame(
            id: "4",
            body: .edit(conversation, target: 5, cid: cid, content: MessageContent(text: "new"))),
        ClientFrame(id: "5", body: .erase(conversation, target: 5, cid: cid)),
        ClientFrame(
            id: "6",
            body: .mark([
                MarkRequest(conversation: conversation, delivered: 0, read: nil),
                MarkRequest(conversation: conversation, delivered: nil, read: .max),
            ])),
        ClientFrame(id: nil, body: .typing(conversation)),
        ClientFrame(id: "7", body: .pull(conversation, .newest, limit: nil)),
        ClientFrame(id: "8", body: .pull(conversation, .before(0), limit: 1)),
        ClientFrame(id: "9", body: .pull(conversation, .after(0), limit: 200)),
        ClientFrame(id: "a", body: .pull(conversation, .around(77), limit: nil)),
        ClientFrame(id: "b", body: .watch(conversations: [conversation], users: [user, peer])),
        ClientFrame(id: "c", body: .unwatch(conversations: [], users: [])),
        ClientFrame(id: "d", body: .activity(isActive: false)),
        ClientFrame(id: "e", body: .activity(isActive: true)),
        ClientFrame(id: "f", body: .ping(feed: nil)),
        ClientFrame(id: "g", body: .ping(feed: 0)),
        ClientFrame(id: "h", body: .search(SearchQuery(text: ""))),
        ClientFrame(id: "i", body: .search(search)),
    ]

    static let search = SearchQuery(
        text: "\"你好 bird\" -x from:ada", conversation: conversation, from: peer,
        beforeMs: 1_700_000_000_001, afterMs: 0, has: Set(SearchHas.allCases), sort: .relevance,
        limit: 100, cursor: "a+/=", utcOffsetMinutes: -210)

    static func entry(_ seq: EntrySequence, _ body: EntryBody, cid: ClientMessageID? = cid) -> Entry
    {
        Entry(
            conversation: conversation, seq: seq, m: seq - 1, cid: cid, from: user,
            atMs: 1_700_000_000_000, body: body)
    }

    static let media = MediaReference(
        blob: blob, name: "bird.png", type: "image/png", size: 1 << 33, width: 4, height: nil)

    static let entries: [Entry] = [
        entry(
            2,
            .message(
                Message(
                    content: MessageContent(
                        text: "hello", replyTo: 1, mentions: [peer], media: [media]),
                    editedAtMs: 5, isErased: false, revision: 4))),
        entry(3, .message(Message(content: MessageContent(text: ""), isErased: true, revision: 9))),
        entry(4, .edit(target: 2, content: MessageContent(text: "hullo", media: [media]))),
        entry(5, .erase(target: 3)),
        entry(1, .membership(user: peer, change: .joined, role: .owner), cid: nil),
        entry(6, .settings(title: ""), cid: nil),
        entry(7, .settings(title: nil), cid: nil),
    ]

    static let changed = ChangedView(
        conversation: conversation, head: 7, m: 2, floor: 1, unread: 0, delivered: 7, read: 0,
        marks: [MarkView(user: peer, delivered: 0, read: 0)], last: entries[3], hasLeft: false)

    static let page = PageView(
        conversation: conversation, entries: entries, hasMore: true, hasMoreBefore: true,
        hasMoreAfter: false, floor: 1)

    static let results = SearchView(
        hits: [
            SearchHitView(
                entry: entries[0], snippet: "🐦 hello",
                highlights: [TextSpan(start: 0, length: 2), TextSpan(start: 3, length: 5)]),
            SearchHitView(
                entry: entry(
                    8, .message(Message(content: MessageContent(text: "hi"), revision: 8))),
                snippet: "", highlights: []),
        ], cursor: "next", atLeast: 3, isPartial: true, isIndexing: false,
        isSealedNotSearched: false)
    static let noResults = SearchView(
        hits: [], cursor: nil, atLeast: 0, isPartial: false, isIndexing: true,
        isSealedNotSearched: true)

    static let conversationView = ConversationView(
        kind: .group, title: "three", memberCount: 3,
        members: [MemberView(user: user, role: .owner, joinedSeq: 1)], role: .owner,
        state: changed, lastAtMs: 1_700_000_000_000)

    static let sent = Sent(
        conversation: conversation, seq: 2, m: 1, atMs: 1_700_000_000_000, cid: cid,
        isDuplicate: false)

    static var hello: Hello {
        Hello(
            version: 1, node: "n1", serverTimeMs: 1_700_000_000_000, heartbeatSeconds: 45,
            limits: Limits())
    }

    /// One server frame of each kind, and one entry frame of each kind of entry.
    static var serverFrames: [ServerFrame] {
        var frames: [ServerFrame] = [
            .hello(hello),
            .ready(
                Ready(
                    user: user, device: device, epoch: 1,
                    changes: FeedChanges(changed: [changed], position: 12, isComplete: false))),
            .changed([changed], isComplete: true),
            .sent(sent),
            .gap(conversation, head: 9),
            .mark(conversation, MarkView(user: peer, delivered: 5, read: 0)),
            .typing(conversation, peer),
            .presence(PresenceView(user: peer, state: .online, lastSeenMs: nil)),
            .presence(PresenceView(user: peer, state: .offline, lastSeenMs: 5)),
            .page(page),
            .results(results),
            .results(noResults),
            .pong(serverTimeMs: 1, feed: 0),
            .done,
            .error(ServiceError(.rateLimited, "slow down", retryAfterMs: 900)),
            .error(ServiceError(.conflict, "cid: used for another message")),
            .closing(.drain, waitMs: 250),
            .closing(.deviceRevoked, waitMs: 0),
        ]
        frames += entries.map(ServerFrame.entry)
        return frames
    }
}

/// Links that are easy to recognise.
struct SampleLinks: MediaLinks {
    func url(for blob: BlobID) -> String { "/media/\(blob)?s=1" }
}
