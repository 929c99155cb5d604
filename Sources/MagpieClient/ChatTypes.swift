internal import ChatModel

/// Why a call failed.
public struct ChatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The protocol's code: `not_found`, `conflict`, `unavailable`, …
    public let code: String
    /// One sentence.
    public let detail: String
    /// When a later try may succeed, if the server said.
    public let retryAfterMs: UInt64?

    /// Code and detail.
    public var description: String { "\(code): \(detail)" }

    init(_ error: ServiceError) {
        code = error.code.rawValue
        detail = error.detail
        retryAfterMs = error.retryAfterMs
    }

    init(_ error: any Error) {
        self.init(error as? ServiceError ?? ServiceError(.unavailable, "\(error)"))
    }
}

/// A message as it is now.
public struct ChatMessage: Equatable, Sendable {
    /// Where it stands, as UUID text.
    public let conversation: String
    /// Its position in the conversation.
    public let seq: UInt64
    /// Who wrote it, as UUID text.
    public let sender: String
    /// What it says; empty when it was erased.
    public let text: String
    /// When the server took it, in milliseconds since 1970.
    public let atMs: UInt64
    /// True for a tombstone.
    public let isErased: Bool

    /// Nil for an entry that is no message.
    init?(_ entry: Entry) {
        guard case .message(let message) = entry.body else { return nil }
        conversation = entry.conversation.description
        seq = entry.seq
        sender = entry.from.description
        text = message.content.text
        atMs = entry.atMs
        isErased = message.isErased
    }
}

/// A message that a search found.
public struct ChatSearchHit: Equatable, Sendable {
    /// The message as it is now.
    public let message: ChatMessage
    /// What stands around the words that were found.
    public let snippet: String
    /// Those words in `snippet`, in UTF-16 units.
    public let highlights: [Range<Int>]

    /// Nil for an entry that is no message.
    init?(_ hit: SearchHitView) {
        guard let message = ChatMessage(hit.entry) else { return nil }
        self.message = message
        snippet = hit.snippet
        highlights = hit.highlights.map { $0.start..<$0.start + $0.length }
    }
}

/// A part of what a search found.
public struct ChatSearchResults: Equatable, Sendable {
    /// In the order asked for.
    public let hits: [ChatSearchHit]
    /// Where the next part begins; nil at the end.
    public let cursor: String?
    /// There are at least so many hits.
    public let atLeast: Int
    /// False: hits may be missing, since the search took too long or the index is being built.
    public let isComplete: Bool

    init(_ view: SearchView) {
        hits = view.hits.compactMap { ChatSearchHit($0) }
        cursor = view.cursor
        atLeast = view.atLeast
        isComplete = !view.isPartial && !view.isIndexing
    }
}

/// What a client hears.
public enum ChatEvent: Equatable, Sendable {
    /// The client is connected; it stays so, or comes back by itself.
    case connected
    /// The connection was lost; the client is coming back.
    case disconnected(reason: String)
    /// The client will not come back.
    case stopped(ChatError)
    /// A message of someone else's, or of another of the user's devices; each once, in order.
    case message(ChatMessage)
    /// An earlier message says something else now.
    case edited(conversation: String, seq: UInt64, text: String)
    /// An earlier message was erased.
    case erased(conversation: String, seq: UInt64)
    /// A conversation changed while the client was away, or has a new member or title.
    case changed(conversation: String, head: UInt64, unread: UInt64)
    /// A member has received and read up to these positions.
    case mark(conversation: String, user: String, delivered: UInt64, read: UInt64)
    /// A member types.
    case typing(conversation: String, user: String)

    /// Nil for what a client of this kind has no use for.
    init?(_ event: ClientEvent) {
        switch event {
        case .connected: self = .connected
        case .disconnected(let reason): self = .disconnected(reason: reason)
        case .stopped(let error): self = .stopped(ChatError(error))
        case .tokenExpired:
            self = .stopped(ChatError(ServiceError(.unauthenticated, "the token has expired")))
        case .entry(let entry): self.init(entry)
        case .changed(let view):
            self = .changed(
                conversation: view.conversation.description, head: view.head, unread: view.unread)
        case .mark(let conversation, let mark):
            self = .mark(
                conversation: conversation.description, user: mark.user.description,
                delivered: mark.delivered, read: mark.read)
        case .typing(let conversation, let user):
            self = .typing(conversation: conversation.description, user: user.description)
        case .sent, .epochChanged, .presence: return nil
        }
    }

    private init?(_ entry: Entry) {
        let conversation = entry.conversation.description
        switch entry.body {
        case .message:
            guard let message = ChatMessage(entry) else { return nil }
            self = .message(message)
        case .edit(let target, let content):
            self = .edited(conversation: conversation, seq: target, text: content.text)
        case .erase(let target): self = .erased(conversation: conversation, seq: target)
        case .membership, .settings:
            self = .changed(conversation: conversation, head: entry.seq, unread: 0)
        }
    }
}
