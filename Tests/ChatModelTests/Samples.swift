import ChatModel

/// One of each command and entry, with every optional part both ways.
enum Samples {
    static func id<Kind>(_ number: UInt64) -> Identifier<Kind> {
        Identifier(high: 0x0123_4567_89AB_8000 | number, low: 0x8000_0000_0000_0000 | number)
    }

    static let content = MessageContent(
        text: "Grüße 你好 🐦", replyTo: 7, mentions: [id(1), id(2)],
        media: [
            MediaReference(
                blob: id(3), name: "a.png", type: "image/png", size: 70, width: 1, height: 2),
            MediaReference(blob: id(4), name: "b"),
        ])

    static let commands: [Command] = [
        .createAccount(
            NewAccount(
                user: id(1), name: "anna", displayName: "Anna", credential: [1, 2, 3],
                device: id(2), deviceName: "phone")),
        .openDevice(user: id(1), device: id(2), name: "web"),
        .revokeDevice(user: id(1), device: id(2)),
        .updateProfile(
            user: id(1),
            change: ProfileChange(
                displayName: "A", avatar: "", credential: [9], isLastSeenVisible: false)),
        .updateProfile(user: id(1), change: ProfileChange()),
        .createDirect(conversation: id(5), by: id(1), peer: id(2)),
        .createGroup(
            NewGroup(conversation: id(5), creator: id(1), members: [id(2), id(3)], title: "Vögel")),
        .send(
            conversation: id(5), peer: nil, by: Author(user: id(1), cid: id(6)), content: content),
        .send(
            conversation: id(5), peer: id(2), by: Author(user: id(1), cid: id(6)),
            content: MessageContent(text: "hi")),
        .edit(
            conversation: id(5), by: Author(user: id(1), cid: id(6)), target: 300,
            content: content),
        .erase(conversation: id(5), by: Author(user: id(1), cid: id(6)), target: .max),
        .changeMembers(conversation: id(5), by: id(1), users: [id(2)], role: .admin),
        .changeMembers(conversation: id(5), by: id(1), users: [id(2)], role: nil),
        .setTitle(conversation: id(5), by: id(1), title: "new"),
        .mark(conversation: id(5), user: id(1), delivered: 12, read: 11),
        .touchFeed(
            user: id(1), touch: FeedTouch(conversation: id(5), change: 9, head: 8, m: 7)),
        .touchFeed(
            user: id(1),
            touch: FeedTouch(conversation: id(5), change: 9, head: 8, m: 7, leftSeq: 6)),
        .touchFeed(
            user: id(1),
            touch: FeedTouch(conversation: id(5), change: 9, head: 8, m: 7, isLarge: true)),
        .clearWork(conversation: id(5), work: .feeds, change: 9),
        .registerBlob(
            BlobRecord(
                blob: id(3), contentHash: [UInt8](repeating: 0xAB, count: 32), uploader: id(1),
                type: "image/png", size: 70, width: nil, height: 2)),
        .setLastSeen(user: id(1), atMs: 1_760_000_000_000),
        .setMap(
            ClusterMap(
                epoch: 300,
                nodes: [
                    .init(number: 1, peerAddress: "a:1", url: "https://a"),
                    .init(number: 300, peerAddress: "c:1", url: "", isLeaving: true),
                ])),
    ]

    static let entries: [StoredEntry] = {
        let bodies: [EntryBody] = [
            .message(Message(content: content, revision: 12)),
            .message(Message(content: content, editedAtMs: 99, revision: 13)),
            .message(Message(content: MessageContent(text: ""), isErased: true, revision: 14)),
            .edit(target: 12, content: content),
            .erase(target: 12),
            .membership(user: id(2), change: .removed, role: .owner),
            .settings(title: "new"),
            .settings(title: nil),
        ]
        return bodies.enumerated().map { index, body in
            let entry = Entry(
                conversation: id(5), seq: 12 + UInt64(index), m: 300,
                cid: index % 2 == 0 ? id(6) : nil, from: id(1), atMs: 1_760_000_000_000, body: body)
            return StoredEntry(
                entry: entry, previous: index == 3 ? 11 : 0, edits: index == 1 ? 2 : 0)
        }
    }()
}
