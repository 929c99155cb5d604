import ChatModel

/// A client's own marks on their way to the node: those of one conversation within
/// ``SessionLimits/markMs`` become one command.
extension SessionMachine {
    struct MarkBatch {
        var ids: [String]
        var remaining: Int
        var failure: ServiceError?
    }

    mutating func takeMarks(_ marks: [MarkRequest], id: String?) {
        guard marks.count <= bounds.marks else {
            if id != nil { refuse(id, .invalidArgument, "a frame marks at most \(bounds.marks)") }
            return
        }
        guard marks.allSatisfy({ $0.delivered != nil || $0.read != nil }) else {
            if id != nil { refuse(id, .invalidArgument, "marks: delivered or read is needed") }
            return
        }
        let waiting = asked.count + markIDs.count
        guard id == nil || waiting < bounds.outstanding, merge(marks) else {
            let retryMs = bounds.markMs
            refuse(id, .rateLimited, "too many marks are waiting", retryAfterMs: retryMs)
            return
        }
        if let id { markIDs.append(id) }
        if markDueMs == nil { markDueMs = moment.nowMs &+ bounds.markMs }
    }

    /// Merges by maximum; false, and nothing merged, when more conversations would wait than may.
    private mutating func merge(_ marks: [MarkRequest]) -> Bool {
        var merged = markRequests
        for mark in marks {
            if let index = merged.firstIndex(where: { $0.conversation == mark.conversation }) {
                merged[index].delivered = Self.larger(merged[index].delivered, mark.delivered)
                merged[index].read = Self.larger(merged[index].read, mark.read)
            } else {
                merged.append(mark)
            }
        }
        guard merged.count <= bounds.marks else { return false }
        markRequests = merged
        return true
    }

    private static func larger(_ left: EntrySequence?, _ right: EntrySequence?) -> EntrySequence? {
        guard let left else { return right }
        return right.map { max(left, $0) } ?? left
    }

    mutating func flushDueMarks() {
        guard let due = markDueMs, moment.nowMs >= due, let identity else { return }
        let batch = markRequests.prefix(bounds.marksPerFlush)
        markRequests.removeFirst(batch.count)
        markDueMs = markRequests.isEmpty ? nil : moment.nowMs &+ bounds.markMs
        // An id is answered with the batch that holds the last of the marks that waited with it.
        var ids: [String] = []
        if markRequests.isEmpty {
            ids = markIDs
            markIDs = []
        }
        guard !batch.isEmpty else {
            for id in ids { send(.done, id: id) }
            return
        }
        let number = nextMarkBatch
        nextMarkBatch &+= 1
        markBatches[number] = MarkBatch(ids: ids, remaining: batch.count, failure: nil)
        for request in batch {
            ask(.submit(.mark(request), identity), .mark(batch: number, request))
        }
    }

    /// Submits waiting marks at once: those of a conversation when a change in it follows, which
    /// must find them; all when the session ends, since nobody else has them.
    mutating func flushMarks(of conversation: ConversationID? = nil) {
        guard let identity else { return }
        for request in markRequests
        where conversation == nil || request.conversation == conversation {
            let number = nextMarkBatch
            nextMarkBatch &+= 1
            markBatches[number] = MarkBatch(ids: [], remaining: 1, failure: nil)
            ask(.submit(.mark(request), identity), .mark(batch: number, request))
        }
        markRequests.removeAll { conversation == nil || $0.conversation == conversation }
    }

    mutating func tookMark(_ answer: SessionAnswer, _ number: UInt64, _ request: MarkRequest) {
        guard var batch = markBatches[number] else { return }
        batch.remaining -= 1
        switch answer {
        case .result(.refused(let error)), .failure(let error):
            batch.failure = batch.failure ?? error
            retryMark(request, after: error, isAnswered: !batch.ids.isEmpty)
        default: break
        }
        markBatches[number] = batch
        guard batch.remaining == 0 else { return }
        markBatches[number] = nil
        for id in batch.ids { send(batch.failure.map { .error($0) } ?? .done, id: id) }
    }

    /// Nobody hears of a mark without id that fails, so the session tries it again itself.
    private mutating func retryMark(
        _ request: MarkRequest, after error: ServiceError, isAnswered: Bool
    ) {
        let isPassing = [.unavailable, .noQuorum, .rateLimited].contains(error.code)
        guard isPassing, !isAnswered, merge([request]) else { return }
        let retryMs = max(1_000, min(error.retryAfterMs ?? 1_000, 60_000))
        markDueMs = max(markDueMs ?? 0, moment.nowMs &+ retryMs)
    }
}
