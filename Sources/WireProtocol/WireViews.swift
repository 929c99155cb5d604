internal import ChatModel

/// Messages of the schema to entries and views: the client's side. Gathers the URLs of media on
/// the way, since entries of the model hold none.
struct WireViews {
    /// Blobs met, and where they can be read.
    private(set) var mediaURLs: [MediaURL] = []

    /// An entry.
    mutating func entry(_ wire: WireEntry) throws(ServiceError) -> Entry {
        Entry(
            conversation: try FieldReader.identifier(wire.conversation, "conversation"),
            seq: wire.seq, m: wire.m,
            cid: wire.hasCid ? try FieldReader.identifier(wire.cid, "cid") : nil,
            from: try FieldReader.identifier(wire.from, "from"), atMs: wire.atMs,
            body: try body(wire.body))
    }

    private mutating func body(
        _ wire: WireEntry.OneOf_Body?
    ) throws(ServiceError) -> EntryBody {
        switch wire {
        case nil: throw FieldReader.refusal("entry", "a kind that this version doesn't know")
        case .message(let message):
            return .message(
                Message(
                    content: try content(
                        message.text, message.hasReplyTo ? message.replyTo : nil,
                        message.mentions, message.media),
                    editedAtMs: message.hasEditedAtMs ? message.editedAtMs : nil,
                    isErased: message.erased, revision: message.revision))
        case .edit(let edit):
            return .edit(
                target: edit.target,
                content: try content(
                    edit.text, edit.hasReplyTo ? edit.replyTo : nil, edit.mentions, edit.media))
        case .erase(let erase): return .erase(target: erase.target)
        case .membership(let membership):
            guard let change = MembershipChange(membership.change) else {
                throw FieldReader.refusal("membership.change", "is not known")
            }
            return .membership(
                user: try FieldReader.identifier(membership.user, "membership.user"),
                change: change, role: Role(membership.role) ?? .member)
        case .settings(let settings):
            return .settings(title: settings.hasTitle ? settings.title : nil)
        }
    }

    private mutating func content(
        _ text: String, _ replyTo: EntrySequence?, _ mentions: [String], _ media: [WireMedia]
    ) throws(ServiceError) -> MessageContent {
        var references: [MediaReference] = []
        for item in media {
            let blob: BlobID = try FieldReader.identifier(item.blob, "media.blob")
            references.append(
                MediaReference(
                    blob: blob, name: item.name, type: item.type, size: item.size,
                    width: item.hasWidth ? item.width : nil,
                    height: item.hasHeight ? item.height : nil))
            mediaURLs.append(MediaURL(blob: blob, url: item.url))
        }
        return MessageContent(
            text: text, replyTo: replyTo,
            mentions: try FieldReader.identifiers(mentions, "mentions", max: .max),
            media: references)
    }

    /// What changed in a conversation.
    mutating func changed(_ wire: WireChanged) throws(ServiceError) -> ChangedView {
        ChangedView(
            conversation: try FieldReader.identifier(wire.conversation, "conversation"),
            head: wire.head, m: wire.m, floor: wire.floor, unread: wire.unread,
            delivered: wire.delivered, read: wire.read, marks: try marks(wire.marks),
            last: wire.hasLast ? try entry(wire.last) : nil, hasLeft: wire.left)
    }

    /// Several of them.
    mutating func changed(_ wires: [WireChanged]) throws(ServiceError) -> [ChangedView] {
        var views: [ChangedView] = []
        for wire in wires { views.append(try changed(wire)) }
        return views
    }

    /// A whole conversation.
    mutating func conversation(_ wire: WireConversation) throws(ServiceError) -> ConversationView {
        guard let kind = ConversationKind(wire.kind) else {
            throw FieldReader.refusal("kind", "is not known")
        }
        return ConversationView(
            kind: kind, title: wire.title, memberCount: wire.memberCount,
            members: try members(wire.members), role: Role(wire.role) ?? .member,
            state: ChangedView(
                conversation: try FieldReader.identifier(wire.id, "id"), head: wire.head,
                m: wire.m, floor: wire.floor, unread: wire.unread, delivered: wire.delivered,
                read: wire.read, marks: try marks(wire.marks),
                last: wire.hasLast ? try entry(wire.last) : nil, hasLeft: wire.left),
            lastAtMs: wire.lastAtMs)
    }

