package import ChatModel

// I7: marks are registers that only grow.
extension HistoryChecker {
    /// A member's read mark was moved.
    package func marked(_ conversation: ConversationID, _ user: UserID, upTo seq: EntrySequence) {
        let before = receipts[conversation]?[user] ?? 0
        receipts[conversation, default: [:]][user] = max(before, seq)
    }

    /// What was acknowledged when a read of the marks begins.
    package func marksBegin(_ conversation: ConversationID) -> [UserID: EntrySequence] {
        receipts[conversation] ?? [:]
    }

    /// The marks as some node shows them.
    package func readMarks(
        _ conversation: ConversationID, _ marks: [MarkView],
        after floors: [UserID: EntrySequence], by observer: @autoclosure () -> String
    ) {
        for mark in marks {
            let floor = floors[mark.user] ?? 0
            if mark.read < floor {
                verdict.fail(
                    .marks,
                    "\(observer()): \(mark.user) has read \(conversation) up to "
                        + "\(mark.read), but \(floor) was acknowledged before")
            }
            if mark.read > mark.delivered {
                verdict.fail(
                    .marks,
                    "\(observer()): \(mark.user) has read \(conversation) up to "
                        + "\(mark.read), delivered is \(mark.delivered)")
            }
            // Whether an entry stands there is known in the end: it may not have been seen yet.
            farthestMarks[conversation] = max(farthestMarks[conversation] ?? 0, mark.delivered)
        }
    }
}
