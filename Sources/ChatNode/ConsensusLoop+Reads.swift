import ChatModel
import RaftCore
import Replication

/// A read that must show everything acknowledged before it was asked for, in some shards.
///
/// Each shard's leader confirms that it still leads and says how far it has committed; when this
/// node has applied that much, the rows here will do. So reads enter no log, and every node answers
/// them from its own rows.
struct ReadBarrier: Sendable {
    /// Shards whose rows are looked at, each once.
    let shards: [GroupID]
    /// Called once on the consensus lane: nil when the rows here will do.
    let done: @Sendable (ServiceError?) -> Void
}

/// Reads that wait. Those of one shard are asked for together, one question at a time: while one is
/// under way the next gathers.
struct ReadDesk {
    struct Waiting {
        var shardsLeft: Int
        let deadline: UInt64
        let done: @Sendable (ServiceError?) -> Void
    }

    struct Shard {
        /// Reads to be asked for.
        var next: [UInt64] = []
        /// Reads of the question under way.
        var asked: [UInt64] = []
        /// When the question under way is put again.
        var deadline: UInt64 = 0
        /// The position to be granted, when the shard is led here.
        var position: UInt64?
        /// Confirmed reads that wait for rows to be applied, by ascending index.
        var confirmed: [(index: LogIndex, reads: [UInt64])] = []
        /// The last question failed: it waits for the next tick.
        var mustPause = false

        /// Reads may be answered once rows hold everything up to `index`. What a leader confirms
        /// later is not less.
        mutating func confirm(_ index: LogIndex, _ reads: [UInt64]) {
            let last = confirmed.count - 1
            if last >= 0, confirmed[last].index >= index {
                confirmed[last].reads += reads
            } else {
                confirmed.append((index, reads))
            }
        }

        mutating func takeConfirmed(through index: LogIndex) -> [UInt64] {
            let count = confirmed.prefix { $0.index <= index }.count
            if count == 0 { return [] }
            defer { confirmed.removeFirst(count) }
            return confirmed[..<count].flatMap(\.reads)
        }
    }

    /// Another node's question about a shard led here.
    struct Asked {
        let node: NodeNumber
        let request: UInt64
        let shard: GroupID
        let position: UInt64
    }

    var waiting: [UInt64: Waiting] = [:]
    /// In the order in which they give up.
    var deadlines: [(tick: UInt64, read: UInt64)] = []
    var shards: [GroupID: Shard] = [:]
    /// Shards with reads to be asked for.
    var due: [GroupID] = []
    var asked: [Asked] = []
    /// Questions to other nodes.
    var requests: [UInt64: [GroupID]] = [:]
    var nextRead: UInt64 = 0
    var nextRequest: UInt64 = 0
}

extension ConsensusLoop {
    /// Opens a read.
    func open(_ barrier: ReadBarrier) {
        guard reads.waiting.count < ClusterLimits.readsMax, !isStopped else {
            return barrier.done(isStopped ? Self.stopping : ChatNode.overloaded)
        }
        if barrier.shards.isEmpty { return barrier.done(nil) }
        reads.nextRead += 1
        let read = reads.nextRead
        let deadline = tickCount + ClusterLimits.readTicks
        reads.waiting[read] = ReadDesk.Waiting(
            shardsLeft: barrier.shards.count, deadline: deadline, done: barrier.done)
        reads.deadlines.append((deadline, read))
        for shard in barrier.shards { queue(read, shard) }
    }

    private func queue(_ read: UInt64, _ shard: GroupID) {
        if reads.shards[shard, default: .init()].next.isEmpty { reads.due.append(shard) }
        reads.shards[shard, default: .init()].next.append(read)
    }

    /// Asks what is due: leaders here directly, all shards led by one node in one frame. True when
    /// a leader here was asked.
    func askReads() -> Bool {
        if reads.due.isEmpty { return false }
        var didAsk = false
        var toNodes: [NodeNumber: [GroupID]] = [:]
        var later: [GroupID] = []
        for shard in reads.due {
            guard var state = reads.shards[shard], !state.next.isEmpty else { continue }
            guard state.asked.isEmpty, !state.mustPause else {
                later.append(shard)
                continue
            }
            if replicator.isLeading(shard) {
                guard case .waiting(let position) = replicator.requestRead(shard) else {
                    later.append(shard)
                    continue
                }
                state.position = position
                didAsk = true
            } else if let node = leaderNode(of: shard) {
                toNodes[node, default: []].append(shard)
                state.position = nil
            } else {
                later.append(shard)
                continue
            }
            state.asked = state.next
            state.next = []
            state.deadline = tickCount + ClusterLimits.askTicks
            reads.shards[shard] = state
        }
        reads.due = later
        for node in toNodes.keys.sorted() {
            let shards = toNodes[node] ?? []
            reads.nextRequest += 1
            let request = reads.nextRequest
            if cluster.send(.readAsk(request: request, shards: shards), to: node) {
                reads.requests[request] = shards
            } else {
                for shard in shards { askAgain(shard) }
            }
        }
        return didAsk
    }

    /// Puts a shard's question again, with the next tick.
    private func askAgain(_ shard: GroupID) {
        guard var state = reads.shards[shard], !state.asked.isEmpty else { return }
        // An answer to the question that failed says nothing about reads opened since: it must not
        // be taken for one to the next question.
        for request in reads.requests.keys { reads.requests[request]?.removeAll { $0 == shard } }
        if state.next.isEmpty { reads.due.append(shard) }
        state.next = state.asked + state.next
        state.asked = []
        state.position = nil
        state.mustPause = true
        reads.shards[shard] = state
    }

