import Bytes
import ChatModel
import Foundation
import Histogram
import MagpieClient
import NIOCore
import NIOPosix
import Platform
import Synchronization
import WireProtocol

/// An open-loop load of groups.
final class ChatLoad: Sendable {
    /// What to do.
    struct Plan: Sendable {
        let users: Int
        let conversations: Int
        let members: Int
        let rate: Int
        let seconds: Int
        let textBytes: Int
        let seed: UInt64

        /// Messages in all.
        var messageCount: Int { rate * seconds }
    }

    /// A group and its members, as indices of accounts.
    private struct Room: Sendable {
        let id: ConversationID
        let members: [Int]
    }

    /// What is counted while it runs.
    private struct Tally: Sendable {
        /// When each message fell due, in nanoseconds, until nobody can ask for it any more.
        var due: [ClientMessageID: UInt64] = [:]
        var sent = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var deliver = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var answered = 0
        var refused = 0
        var firstRefusal: ServiceError?
        var delivered = 0
        /// The last answer or delivery, in nanoseconds.
        var lastNs: UInt64 = 0
    }

    private let plan: Plan
    private let accounts: Accounts
    private let context: LoadContext
    private let rooms: [Room]
    private let tally: Mutex<Tally>
    private let runID: UInt64

    /// Makes the groups.
    init(_ plan: Plan, _ accounts: Accounts, _ context: LoadContext) async throws {
        self.plan = plan
        self.accounts = accounts
        self.context = context
        tally = Mutex(Tally())
        runID = context.random.word()
        let progress = ProgressLine("groups", total: plan.conversations, context)
        let runID = runID
        rooms = try await Parallel.map(Array(0..<plan.conversations), parallelism: 16) { index in
            let members = Self.members(of: index, plan)
            let founder = accounts[members[0]]
            let body = ConversationBody.group(
                members: members.dropFirst().map { accounts[$0].id }, title: "load \(index)",
                cid: Self.cid(runID, 1, UInt64(index)))
            let group = try await context.persist {
                try await $0.createConversation(body, token: founder.token)
            }
            progress.advance()
            return Room(id: group.state.conversation, members: members)
        }
        progress.finish()
    }

    /// A group's members: a random start and step through the users.
    private static func members(of index: Int, _ plan: Plan) -> [Int] {
        var random = SplitMix64(seed: plan.seed &+ SplitMix64.mix(UInt64(index) &+ 1))
        var members: [Int] = []
        var seen: Set<Int> = []
        while members.count < plan.members {
            let user = Int(random.next() % UInt64(plan.users))
            if seen.insert(user).inserted { members.append(user) }
        }
        return members
    }

    private static func cid(_ run: UInt64, _ kind: UInt64, _ index: UInt64) -> ClientMessageID {
        var key = OrderedKey(capacity: 16)
        key.append(SplitMix64.mix(run ^ kind))
        key.append(SplitMix64.mix(SplitMix64.mix(run) &+ index &* 4 &+ kind))
        return ClientMessageID(hash: key.bytes)
    }

    /// Connects, sends, waits for the rest.
    func run() async throws -> ChatResult {
        let connections = try await connect()
        let progress = ProgressLine("messages", total: plan.messageCount, context)
        let startNs = context.clock.monotonicNanoseconds()
        var random = SplitMix64(seed: plan.seed)
        let filler = String(repeating: "x", count: plan.textBytes)
        let content = MessageContent(text: filler)
        var next = 0
        var expected = 0
        while next < plan.messageCount {
            let now = context.clock.monotonicNanoseconds() - startNs
            let dueCount = min(
                plan.messageCount, Int(now / 1_000 * UInt64(plan.rate) / 1_000_000) + 1)
            while next < dueCount {
                let room = rooms[Int(random.next() % UInt64(rooms.count))]
                let sender = room.members[Int(random.next() % UInt64(room.members.count))]
                let cid = Self.cid(runID, 2, UInt64(next))
                let dueNs = startNs + UInt64(next) * 1_000_000_000 / UInt64(plan.rate)
                expected += room.members.count - 1
                post(content, cid, room.id, connections[sender], dueNs, progress)
                next += 1
            }
            await context.pause(milliseconds: 1)
        }
        await drain(expected)
        progress.finish()
        for connection in connections { _ = connection.close() }
        return result(startNs, expected)
    }

    private func post(
        _ content: MessageContent, _ cid: ClientMessageID, _ room: ConversationID,
        _ connection: ClientConnection, _ dueNs: UInt64, _ progress: ProgressLine
    ) {
        tally.withLock { $0.due[cid] = dueNs }
        let change = ClientFrameBody.send(.conversation(room), cid: cid, content: content)
        connection.submit(change).whenComplete { result in
            let now = self.context.clock.monotonicNanoseconds()
            self.tally.withLock { tally in
                switch result {
                case .success:
                    tally.answered += 1
                    tally.lastNs = now
                    _ = tally.sent.record((now - min(now, dueNs)) / 1_000)
                case .failure(let error):
                    tally.refused += 1
                    if tally.firstRefusal == nil { tally.firstRefusal = error as? ServiceError }
                }
            }
            progress.advance()
        }
    }

