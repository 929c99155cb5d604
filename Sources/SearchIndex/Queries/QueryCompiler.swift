/// Makes an expression of what a user wrote: words by the tokenizer, names by the caller.
package struct QueryCompiler {
    private let senders: (String) -> [SearchID]
    private let conversations: (String) -> [SearchID]
    private let offset: Int

    /// A compiler. `senders` and `conversations` give whom and what a name means, nothing when it
    /// is unknown; `offset` is how far the user's clock is ahead of UTC, in milliseconds, at most a
    /// day.
    package init(
        senders: @escaping (String) -> [SearchID],
        conversations: @escaping (String) -> [SearchID], offset: Int
    ) {
        self.senders = senders
        self.conversations = conversations
        self.offset = min(max(offset, -86_400_000), 86_400_000)
    }

    /// The expression of a tree. Of no text everything is a hit; of text without words (a lone
    /// dash) nothing, unless something else is asked too.
    package func expression(_ node: QueryNode) -> SearchExpression {
        part(node) ?? .all([])
    }

    private func part(_ node: QueryNode) -> SearchExpression? {
        switch node {
        case .word(let text, let isUnfinished): return words(text, isUnfinished: isUnfinished)
        case .phrase(let text, let isUnfinished): return words(text, isUnfinished: isUnfinished)
        case .condition(let condition): return self.condition(condition)
        case .not(let inner): return part(inner).map { .not($0) }
        case .any(let nodes):
            let parts = nodes.compactMap(part)
            return parts.isEmpty ? nil : .any(parts)
        case .all(let nodes): return .all(all(nodes))
        }
    }

    /// A message has one sender and one conversation: of several `from:` or `in:`, one is enough.
    private func all(_ nodes: [QueryNode]) -> [SearchExpression] {
        var parts: [SearchExpression] = []
        var from: [SearchID]?
        var inside: [SearchID]?
        for node in nodes {
            switch node {
            case .condition(.from(let name)): from = (from ?? []) + senders(name)
            case .condition(.inside(let name)): inside = (inside ?? []) + conversations(name)
            default: if let part = part(node) { parts.append(part) }
            }
        }
        if parts.isEmpty, from == nil, inside == nil, nodes.contains(where: Self.isText) {
            return [.any([])]
        }
        if let from { parts.append(.matching(SearchFilter(senders: from))) }
        if let inside { parts.append(.matching(SearchFilter(conversations: inside))) }
        return parts
    }

    private static func isText(_ node: QueryNode) -> Bool {
        switch node {
        case .word, .phrase, .any: true
        case .condition, .not, .all: false
        }
    }

    /// The terms of one word or of what stood between quotes; the tokenizer says which may go on.
    private func words(_ text: String, isUnfinished: Bool) -> SearchExpression? {
        var tokenizer = Tokenizer()
        var text = text
        let terms = text.withUTF8 {
            tokenizer.query(UnsafeRawBufferPointer($0), isLastPrefix: isUnfinished).terms
        }
        guard let first = terms.first else { return nil }
        if terms.count == 1 { return first.isPrefix ? .prefix(first.bytes) : .word(first.bytes) }
        return .phrase(
            terms.map { PhraseWord($0.bytes, offset: $0.offset, isPrefix: $0.isPrefix) })
    }

    private func condition(_ condition: QueryCondition) -> SearchExpression {
        switch condition {
        case .from(let name): return .matching(SearchFilter(senders: senders(name)))
        case .inside(let name):
            return .matching(SearchFilter(conversations: conversations(name)))
        case .before(let day):
            let start = day.start(offset: offset)
            return start == 0 ? .any([]) : .matching(SearchFilter(times: 0...(start - 1)))
        case .after(let day):
            return .matching(SearchFilter(times: day.end(offset: offset)...UInt64.max))
        case .on(let day):
            let (start, end) = (day.start(offset: offset), day.end(offset: offset))
            return start >= end ? .any([]) : .matching(SearchFilter(times: start...(end - 1)))
        case .has(let flags): return .matching(SearchFilter(flags: flags))
        }
    }
}
