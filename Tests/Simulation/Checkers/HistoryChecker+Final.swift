package import ChatModel

// The end of a run: whole logs, read from every node.
extension HistoryChecker {
    /// Requests that have neither an acknowledgement nor a refusal.
    package var openRequests: [SendRequest] {
        requests.values.filter { !$0.isAcknowledged && !$0.isRefused && !$0.isAbandoned }
            .map(\.request)
            .sorted { $0.number < $1.number }
    }

    /// Checks a conversation as one node shows it in the end, from seq 1 to its head.
    ///
    /// - Parameter members: who may have sent, before the log says more: the founders.
    package func finish(
        _ conversation: ConversationID, _ entries: [Entry], founders: [UserID],
        on node: @autoclosure () -> String
    ) {
        var expected: EntrySequence = 1
        for entry in entries {
            if entry.seq != expected {
                return verdict.fail(
                    .order,
                    "\(node()): seq \(expected) of \(conversation) is missing, "
                        + "\(entry.seq) follows")
            }
            expected += 1
            saw(entry, by: node())
        }
        let ledger = ledgers[conversation] ?? Ledger()
        if ledger.acknowledged > UInt64(entries.count) || ledger.seen > UInt64(entries.count) {
            verdict.fail(
                .durability,
                "\(node()): \(conversation) ends at seq \(entries.count), but seq "
                    + "\(max(ledger.acknowledged, ledger.seen)) was seen")
        }
        if let farthest = farthestMarks[conversation], farthest > UInt64(entries.count) {
            verdict.fail(
                .marks,
                "\(node()): a mark in \(conversation) was at \(farthest), the log ends at "
                    + "\(entries.count)")
        }
        checkRevisions(entries, on: node())
        checkMembers(entries, founders, on: node())
    }

    /// Every acknowledged request stands in some conversation that was read to its end.
    package func finish() {
        for known in requests.values where known.isAcknowledged && known.place == nil {
            verdict.fail(
                .durability, "request \(known.request.number) was acknowledged and is nowhere")
        }
    }

    /// A message is what its last edit or erasure in the log made of it.
    private func checkRevisions(_ entries: [Entry], on node: @autoclosure () -> String) {
        var revisions: [EntrySequence: EntrySequence] = [:]
        var texts: [EntrySequence: String] = [:]
        var erased: Set<EntrySequence> = []
        for entry in entries {
            let text = entry.cid.flatMap { requests[$0]?.request.body }
            switch (entry.body, text) {
            case (.message, .message(let text)?):
                revisions[entry.seq] = entry.seq
                texts[entry.seq] = text
            case (.edit(let target, _), .edit(_, let text)?) where !erased.contains(target):
                revisions[target] = entry.seq
                texts[target] = text
            case (.erase(let target), _) where !erased.contains(target):
                revisions[target] = entry.seq
                erased.insert(target)
            default: break
            }
        }
        for entry in entries {
            guard case .message(let message) = entry.body else { continue }
            let isGone = erased.contains(entry.seq)
            let text = isGone ? "" : texts[entry.seq]
            if message.revision != revisions[entry.seq] || message.isErased != isGone
                || message.content.text != text
            {
                verdict.fail(
                    .recovery,
                    "\(node()): seq \(entry.seq) of \(entry.conversation) is at "
                        + "revision \(message.revision), its log says "
                        + "\(revisions[entry.seq] ?? 0)")
            }
        }
    }

    /// Whoever sent was a member there.
    private func checkMembers(
        _ entries: [Entry], _ founders: [UserID], on node: @autoclosure () -> String
    ) {
        var members = Set(founders)
        for entry in entries {
            if case .membership(let user, let change, _) = entry.body {
                switch change {
                case .joined: members.insert(user)
                case .left, .removed: members.remove(user)
                case .role: break
                }
            } else if !members.contains(entry.from) {
                verdict.fail(
                    .honesty,
                    "\(node()): seq \(entry.seq) of \(entry.conversation) is from one "
                        + "who was no member there")
            }
        }
    }
}