    /// One live socket for each user.
    private func connect() async throws -> [ClientConnection] {
        let progress = ProgressLine("sockets", total: plan.users, context)
        let connections = try await Parallel.map(
            Array(0..<plan.users), parallelism: 64
        ) { user in
            let loop = self.context.group.next()
            let ready = loop.makePromise(of: Void.self)
            let account = self.accounts[user]
            let connection = ClientConnection(
                addresses: self.context.addresses, token: account.token,
                options: self.context.options, on: loop, random: self.context.random
            ) { event in
                switch event {
                case .connected: ready.succeed(())
                case .stopped(let error): ready.fail(error)
                case .entry(let entry): self.delivered(entry, to: account.id)
                default: break
                }
            }
            connection.start()
            try await ready.futureResult.get()
            // Follow from the start: the first entry after this is the first to be counted.
            progress.advance()
            return connection
        }
        progress.finish()
        return connections
    }

    private func delivered(_ entry: Entry, to user: UserID) {
        guard case .message = entry.body, entry.from != user, let cid = entry.cid else { return }
        let now = context.clock.monotonicNanoseconds()
        tally.withLock { tally in
            guard let dueNs = tally.due[cid] else { return }
            tally.delivered += 1
            tally.lastNs = now
            _ = tally.deliver.record((now - min(now, dueNs)) / 1_000)
        }
    }

    /// Waits until all is answered and delivered, or nothing came for `--give-up`.
    private func drain(_ expected: Int) async {
        var last = -1
        var lastMs = context.nowMs()
        while true {
            let (settled, delivered) = tally.withLock { ($0.answered + $0.refused, $0.delivered) }
            if settled >= plan.messageCount, delivered >= expected { return }
            if settled + delivered != last {
                last = settled + delivered
                lastMs = context.nowMs()
            } else if context.nowMs() - lastMs > UInt64(context.giveUpSeconds) * 1_000 {
                return
            }
            await context.pause(milliseconds: 50)
        }
    }

    private func result(_ startNs: UInt64, _ expected: Int) -> ChatResult {
        tally.withLock { tally in
            let elapsed = Double(max(1, tally.lastNs - min(startNs, tally.lastNs))) / 1e9
            return ChatResult(
                messages: plan.messageCount, answered: tally.answered, refused: tally.refused,
                firstRefusal: tally.firstRefusal.map { "\($0.code.rawValue): \($0.detail)" },
                unanswered: plan.messageCount - tally.answered - tally.refused,
                deliveries: tally.delivered, undelivered: max(0, expected - tally.delivered),
                doubled: max(0, tally.delivered - expected),
                messagesPerSecond: Double(tally.answered) / elapsed,
                deliveriesPerSecond: Double(tally.delivered) / elapsed,
                sent: Latency(tally.sent), deliver: Latency(tally.deliver))
        }
    }
}

/// Percentiles in microseconds.
struct Latency: Sendable, Encodable {
    let p50Us: UInt64
    let p99Us: UInt64
    let p999Us: UInt64
    let maxUs: UInt64

    init(_ histogram: Histogram<UInt64>) {
        p50Us = histogram.valueAtPercentile(50)
        p99Us = histogram.valueAtPercentile(99)
        p999Us = histogram.valueAtPercentile(99.9)
        maxUs = histogram.totalCount == 0 ? 0 : histogram.max
    }

    /// For people.
    var text: String {
        let milliseconds = [p50Us, p99Us, p999Us, maxUs].map { "\(Double($0) / 1_000)" }
        return
            "p50 \(milliseconds[0]) ms, p99 \(milliseconds[1]) ms, "
            + "p99.9 \(milliseconds[2]) ms, max \(milliseconds[3]) ms"
    }
}

/// What came of a load.
struct ChatResult: Sendable, Encodable {
    let messages: Int
    let answered: Int
    let refused: Int
    let firstRefusal: String?
    let unanswered: Int
    let deliveries: Int
    let undelivered: Int
    let doubled: Int
    let messagesPerSecond: Double
    let deliveriesPerSecond: Double
    let sent: Latency
    let deliver: Latency

    /// One line for machines.
    var jsonLine: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    /// For people.
    var text: String {
        let refusals = firstRefusal.map { "\nrefused   \(refused), first: \($0)" } ?? ""
        return """
            messages  \(answered) of \(messages) answered, \(Int(messagesPerSecond.rounded()))/s
            delivered \(deliveries), \(Int(deliveriesPerSecond.rounded()))/s; \(undelivered) missing
            sent      \(sent.text)
            deliver   \(deliver.text)\(refusals)
            """
    }
}
