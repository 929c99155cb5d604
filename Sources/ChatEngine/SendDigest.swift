import Bytes
import ChatModel

/// What tells a repeated send, edit or erase from another one under the same client message id.
struct SendDigest {
    /// What is asked for; the number goes into the hash.
    enum Operation {
        case send
        case edit(EntrySequence)
        case erase(EntrySequence)

        fileprivate var parts: (number: UInt8, target: EntrySequence) {
            switch self {
            case .send: (1, 0)
            case .edit(let target): (2, target)
            case .erase(let target): (3, target)
            }
        }
    }

    let conversation: ConversationID
    let author: Author
    /// XXH3 over what the sender chose, seeded by the row's key: equal content under two ids has
    /// two hashes. Media count by id and name; the rest is filled in by the server.
    let contentHash: UInt64

    init(
        _ conversation: ConversationID, _ author: Author, _ operation: Operation,
        _ content: MessageContent
    ) {
        self.conversation = conversation
        self.author = author
        let (number, target) = operation.parts
        var writer = ByteWriter(capacity: content.text.utf8.count + 64)
        writer.write(number)
        writer.write(varint: target)
        writer.write(text: content.text)
        writer.write(optionalVarint: content.replyTo)
        writer.write(ids: content.mentions)
        for item in content.media {
            writer.write(id: item.blob)
            writer.write(text: item.name)
        }
        let seed = Checksum.xxh3(KeySchema.dedup(conversation, author))
        contentHash = Checksum.xxh3(writer.bytes, seed: seed)
    }

    /// The digest of a command that carries a client message id; nil for the others.
    init?(_ command: Command) {
        switch command {
        case .send(let conversation, _, let author, let content):
            self.init(conversation, author, .send, content)
        case .edit(let conversation, let author, let target, let content):
            self.init(conversation, author, .edit(target), content)
        case .erase(let conversation, let author, let target):
            self.init(conversation, author, .erase(target), MessageContent(text: ""))
        default: return nil
        }
    }
}

extension RowView {
    /// The answer to an earlier try, or nil when there was none that counts any more at `nowMs`.
    /// Throws `conflict` when the id was used for other content.
    func recall(_ digest: SendDigest, atMs nowMs: Milliseconds) throws -> Sent? {
        let key = KeySchema.dedup(digest.conversation, digest.author)
        guard let row: DedupRow = try row(.dedup, key), row.expiryMs > nowMs else { return nil }
        guard row.contentHash == digest.contentHash else {
            throw ServiceError(.conflict, "cid: was used for other content")
        }
        return Sent(
            conversation: digest.conversation, seq: row.seq, m: row.m, atMs: row.atMs,
            cid: digest.author.cid, isDuplicate: true)
    }
}
