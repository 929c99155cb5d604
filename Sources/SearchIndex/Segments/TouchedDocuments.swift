/// Documents of which earlier versions die, by key, ascending.
struct TouchedDocuments: Sendable {
    private struct Touched: Sendable {
        let seq: UInt64
        /// When it was said; nil: not known.
        let time: UInt64?
    }

    /// The documents of one conversation.
    private struct Group: Sendable {
        let conversation: SearchID
        let hash: UInt64
        var documents: [Touched] = []
    }

    private var groups: [Group] = []

    /// Adds one above all before. A document's time is the same in all of its versions.
    mutating func append(_ key: DocumentKey, time: UInt64?) {
        if groups.last?.conversation != key.conversation {
            groups.append(
                Group(
                    conversation: key.conversation,
                    hash: ConversationSummary.hash(key.conversation)))
        }
        groups[groups.count - 1].documents.append(Touched(seq: key.seq, time: time))
    }

    /// Kills them where a segment has them. It is opened only when it may have one of them: most of
    /// what is committed is new, and newer than most segments.
    func kill(
        in segment: SegmentHandle, _ dead: inout DeadDocuments
    ) throws(SearchError) {
        let summary = segment.summary
        let times = summary.minTime...summary.maxTime
        var reader: SegmentReader?
        for group in groups where summary.conversations.mayHave(hash: group.hash) {
            for touched in group.documents
            where touched.time.map({ times.contains($0) }) ?? true {
                if reader == nil { reader = try segment.open() }
                let key = DocumentKey(conversation: group.conversation, seq: touched.seq)
                if let document = reader?.find(key) { _ = dead.insert(document) }
            }
        }
    }
}
