import ChatEngine
import ChatModel
import Platform

/// Works off the `work` keyspace: a conversation that changed is told to its members' feeds.
///
/// At least once, and idempotent: a touch carries the conversation's change counter and a feed
/// ignores what it has heard; the dirty mark goes once every touch is committed. The marks are
/// rows, so nothing is forgotten by a crash, and what waits here in memory is bounded: above the
/// limit the rows are scanned again once there is room.
///
/// The node that leads a conversation's shard does its work. A new leader scans for what the last
/// one left; when two believe that they lead, both do it, and it is done once.
// Confined to `lane`: every method but `init` and `note` runs there.
final class FeedWorker: @unchecked Sendable {
    enum Input: Sendable {
        case dirty(ConversationID)
        case finished(ConversationID, touches: Int, isDone: Bool)
    }

    /// Changes of one conversation within this time become one touch, and the touches of all
    /// conversations go to the log together: feeds are what clients come back to, live sockets hear
    /// of entries at once.
    private static let coalescing = Duration.milliseconds(100)
    private static let retry = Duration.milliseconds(500)
    /// A busy conversation is told to the feeds this often at most: four commands a message would
    /// otherwise become the price of a lively group.
    private static let restNanoseconds: UInt64 = 500_000_000

    private let node: ChatNode
    private let lane: any Lane
    private var mailbox: Mailbox<Input>?
    private var waiting: [ConversationID] = []
    private var isWaiting: Set<ConversationID> = []
    private var underWay: Set<ConversationID> = []
    /// When conversations were last worked off; those that have rested leave.
    private var workedOff: [ConversationID: UInt64] = [:]
    private var touchesUnderWay = 0
    private var isScheduled = false
    private var mustScan = true
    /// Something found no room since the scan began: it may lie before where the scan has come.
    private var hasMissed = false
    private var hasScanFailed = false
    private var scanned: ConversationID?

    init(node: ChatNode, lane: any Lane) {
        self.node = node
        self.lane = lane
        mailbox = Mailbox(limit: NodeLimits.dirtyConversationsMax, lane: lane) {
            [weak self] inputs in
            self?.take(inputs)
        }
    }

    /// Begins with the work that the last run left behind.
    func start() {
        lane.submit { [self] in schedule(after: .zero) }
    }

    func stop() {
        mailbox?.close()
        lane.stop()
    }

    /// This node leads a shard that it did not lead before: others' work may be left in it.
    func noteLeadership() {
        lane.submit { [self] in
            mustScan = true
            hasMissed = true
            schedule(after: Self.coalescing)
        }
    }

    /// A conversation has work; from any thread. When there is no room the scan finds it later.
    func note(_ conversation: ConversationID) {
        guard isOwn(conversation) else { return }
        if mailbox?.put(.dirty(conversation)) == false {
            lane.submit { [self] in
                mustScan = true
                hasMissed = true
            }
        }
    }

    private func isOwn(_ conversation: ConversationID) -> Bool {
        node.leadership.leads(node.shards.shard(of: conversation.slot))
    }

    private func take(_ inputs: [Input]) {
        for input in inputs {
            switch input {
            case .dirty(let conversation): enqueue(conversation)
            case .finished(let conversation, let touches, let isDone):
                underWay.remove(conversation)
                touchesUnderWay -= touches
                if !isDone { enqueue(conversation) }
            }
        }
        let isOverloaded = inputs.contains { input in
            if case .finished(_, _, isDone: false) = input { true } else { false }
        }
        schedule(after: isOverloaded ? Self.retry : Self.coalescing)
    }

    private func enqueue(_ conversation: ConversationID) {
        guard isOwn(conversation) else { return }
        guard waiting.count < NodeLimits.dirtyConversationsMax else {
            mustScan = true
            hasMissed = true
            return
        }
        if isWaiting.insert(conversation).inserted { waiting.append(conversation) }
    }

    private func schedule(after delay: Duration) {
        guard !isScheduled, !waiting.isEmpty || mustScan else { return }
        isScheduled = true
        lane.submit(after: delay) { [self] in
            isScheduled = false
            run()
        }
    }

    private func run() {
        if mustScan, waiting.count <= NodeLimits.dirtyConversationsMax / 2 { scan() }
        let now = node.seams.clock.monotonicNanoseconds()
        workedOff = workedOff.filter { now < $0.value &+ Self.restNanoseconds }
        var later: [ConversationID] = []
        var areResting = false
        var index = 0
        while index < waiting.count, touchesUnderWay < NodeLimits.touchesInFlightMax {
            let conversation = waiting[index]
            index += 1
            // Its touches are on their way: what changed since waits until they are through.
            if underWay.contains(conversation) {
                later.append(conversation)
            } else if workedOff[conversation] != nil {
                areResting = true
                later.append(conversation)
            } else {
                isWaiting.remove(conversation)
                workedOff[conversation] = now
                workOff(conversation)
            }
        }
        waiting.removeFirst(index)
        waiting.append(contentsOf: later)
        if areResting || mustScan {
            schedule(after: hasScanFailed ? Self.retry : Self.coalescing)
        }
    }

    private func scan() {
        let found = node.attempt {
            try $0.conversationsWithWork(
                slots: Slot(rawValue: 0)...Slot(rawValue: UInt16(Slot.count - 1)),
                after: scanned, limit: NodeLimits.dirtyConversationsMax / 2)
        }
        guard case .success(let conversations) = found else {
            hasScanFailed = true
            return
        }
        hasScanFailed = false
        if scanned == nil { hasMissed = false }
        scanned = conversations.last
        mustScan = !conversations.isEmpty || hasMissed
        for conversation in conversations { enqueue(conversation) }
    }

    private func workOff(_ conversation: ConversationID) {
        let found = node.attempt { try $0.feedWork(of: conversation) }
        if case .failure = found {
            // The rows cannot be read now: the dirty mark stays, the scan comes back to it.
            mailbox?.putCompletion(.finished(conversation, touches: 0, isDone: false))
            return
        }
        guard case .success(let work?) = found else { return }
        underWay.insert(conversation)
        touchesUnderWay += work.touches.count
        let count = work.touches.count
        let tally = Tally(count) { [node, mailbox] isDone in
            let finished = Input.finished(conversation, touches: count, isDone: isDone)
            guard isDone else {
                mailbox?.putCompletion(finished)
                return
            }
            let clear = Command.clearWork(
                conversation: conversation, work: .feeds, change: work.change)
            node.propose(clear) { result in
                let isClear = if case .success = result { true } else { false }
                mailbox?.putCompletion(
                    isClear ? finished : .finished(conversation, touches: count, isDone: false))
            }
        }
        if count == 0 { tally.finish() }
        for touch in work.touches {
            node.propose(.touchFeed(user: touch.user, touch: touch.touch)) { result in
                tally.count(if: { if case .success = result { true } else { false } }())
            }
        }
    }
}
