import ChatModel
import Foundation
import MagpieClient
import Synchronization
import WireProtocol

/// Sends a file's messages: each conversation in its order, many conversations at once.
final class Replayer: Sendable {
    let context: LoadContext
    let file: ReplayFile
    let names: Names
    let accounts: Accounts

    init(_ context: LoadContext, _ file: ReplayFile, _ names: Names, _ accounts: Accounts) {
        self.context = context
        self.file = file
        self.names = names
        self.accounts = accounts
    }

    /// Makes every conversation a group of its senders; the first sender founds it. Group ids in
    /// the order of the file's conversations.
    func makeGroups(parallelism: Int) async throws -> [ConversationID] {
        let progress = ProgressLine("groups", total: file.conversations.count, context)
        let groups = try await Parallel.map(
            Array(file.conversations.indices), parallelism: parallelism
        ) { index in
            let id = try await self.makeGroup(self.file.conversations[index])
            progress.advance()
            return id
        }
        progress.finish()
        return groups
    }

    private func makeGroup(_ conversation: ReplayFile.Conversation) async throws -> ConversationID {
        let founder = accounts[conversation.members[0]]
        let others = conversation.members.dropFirst().map { accounts[$0].id }
        // A call names at most 1,000 members.
        let first = Array(others.prefix(1_000))
        let body = ConversationBody.group(
            members: first, title: String(conversation.name.prefix(60)),
            cid: names.groupID(conversation.name))
        let group = try await context.persist {
            try await $0.createConversation(body, token: founder.token)
        }
        for user in others.dropFirst(1_000) {
            try await context.persist {
                try await $0.putMember(
                    user, role: .member, in: group.state.conversation, token: founder.token)
            }
        }
        return group.state.conversation
    }

    /// Sends everything. Returns how many messages stood already.
    func send(to groups: [ConversationID], connections: Int) async throws -> Int {
        let pool = SocketPool(context, accounts, connectionsMax: connections)
        let progress = ProgressLine("messages", total: file.messageCount, context)
        let watch = watchProgress(progress)
        let duplicates = Mutex(0)
        // Two connections for each conversation under way: most have few senders at a time.
        let lanes = max(1, min(connections / 2, file.conversations.count))
        // Long conversations first, or the last one would run alone at the end.
        let order = file.conversations.indices.sorted {
            let (left, right) = (file.conversations[$0], file.conversations[$1])
            return left.lines.count != right.lines.count
                ? left.lines.count > right.lines.count : $0 < $1
        }
        _ = try await Parallel.map(order, parallelism: lanes) { index in
            let conversation = self.file.conversations[index]
            for (number, line) in conversation.lines.enumerated() {
                let content = MessageContent(text: line.text)
                let cid = self.names.messageID(conversation.name, number)
                do {
                    let sent = try await self.send(
                        content, cid, to: groups[index], by: line.sender, pool)
                    if sent.isDuplicate { duplicates.withLock { $0 += 1 } }
                } catch let error as ServiceError {
                    throw LoadFailure(
                        """
                        conversation \(conversation.name), message \(number + 1): \
                        \(error.code.rawValue): \(error.detail)
                        """)
                }
                progress.advance()
            }
        }
        watch.cancel()
        progress.finish()
        await pool.closeAll()
        return duplicates.withLock { $0 }
    }

    private func send(
        _ content: MessageContent, _ cid: ClientMessageID, to group: ConversationID,
        by sender: Int, _ pool: SocketPool
    ) async throws -> Sent {
        let start = context.nowMs()
        while true {
            let connection = await pool.acquire(sender)
            do {
                let sent = try await connection.send(content, to: .conversation(group), cid: cid)
                await pool.release(sender)
                return sent
            } catch let error as ServiceError {
                await pool.release(sender)
                // The connection repeats what can be repeated; what comes out here is final for
                // the connection, but not for the message.
                switch error.code {
                case .unauthenticated: try await accounts.signInAgain(sender)
                case .unavailable, .noQuorum, .internal:
                    await context.pause(milliseconds: 200)
                default: throw error
                }
                guard context.nowMs() - start < UInt64(context.giveUpSeconds) * 1_000 else {
                    throw error
                }
            }
        }
    }

    /// Ends the run when nothing moves for as long as `--give-up` says: connections themselves
    /// come back for ever.
    private func watchProgress(_ progress: ProgressLine) -> Task<Void, Never> {
        Task { [context, file] in
            var last = progress.done
            var lastMs = context.nowMs()
            while !Task.isCancelled {
                await context.pause(milliseconds: 500)
                let done = progress.done
                if done != last {
                    last = done
                    lastMs = context.nowMs()
                } else if done < file.messageCount, !Task.isCancelled,
                    context.nowMs() - lastMs > UInt64(context.giveUpSeconds) * 1_000
                {
                    Terminal.error(
                        "magpie-load: nothing was answered for \(context.giveUpSeconds) s; "
                            + "\(done) of \(file.messageCount) messages stand (--give-up)")
                    exit(1)
                }
            }
        }
    }
}