    /// Takes what the groups led here confirmed or lost.
    func takeReads(_ output: ReplicatorOutput) {
        for read in output.reads {
            if let position = reads.shards[read.group]?.position, position <= read.grant.position {
                confirm(read.group, read.grant.index)
            }
            answerAsked { asked in
                asked.shard == read.group && asked.position <= read.grant.position
                    ? .some(read.grant.index) : nil
            }
        }
        for lost in output.readsLost {
            if let position = reads.shards[lost.group]?.position, position <= lost.through {
                askAgain(lost.group)
            }
            answerAsked { asked in
                asked.shard == lost.group && asked.position <= lost.through
                    ? .some(nil) : nil
            }
        }
    }

    /// Answers other nodes' questions for which `body` knows an answer: an index, or that it is
    /// lost.
    private func answerAsked(_ body: (ReadDesk.Asked) -> LogIndex??) {
        if reads.asked.isEmpty { return }
        var left: [ReadDesk.Asked] = []
        for asked in reads.asked {
            guard let index = body(asked) else {
                left.append(asked)
                continue
            }
            let answer = PeerFrame.ReadAnswer(shard: asked.shard, index: index)
            _ = cluster.send(.readAnswer(request: asked.request, [answer]), to: asked.node)
        }
        reads.asked = left
    }

    /// Takes another node's question.
    func takeAsk(_ request: UInt64, _ shards: [GroupID], from node: NodeNumber) {
        var lost: [PeerFrame.ReadAnswer] = []
        for shard in shards {
            if reads.asked.count < ClusterLimits.readsMax,
                case .waiting(let position) = replicator.requestRead(shard)
            {
                reads.asked.append(
                    ReadDesk.Asked(node: node, request: request, shard: shard, position: position))
            } else {
                lost.append(PeerFrame.ReadAnswer(shard: shard, index: nil))
            }
        }
        if !lost.isEmpty { _ = cluster.send(.readAnswer(request: request, lost), to: node) }
    }

    /// Takes another node's answer, or a part of it.
    func takeAnswers(_ answers: [PeerFrame.ReadAnswer], of request: UInt64) {
        for answer in answers {
            guard let place = reads.requests[request]?.firstIndex(of: answer.shard) else {
                continue
            }
            reads.requests[request]?.remove(at: place)
            if let index = answer.index {
                confirm(answer.shard, index)
            } else {
                askAgain(answer.shard)
            }
        }
        if reads.requests[request]?.isEmpty ?? false { reads.requests[request] = nil }
    }

    private func confirm(_ shard: GroupID, _ index: LogIndex) {
        guard var state = reads.shards[shard], !state.asked.isEmpty else { return }
        let confirmed = state.asked
        state.asked = []
        state.position = nil
        if !state.next.isEmpty, !reads.due.contains(shard) { reads.due.append(shard) }
        let isApplied = index <= replicator.appliedIndex(shard)
        if !isApplied { state.confirm(index, confirmed) }
        reads.shards[shard] = state
        if isApplied { for read in confirmed { count(read) } }
    }

    /// Rows of a shard were applied.
    func finishReads(of shard: GroupID, appliedThrough index: LogIndex) {
        guard let done = reads.shards[shard]?.takeConfirmed(through: index) else { return }
        for read in done { count(read) }
    }

    /// One more shard of a read is done.
    private func count(_ read: UInt64) {
        guard var waiting = reads.waiting[read] else { return }
        waiting.shardsLeft -= 1
        if waiting.shardsLeft > 0 {
            reads.waiting[read] = waiting
        } else {
            reads.waiting[read] = nil
            waiting.done(nil)
        }
    }

    /// Questions without an answer are put again; reads that waited too long end.
    func tickReads() {
        for shard in reads.shards.keys.sorted() {
            reads.shards[shard]?.mustPause = false
            if let state = reads.shards[shard], !state.asked.isEmpty, state.deadline <= tickCount {
                askAgain(shard)
            }
        }
        reads.requests = reads.requests.filter { !$0.value.isEmpty }
        let due = reads.deadlines.prefix { $0.tick <= tickCount }
        for item in due {
            reads.waiting.removeValue(forKey: item.read)?.done(Self.noQuorum)
        }
        reads.deadlines.removeFirst(due.count)
        forgetEndedReads()
    }

    /// Reads that have ended must not pile up in shards that nobody answers for.
    private func forgetEndedReads() {
        for shard in reads.shards.keys.sorted() {
            guard var state = reads.shards[shard],
                !state.next.isEmpty || !state.confirmed.isEmpty
            else { continue }
            state.next.removeAll { reads.waiting[$0] == nil }
            for place in state.confirmed.indices {
                state.confirmed[place].reads.removeAll { reads.waiting[$0] == nil }
            }
            state.confirmed.removeAll { $0.reads.isEmpty }
            reads.shards[shard] = state
        }
    }

    /// What was asked of a node that is gone is asked again.
    func loseAsked(of node: NodeNumber) {
        reads.asked.removeAll { $0.node == node }
        for shard in reads.shards.keys.sorted() {
            guard let state = reads.shards[shard], !state.asked.isEmpty, state.position == nil
            else { continue }
            if leaderNode(of: shard) == nil || leaderNode(of: shard) == node { askAgain(shard) }
        }
    }

    func abandonReads() {
        let waiting = reads.waiting
        reads = ReadDesk()
        for read in waiting.keys.sorted() { waiting[read]?.done(Self.stopping) }
    }

    static let noQuorum = ServiceError(
        .noQuorum,
        "no majority of the shard's nodes answers: nobody knows whether what is here is up to date",
        retryAfterMs: NodeLimits.retryMs)
}
