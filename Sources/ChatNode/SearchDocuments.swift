import ChatModel
import SearchIndex

/// What of an entry stands in the index.
enum SearchDocuments {
    /// The document of an entry; nil when it has none: it is no message, or was erased.
    static func document(_ entry: Entry) -> (document: SearchDocument, text: String)? {
        guard case .message(let message) = entry.body, !message.isErased else { return nil }
        let document = SearchDocument(
            key: DocumentKey(conversation: SearchID(entry.conversation), seq: entry.seq),
            time: entry.atMs, sender: SearchID(entry.from), flags: flags(message.content))
        return (document, message.content.text)
    }

    private static func flags(_ content: MessageContent) -> DocumentFlags {
        var flags: DocumentFlags = []
        for item in content.media {
            flags.insert(item.type.hasPrefix("image/") ? .image : .file)
        }
        if !content.mentions.isEmpty { flags.insert(.mention) }
        if hasLink(content.text) { flags.insert(.link) }
        return flags
    }

    /// True when a text has a web address: `http://` or `https://`, in any case, and something
    /// behind it.
    static func hasLink(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var start = 0
            while start + 8 <= bytes.count {
                if bytes[start] | 0x20 == UInt8(ascii: "h"), isLink(bytes[start...]) {
                    return true
                }
                start += 1
            }
            return false
        }
    }

    private static func isLink(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        for scheme in ["http://", "https://"] {
            let count = scheme.utf8.count
            guard bytes.count > count else { continue }
            let isScheme = zip(bytes, scheme.utf8).allSatisfy { $0 == $1 || $0 | 0x20 == $1 }
            if isScheme, bytes[bytes.startIndex + count] > 0x20 { return true }
        }
        return false
    }
}

extension SearchID {
    /// The identifier of a conversation or a user.
    init<Kind>(_ id: Identifier<Kind>) { self.init(high: id.high, low: id.low) }
}

extension SearchHas {
    var flags: DocumentFlags {
        switch self {
        case .image: .image
        case .file: .file
        case .link: .link
        case .mention: .mention
        }
    }
}

extension SegmentBuilder {
    /// Adds the words of a text.
    mutating func put(
        _ document: SearchDocument, _ text: String, _ tokenizer: inout Tokenizer
    ) {
        var text = text
        text.withUTF8 { bytes in
            put(document) { give in
                tokenizer.tokenize(UnsafeRawBufferPointer(bytes)) { word, position, _, _ in
                    give(word, position)
                }
            }
        }
    }
}
