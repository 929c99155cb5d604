package import ChatModel

/// What a client wrote into the fields of a search, in a frame or in a URL, and the checks that
/// both share. An empty text is as good as none, and `q` is never refused: it is cut.
package struct SearchFields: Sendable {
    /// Bytes of `q` that are read: so many fit into a URL however they are written.
    package static let textBytesMax = 2_048
    /// Most bytes of a cursor.
    package static let cursorBytesMax = 1_024
    /// Clocks are at most a day ahead of UTC or behind it.
    package static let utcOffsetMinutesMax: Int64 = 1_440

    /// What stands in the search box.
    package var text = ""
    /// A conversation's UUID.
    package var conversation = ""
    /// A user's UUID.
    package var from = ""
    /// Said before this moment.
    package var beforeMs: Milliseconds?
    /// Said after this moment.
    package var afterMs: Milliseconds?
    /// Names of ``SearchHas``, each alone or several with commas between.
    package var has: [String] = []
    /// A name of ``SearchSort``.
    package var sort = ""
    /// Hits at most.
    package var limit: UInt64?
    /// Where an earlier answer ended.
    package var cursor = ""
    /// Minutes by which the asker's clock is ahead of UTC.
    package var utcOffsetMinutes: Int64 = 0

    /// A search for everything.
    package init() {}

    /// The search. A refusal names the field, with `prefix` before it.
    package func query(prefix: String = "") throws(ServiceError) -> SearchQuery {
        var query = SearchQuery(text: Self.cut(text), beforeMs: beforeMs, afterMs: afterMs)
        if !conversation.isEmpty {
            query.conversation = try FieldReader.identifier(conversation, prefix + "conversation")
        }
        if !from.isEmpty { query.from = try FieldReader.identifier(from, prefix + "from") }
        for name in has.joined(separator: ",").split(separator: ",") {
            guard let has = SearchHas(rawValue: name.lowercased()) else {
                throw FieldReader.refusal(
                    prefix + "has", "must be of \(Self.names(SearchHas.allCases))")
            }
            query.has.insert(has)
        }
        if !sort.isEmpty {
            guard let sort = SearchSort(rawValue: sort.lowercased()) else {
                throw FieldReader.refusal(
                    prefix + "sort", "must be one of \(Self.names(SearchSort.allCases))")
            }
            query.sort = sort
        }
        if let limit {
            guard let count = Int(exactly: limit), (1...SearchQuery.limitMax).contains(count) else {
                throw FieldReader.refusal(
                    prefix + "limit", "must be 1…\(SearchQuery.limitMax)")
            }
            query.limit = count
        }
        if !cursor.isEmpty {
            query.cursor = try FieldReader.text(
                cursor, prefix + "cursor", max: Self.cursorBytesMax)
        }
        let offsets = -Self.utcOffsetMinutesMax...Self.utcOffsetMinutesMax
        guard offsets.contains(utcOffsetMinutes) else {
            throw FieldReader.refusal(
                prefix + "utcOffsetMinutes",
                "must be \(offsets.lowerBound)…\(offsets.upperBound)")
        }
        query.utcOffsetMinutes = Int(utcOffsetMinutes)
        return query
    }

    private static func names<Name: RawRepresentable<String>>(_ all: [Name]) -> String {
        all.map(\.rawValue).joined(separator: ", ")
    }

    /// The first ``textBytesMax`` bytes, whole characters of Unicode.
    static func cut(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else { return text }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: textBytesMax)
        while end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text.unicodeScalars[..<end])
    }
}
