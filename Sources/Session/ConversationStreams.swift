import ChatModel

/// What one socket heard of one conversation.
struct ConversationStream {
    /// Up to here the client was told, by entry, answer, `changed` or `gap`; 0 when nothing is
    /// known.
    var announced: EntrySequence = 0
    /// The last entry that went out as such; smaller ones never follow.
    var streamed: EntrySequence = 0
    /// The user left: nothing follows until they join again.
    var hasLeft = false
    var touched: UInt64 = 0
}

/// The streams of one socket, bounded: when full, the quarter untouched for longest is forgotten.
/// To forget is harmless: the next entry of such a conversation is preceded by a `gap`.
struct ConversationStreams {
    private var streams: [ConversationID: ConversationStream] = [:]
    private var clock: UInt64 = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(4, capacity) }

    var count: Int { streams.count }

    subscript(conversation: ConversationID) -> ConversationStream {
        get { streams[conversation] ?? ConversationStream() }
        set {
            clock &+= 1
            var stream = newValue
            stream.touched = clock
            if streams.count >= capacity, streams[conversation] == nil { forget() }
            streams[conversation] = stream
        }
    }

    mutating func removeAll() { streams = [:] }

    private mutating func forget() {
        // Stamps are unique, so the order of the dictionary cannot show.
        let stamps = streams.values.map(\.touched).sorted()
        let limit = stamps[stamps.count / 4]
        streams = streams.filter { $0.value.touched > limit }
    }
}

/// Marks that one socket was told, bounded like ``ConversationStreams``.
struct KnownMarks {
    private struct Key: Hashable {
        var conversation: ConversationID
        var user: UserID
    }
    private struct Known {
        var delivered: EntrySequence
        var read: EntrySequence
        var touched: UInt64
    }
    private var marks: [Key: Known] = [:]
    private var clock: UInt64 = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(4, capacity) }

    var count: Int { marks.count }

    /// Remembers the marks; false when the client knew them or later ones.
    mutating func learn(_ conversation: ConversationID, _ mark: MarkView) -> Bool {
        let key = Key(conversation: conversation, user: mark.user)
        let old = marks[key]
        let delivered = max(mark.delivered, mark.read, old?.delivered ?? 0)
        let read = max(mark.read, old?.read ?? 0)
        let isNews = delivered > (old?.delivered ?? 0) || read > (old?.read ?? 0)
        guard isNews else { return false }
        if old == nil, marks.count >= capacity {
            let stamps = marks.values.map(\.touched).sorted()
            let limit = stamps[stamps.count / 4]
            marks = marks.filter { $0.value.touched > limit }
        }
        clock &+= 1
        marks[key] = Known(delivered: delivered, read: read, touched: clock)
        return true
    }

    mutating func removeAll() { marks = [:] }
}
