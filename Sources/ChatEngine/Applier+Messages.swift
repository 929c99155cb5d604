import ChatModel
import LSMTree

/// Messages: send, edit, erase, and the memory that makes each happen once.
extension Applier {
    mutating func send(
        _ conversation: ConversationID, peer: UserID?, by author: Author, _ content: MessageContent
    ) throws -> CommandResult {
        let digest = SendDigest(conversation, author, .send, content)
        if let earlier = try rows.recall(digest, atMs: stampMs) { return .sent(earlier) }
        let isNew = try peer != nil && rows.head(conversation) == nil
        if isNew, let peer {
            try check(content, floor: 1, head: 0)
            try openDirect(conversation, by: author.user, peer: peer)
        }
        var (head, member) = try access(conversation, author.user)
        if !isNew { try check(content, floor: member.floor, head: head.seq) }
        let marks = try rows.marks(conversation, author.user, member)
        let hadReadAll = marks.readM == head.m
        let message = Message(content: content, revision: head.seq + 1)
        let entry = append(
            .message(message), from: author.user, cid: author.cid, to: conversation, &head,
            hears: try audience(conversation))
        if hadReadAll {
            let own = MarkRow(delivered: entry.seq, read: entry.seq, readM: entry.m)
            rows.put(.conversations, KeySchema.marks(conversation, author.user), own)
        }
        for item in content.media {
            rows.put(.media, KeySchema.shown(conversation, item.blob, at: entry.seq), [])
        }
        noteChange(conversation, &head)
        return .sent(remember(digest, entry))
    }

    /// An edit gives a message new text and mentions; what it answers and its media stand.
    mutating func edit(
        _ conversation: ConversationID, by author: Author, target: EntrySequence,
        _ content: MessageContent
    ) throws -> CommandResult {
        let digest = SendDigest(conversation, author, .edit(target), content)
        if let earlier = try rows.recall(digest, atMs: stampMs) { return .sent(earlier) }
        var (head, member) = try access(conversation, author.user)
        var (stored, message) = try targetMessage(conversation, target, head, member)
        guard stored.entry.from == author.user else {
            throw ServiceError(.permissionDenied, "only the sender edits a message")
        }
        guard stored.edits < limits.editsPerMessage else {
            throw ServiceError(
                .conflict, "the message was edited too often, \(stored.edits) times")
        }
        var edited = content
        edited.replyTo = message.content.replyTo
        edited.media = message.content.media
        try check(edited, floor: 1, head: head.seq)
        let entry = append(
            .edit(target: target, content: edited), from: author.user, cid: author.cid,
            to: conversation, &head, hears: try audience(conversation),
            previous: message.revision)
        message.content = edited
        message.editedAtMs = stampMs
        message.revision = entry.seq
        stored.entry.body = .message(message)
        rows.put(
            .entries, KeySchema.entry(conversation, target),
            EntryCodec.encode(stored.entry, edits: stored.edits + 1))
        noteChange(conversation, &head)
        return .sent(remember(digest, entry))
    }

    mutating func erase(
        _ conversation: ConversationID, by author: Author, target: EntrySequence
    ) throws -> CommandResult {
        let nothing = MessageContent(text: "")
        let digest = SendDigest(conversation, author, .erase(target), nothing)
        if let earlier = try rows.recall(digest, atMs: stampMs) { return .sent(earlier) }
        var (head, member) = try access(conversation, author.user)
        var (stored, message) = try targetMessage(conversation, target, head, member)
        let isModerator = head.kind == .group && member.role >= .admin
        guard stored.entry.from == author.user || isModerator else {
            throw ServiceError(.permissionDenied, "only the sender or an admin erases a message")
        }
        try blankEdits(conversation, of: target, newest: message.revision)
        for item in message.content.media {
            rows.delete(.media, KeySchema.shown(conversation, item.blob, at: target))
        }
        let entry = append(
            .erase(target: target), from: author.user, cid: author.cid, to: conversation, &head,
            hears: try audience(conversation))
        message.content = nothing
        message.isErased = true
        message.revision = entry.seq
        stored.entry.body = .message(message)
        rows.put(
            .entries, KeySchema.entry(conversation, target),
            EntryCodec.encode(stored.entry, edits: stored.edits))
        noteChange(conversation, &head)
        return .sent(remember(digest, entry))
    }