    /// A page.
    mutating func page(_ wire: WirePage) throws(ServiceError) -> PageView {
        var entries: [Entry] = []
        entries.reserveCapacity(wire.entries.count)
        for entry in wire.entries { entries.append(try self.entry(entry)) }
        return PageView(
            conversation: try FieldReader.identifier(wire.conversation, "conversation"),
            entries: entries, hasMore: wire.more, hasMoreBefore: wire.moreBefore,
            hasMoreAfter: wire.moreAfter, floor: wire.floor)
    }

    /// What a search found.
    mutating func results(_ wire: WireResults) throws(ServiceError) -> SearchView {
        var hits: [SearchHitView] = []
        hits.reserveCapacity(wire.hits.count)
        for hit in wire.hits {
            hits.append(
                SearchHitView(
                    entry: try entry(hit.entry), snippet: hit.snippet,
                    highlights: hit.highlights.map {
                        TextSpan(start: Int($0.start), length: Int($0.length))
                    }))
        }
        return SearchView(
            hits: hits, cursor: wire.hasCursor ? wire.cursor : nil, atLeast: Int(wire.atLeast),
            isPartial: wire.partial, isIndexing: wire.indexing,
            isSealedNotSearched: wire.sealedNotSearched)
    }

    /// Members of a conversation.
    func members(_ wires: [WireMember]) throws(ServiceError) -> [MemberView] {
        var views: [MemberView] = []
        for wire in wires {
            views.append(
                MemberView(
                    user: try FieldReader.identifier(wire.user, "user"),
                    role: Role(wire.role) ?? .member, joinedSeq: wire.joinedSeq))
        }
        return views
    }

    /// Marks of members.
    func marks(_ wires: [WireMark]) throws(ServiceError) -> [MarkView] {
        var views: [MarkView] = []
        for wire in wires {
            views.append(
                MarkView(
                    user: try FieldReader.identifier(wire.user, "user"),
                    delivered: wire.delivered, read: wire.read))
        }
        return views
    }

    /// A user.
    func user(_ wire: WireUser) throws(ServiceError) -> UserView {
        UserView(
            id: try FieldReader.identifier(wire.id, "id"), username: wire.username,
            displayName: wire.displayName, avatar: wire.avatar)
    }

    /// A user's presence.
    func presence(_ wire: WirePresence) throws(ServiceError) -> PresenceView {
        guard let state = PresenceState(wire.state) else {
            throw FieldReader.refusal("state", "is not known")
        }
        return PresenceView(
            user: try FieldReader.identifier(wire.user, "user"), state: state,
            lastSeenMs: wire.hasLastSeenMs ? wire.lastSeenMs : nil)
    }

    /// A node.
    func node(_ wire: WireNode) -> NodeView {
        NodeView(id: wire.id, url: wire.url, load: wire.load, isSelf: wire.self_p)
    }

    /// The limits a server tells; the others keep their defaults.
    func limits(_ wire: WireLimits) -> Limits {
        var limits = Limits()
        limits.textBytes = Int(wire.textBytes)
        limits.mediaBytes = wire.mediaBytes
        limits.members = Int(wire.members)
        limits.mediaPerMessage = Int(wire.mediaPerMessage)
        limits.frameBytes = Int(wire.frameBytes)
        return limits
    }

    /// The answer to a send.
    func sent(_ wire: WireSent) throws(ServiceError) -> Sent {
        Sent(
            conversation: try FieldReader.identifier(wire.conversation, "conversation"),
            seq: wire.seq, m: wire.m, atMs: wire.atMs,
            cid: try FieldReader.identifier(wire.cid, "cid"), isDuplicate: wire.duplicate)
    }
}
