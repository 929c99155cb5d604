import Bytes
import ChatModel
import LSMTree

/// Messages: send, edit, erase, and the memory that makes each happen once.
extension Applier {
    mutating func send(
        _ conversation: ConversationID, peer: UserID?, by author: Author, _ content: MessageContent
    ) throws -> CommandResult {
        let hash = contentHash(conversation, author, operation: 1, target: 0, content)
        if let earlier = try recall(conversation, author, hash) { return .sent(earlier) }
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
        return .sent(remember(author, entry, hash))
    }

    /// An edit gives a message new text and mentions; what it answers and its media stand.
    mutating func edit(
        _ conversation: ConversationID, by author: Author, target: EntrySequence,
        _ content: MessageContent
    ) throws -> CommandResult {
        let hash = contentHash(conversation, author, operation: 2, target: target, content)
        if let earlier = try recall(conversation, author, hash) { return .sent(earlier) }
        var (head, member) = try access(conversation, author.user)
        var (row, message) = try targetMessage(conversation, target, head, member)
        guard row.from == author.user else {
            throw ServiceError(.permissionDenied, "only the sender edits a message")
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
        row.body = .message(message)
        rows.put(.entries, KeySchema.entry(conversation, target), EntryCodec.encode(row))
        noteChange(conversation, &head)
        return .sent(remember(author, entry, hash))
    }

    mutating func erase(
        _ conversation: ConversationID, by author: Author, target: EntrySequence
    ) throws -> CommandResult {
        let nothing = MessageContent(text: "")
        let hash = contentHash(conversation, author, operation: 3, target: target, nothing)
        if let earlier = try recall(conversation, author, hash) { return .sent(earlier) }
        var (head, member) = try access(conversation, author.user)
        var (row, message) = try targetMessage(conversation, target, head, member)
        let isModerator = head.kind == .group && member.role >= .admin
        guard row.from == author.user || isModerator else {
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
        row.body = .message(message)
        rows.put(.entries, KeySchema.entry(conversation, target), EntryCodec.encode(row))
        noteChange(conversation, &head)
        return .sent(remember(author, entry, hash))
    }

    /// The message an edit or erase is about, if the member may read it and it still has content.
    private func targetMessage(
        _ conversation: ConversationID, _ target: EntrySequence, _ head: HeadRow,
        _ member: MemberRow
    ) throws -> (Entry, Message) {
        guard target >= member.floor, target <= head.seq else {
            throw ServiceError(.notFound, "target: no such message")
        }
        let row = try rows.existingEntry(conversation, target).entry
        guard case .message(let message) = row.body else {
            throw ServiceError(.invalidArgument, "target: not a message")
        }
        if message.isErased { throw ServiceError(.gone, "the message was erased") }
        return (row, message)
    }

    /// Empties the edit entries of a message, newest first along their chain. All are read before
    /// the first is written.
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

/// One client message id, one entry.
extension Applier {
    /// The answer to an earlier try, or nil when there was none that counts any more.
    private func recall(
        _ conversation: ConversationID, _ author: Author, _ hash: UInt64
    ) throws -> Sent? {
        let key = KeySchema.dedup(conversation, author)
        guard let row: DedupRow = try rows.row(.dedup, key), row.expiryMs > stampMs else {
            return nil
        }
        guard row.contentHash == hash else {
            throw ServiceError(.conflict, "cid: was used for other content")
        }
        return Sent(
            conversation: conversation, seq: row.seq, m: row.m, atMs: row.atMs, cid: author.cid,
            isDuplicate: true)
    }

    private func remember(_ author: Author, _ entry: Entry, _ hash: UInt64) -> Sent {
        let (expiryMs, isBeyond) = stampMs.addingReportingOverflow(limits.dedupMs)
        let row = DedupRow(
            expiryMs: isBeyond ? .max : expiryMs, seq: entry.seq, m: entry.m, atMs: entry.atMs,
            contentHash: hash)
        rows.put(.dedup, KeySchema.dedup(entry.conversation, author), row)
        return Sent(
            conversation: entry.conversation, seq: entry.seq, m: entry.m, atMs: entry.atMs,
            cid: author.cid, isDuplicate: false)
    }

    /// XXH3 over what the sender chose, seeded by the row's key: equal content under two ids has
    /// two hashes. Media count by id and name; the rest is filled in by the server.
    private func contentHash(
        _ conversation: ConversationID, _ author: Author, operation: UInt8, target: EntrySequence,
        _ content: MessageContent
    ) -> UInt64 {
        var writer = ByteWriter(capacity: content.text.utf8.count + 64)
        writer.write(operation)
        writer.write(varint: target)
        writer.write(text: content.text)
        writer.write(optionalVarint: content.replyTo)
        writer.write(ids: content.mentions)
        for item in content.media {
            writer.write(id: item.blob)
            writer.write(text: item.name)
        }
        let seed = Checksum.xxh3(KeySchema.dedup(conversation, author))
        return Checksum.xxh3(writer.bytes, seed: seed)
    }
}
