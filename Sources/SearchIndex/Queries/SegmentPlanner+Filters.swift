// Lists of senders and flags in place of the columns. A column costs one look per document that is
// found by other means, a list costs its own length: whichever is less.
extension SegmentPlanner {
    /// Senders that may lead together.
    static let sendersMax = 16
    /// Below so many documents the columns are asked without a look at the lists.
    static let worthwhile = 64

    /// Documents that are as one part of a filter asks.
    private struct Condition {
        /// Which flag; nil: the senders.
        var flag: DocumentFlags?
        /// A document must be in one of these.
        var lists: [TermPostings]
        var documents: Int { lists.reduce(0) { $0 + $1.documents } }
    }

    /// Lets lists of the matcher's filter lead, the shortest first, where they are shorter than
    /// what leads without them: at most `rarest` documents, of which one costs a `cost`th of one of
    /// a list.
    func lead(
        _ matcher: inout SegmentMatcher, rarest: Int, cost: Int
    ) throws(SearchError) {
        if rarest < Self.worthwhile { return }
        var rarest = rarest
        let conditions = try conditions(matcher.filter).sorted { $0.documents < $1.documents }
        for condition in conditions where condition.documents * cost < rarest {
            let cursors = condition.lists.map { PostingsCursor($0, in: reader) }
            switch cursors.count {
            case 0: matcher.isEmpty = true
            case 1: matcher.cursors.append(cursors[0])
            default: matcher.groups.append(cursors)
            }
            if let flag = condition.flag {
                matcher.filter.drop(flag)
            } else {
                matcher.filter.dropSenders()
            }
            matcher.isLedByFilter = true
            rarest = condition.documents
        }
    }

    private func conditions(_ filter: DocumentFilter) throws(SearchError) -> [Condition] {
        var conditions: [Condition] = []
        for flag in DocumentFlags.each where filter.flags & flag.rawValue != 0 {
            let found = try reader.find(.flag(flag))
            conditions.append(Condition(flag: flag, lists: found.map { [$0] } ?? []))
        }
        guard let senders = filter.senders, senders.count <= Self.sendersMax else {
            return conditions
        }
        var lists: [TermPostings] = []
        for sender in senders {
            if let found = try reader.find(.sender(reader.sender(Int(sender)))) {
                lists.append(found)
            }
        }
        conditions.append(Condition(flag: nil, lists: lists))
        return conditions
    }

    /// The lists of all documents that a filter lets through; nil when the lists alone do not say.
    static func terms(of filter: SearchFilter) -> [FilterTerm]? {
        guard filter.conversations == nil, filter.spans == nil,
            filter.times == 0...UInt64.max
        else { return nil }
        if let senders = filter.senders {
            guard filter.flags.isEmpty, senders.count <= sendersMax else { return nil }
            return senders.map { .sender($0) }
        }
        return DocumentFlags.each.contains(filter.flags) ? [.flag(filter.flags)] : nil
    }
}
