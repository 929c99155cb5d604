import ChatModel
import MagpieClient
import WireProtocol

/// Reads a replay back, page by page over HTTP, and compares it with the file.
struct Verifier: Sendable {
    let context: LoadContext
    let file: ReplayFile
    let names: Names
    let accounts: Accounts

    /// Compares every conversation: the same texts by the same senders in the same order, nothing
    /// missing, nothing twice, no hole in the seqs. Returns what differs, in the file's order.
    func differences(_ groups: [ConversationID], parallelism: Int) async throws -> [String] {
        let progress = ProgressLine("verified", total: file.conversations.count, context)
        let found = try await Parallel.map(
            Array(file.conversations.indices), parallelism: parallelism
        ) { index in
            let difference = try await difference(file.conversations[index], groups[index])
            progress.advance()
            return difference.map { "conversation \(file.conversations[index].name): \($0)" } ?? ""
        }
        progress.finish()
        return found.filter { !$0.isEmpty }
    }

    private func difference(
        _ conversation: ReplayFile.Conversation, _ group: ConversationID
    ) async throws -> String? {
        let reader = conversation.members[0]
        var seq: EntrySequence = 0
        var number = 0
        while true {
            let after = seq
            let page: PageView
            do {
                let token = accounts[reader].token
                page = try await context.persist {
                    try await $0.page(group, .after(after), token: token).page
                }
            } catch let error as ServiceError {
                return "can't be read after seq \(seq): \(error.code.rawValue): \(error.detail)"
            }
            for entry in page.entries {
                guard entry.seq == seq + 1 else { return "after seq \(seq) comes \(entry.seq)" }
                seq = entry.seq
                switch entry.body {
                case .message(let message):
                    if let problem = compare(message, entry, conversation, number) {
                        return problem
                    }
                    number += 1
                case .membership, .settings: continue
                case .edit, .erase: return "seq \(seq) is a change that nobody made"
                }
            }
            if !page.hasMore { break }
            if page.entries.isEmpty { return "an empty page after seq \(seq) promises more" }
        }
        guard number == conversation.lines.count else {
            return "\(number) messages, but \(conversation.lines.count) were sent"
        }
        return nil
    }

    private func compare(
        _ message: Message, _ entry: Entry, _ conversation: ReplayFile.Conversation, _ number: Int
    ) -> String? {
        guard number < conversation.lines.count else {
            return "seq \(entry.seq) is a message too many"
        }
        let line = conversation.lines[number]
        let what = "message \(number + 1) (seq \(entry.seq))"
        guard entry.cid == names.messageID(conversation.name, number) else {
            return "\(what) has the cid of another message"
        }
        guard entry.from == accounts[line.sender].id else {
            return "\(what) is by \(entry.from), not by \(file.senders[line.sender])"
        }
        // Byte for byte: equal strings may be written differently in Unicode.
        guard message.content.text.utf8.elementsEqual(line.text.utf8) else {
            return "\(what) has another text"
        }
        return nil
    }
}