    /// The message an edit or erase is about, if the member may read it and it still has content.
    private func targetMessage(
        _ conversation: ConversationID, _ target: EntrySequence, _ head: HeadRow,
        _ member: MemberRow
    ) throws -> (StoredEntry, Message) {
        guard target >= member.floor, target <= head.seq else {
            throw ServiceError(.notFound, "target: no such message")
        }
        let stored = try rows.existingEntry(conversation, target)
        guard case .message(let message) = stored.entry.body else {
            throw ServiceError(.invalidArgument, "target: not a message")
        }
        if message.isErased { throw ServiceError(.gone, "the message was erased") }
        return (stored, message)
    }

    /// Empties the edit entries of a message, newest first along their chain, which
    /// ``Limits/editsPerMessage`` bounds. All are read before the first is written.
    private func blankEdits(
        _ conversation: ConversationID, of target: EntrySequence, newest: EntrySequence
    ) throws {
        var blanked: [(key: [UInt8], value: [UInt8])] = []
        var seq = newest
        while seq != target {
            let stored = try rows.existingEntry(conversation, seq)
            let key = KeySchema.entry(conversation, seq)
            guard case .edit(target, _) = stored.entry.body, stored.previous < seq,
                stored.previous >= target
            else {
                throw EngineError.corruptRow(
                    keyspace: Keyspace.entries.rawValue, key: key,
                    found: "not an edit of entry \(target)")
            }
            var entry = stored.entry
            entry.body = .edit(target: target, content: MessageContent(text: ""))
            blanked.append((key, EntryCodec.encode(entry, previous: stored.previous)))
            seq = stored.previous
        }
        for (key, value) in blanked { rows.put(.entries, key, value) }
    }

    /// The limits of PROTOCOL on what a sender wrote.
    private func check(
        _ content: MessageContent, floor: EntrySequence, head: EntrySequence
    ) throws {
        if content.text.isEmpty, content.media.isEmpty {
            throw ServiceError(.invalidArgument, "text: must not be empty without media")
        }
        if content.text.utf8.count > limits.textBytes {
            throw ServiceError(.tooLarge, "text: more than \(limits.textBytes) bytes")
        }
        if content.mentions.count > limits.mentionsPerMessage {
            throw ServiceError(
                .invalidArgument, "mentions: more than \(limits.mentionsPerMessage)")
        }
        if content.media.count > limits.mediaPerMessage {
            throw ServiceError(.invalidArgument, "media: more than \(limits.mediaPerMessage)")
        }
        for item in content.media where item.name.utf8.count > limits.nameBytes {
            throw ServiceError(
                .invalidArgument, "media: a name of more than \(limits.nameBytes) bytes")
        }
        if let replyTo = content.replyTo, replyTo < floor || replyTo > head {
            throw ServiceError(.invalidArgument, "replyTo: no such entry")
        }
    }
}

extension Applier {
    /// One client message id, one entry: what was sent is known for ``Limits/dedupMs``.
    private func remember(_ digest: SendDigest, _ entry: Entry) -> Sent {
        let (expiryMs, isBeyond) = stampMs.addingReportingOverflow(limits.dedupMs)
        let row = DedupRow(
            expiryMs: isBeyond ? .max : expiryMs, seq: entry.seq, m: entry.m, atMs: entry.atMs,
            contentHash: digest.contentHash)
        rows.put(.dedup, KeySchema.dedup(digest.conversation, digest.author), row)
        return Sent(
            conversation: entry.conversation, seq: entry.seq, m: entry.m, atMs: entry.atMs,
            cid: digest.author.cid, isDuplicate: false)
    }
}
