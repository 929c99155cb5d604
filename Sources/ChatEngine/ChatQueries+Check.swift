package import ChatModel

/// What must be true between rows of different partitions once all work is done. The simulator asks
/// at the end of a run.
extension ChatQueries {
    /// The first of a user's feed rows that does not agree with its conversation, in words; nil
    /// when all do. True for small conversations whose dirty marks were all worked off.
    package func feedProblem(of user: UserID) throws -> String? {
        var problem: String?
        try scanFeed(of: user) { conversation, leftSeq in
            guard let member = try view.anyMember(conversation, user),
                let head = try view.head(conversation)
            else {
                problem = "the feed of \(user) names \(conversation), which has no such member"
                return false
            }
            if leftSeq != member.left?.seq {
                problem =
                    "the feed of \(user) has them leave \(conversation) at \(leftSeq ?? 0), the "
                    + "conversation at \(member.left?.seq ?? 0)"
            }
            let row: FeedRow? = try view.row(.feeds, KeySchema.feed(user, conversation))
            if leftSeq == nil, isSmall(head), row?.head != head.seq {
                problem =
                    "the feed of \(user) has \(conversation) up to \(row?.head ?? 0), it ends at "
                    + "\(head.seq)"
            }
            return problem == nil
        }
        return problem
    }
}
