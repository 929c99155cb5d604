internal import ChatModel

/// Entries and views to messages of the schema. `links` signs media at this moment.
struct WireWriter {
    /// Makes the URLs of media.
    let links: any MediaLinks

    /// An entry with its body.
    func entry(_ entry: Entry) -> WireEntry {
        var wire = WireEntry()
        wire.conversation = entry.conversation.description
        wire.seq = entry.seq
        wire.m = entry.m
        if let cid = entry.cid { wire.cid = cid.description }
        wire.from = entry.from.description
        wire.atMs = entry.atMs
        switch entry.body {
        case .message(let message): wire.message = self.message(message)
        case .edit(let target, let content):
            var edit = WireEditEntry()
            edit.target = target
            edit.text = content.text
            if let replyTo = content.replyTo { edit.replyTo = replyTo }
            edit.mentions = content.mentions.map(\.description)
            edit.media = content.media.map(media)
            wire.edit = edit
        case .erase(let target): wire.erase.target = target
        case .membership(let user, let change, let role):
            wire.membership.user = user.description
            wire.membership.change = change.wire
            wire.membership.role = role.wire
        case .settings(let title):
            var settings = WireSettingsEntry()
            if let title { settings.title = title }
            wire.settings = settings
        }
        return wire
    }

    private func message(_ message: Message) -> WireMessage {
        var wire = WireMessage()
        wire.text = message.content.text
        if let replyTo = message.content.replyTo { wire.replyTo = replyTo }
        wire.mentions = message.content.mentions.map(\.description)
        wire.media = message.content.media.map(media)
        if let editedAtMs = message.editedAtMs { wire.editedAtMs = editedAtMs }
        wire.erased = message.isErased
        wire.revision = message.revision
        return wire
    }

    private func media(_ media: MediaReference) -> WireMedia {
        var wire = WireMedia()
        wire.blob = media.blob.description
        wire.name = media.name
        wire.url = links.url(for: media.blob)
        wire.type = media.type
        wire.size = media.size
        if let width = media.width { wire.width = width }
        if let height = media.height { wire.height = height }
        return wire
    }

    /// What changed in a conversation.
    func changed(_ view: ChangedView) -> WireChanged {
        var wire = WireChanged()
        wire.conversation = view.conversation.description
        wire.head = view.head
        wire.m = view.m
        wire.floor = view.floor
        wire.unread = view.unread
        wire.delivered = view.delivered
        wire.read = view.read
        wire.marks = view.marks.map(mark)
        if let last = view.last { wire.last = entry(last) }
        wire.left = view.hasLeft
        return wire
    }

    /// A whole conversation.
    func conversation(_ view: ConversationView) -> WireConversation {
        var wire = WireConversation()
        wire.id = view.state.conversation.description
        wire.kind = view.kind.wire
        wire.title = view.title
        wire.memberCount = view.memberCount
        wire.members = view.members.map(member)
        wire.role = view.role.wire
        wire.head = view.state.head
        wire.m = view.state.m
        wire.floor = view.state.floor
        wire.unread = view.state.unread
        wire.delivered = view.state.delivered
        wire.read = view.state.read
        wire.marks = view.state.marks.map(mark)
        if let last = view.state.last { wire.last = entry(last) }
        wire.lastAtMs = view.lastAtMs
        wire.left = view.state.hasLeft
        return wire
    }

    /// A page of entries.
    func page(_ view: PageView) -> WirePage {
        var wire = WirePage()
        wire.conversation = view.conversation.description
        wire.entries = view.entries.map(entry)
        wire.more = view.hasMore
        wire.moreBefore = view.hasMoreBefore
        wire.moreAfter = view.hasMoreAfter
        wire.floor = view.floor
        return wire
    }

    /// What a search found.
    func results(_ view: SearchView) -> WireResults {
        var wire = WireResults()
        wire.hits = view.hits.map { view in
            var hit = WireHit()
            hit.entry = entry(view.entry)
            hit.snippet = view.snippet
            hit.highlights = view.highlights.map { span in
                var highlight = WireHighlight()
                highlight.start = UInt32(clamping: span.start)
                highlight.length = UInt32(clamping: span.length)
                return highlight
            }
            return hit
        }
        if let cursor = view.cursor { wire.cursor = cursor }
        wire.atLeast = UInt32(clamping: view.atLeast)
        wire.partial = view.isPartial
        wire.indexing = view.isIndexing
        wire.sealedNotSearched = view.isSealedNotSearched
        return wire
    }

    /// A member's marks.
    func mark(_ view: MarkView) -> WireMark {
        var wire = WireMark()
        wire.user = view.user.description
        wire.delivered = view.delivered
        wire.read = view.read
        return wire
    }

    /// A member.
    func member(_ view: MemberView) -> WireMember {
        var wire = WireMember()
        wire.user = view.user.description
        wire.role = view.role.wire
        wire.joinedSeq = view.joinedSeq
        return wire
    }

    /// A user.
    func user(_ view: UserView) -> WireUser {
        var wire = WireUser()
        wire.id = view.id.description
        wire.username = view.username
        wire.displayName = view.displayName
        wire.avatar = view.avatar
        return wire
    }

    /// A user's presence.
    func presence(_ view: PresenceView) -> WirePresence {
        var wire = WirePresence()
        wire.user = view.user.description
        wire.state = view.state.wire
        if let lastSeenMs = view.lastSeenMs { wire.lastSeenMs = lastSeenMs }
        return wire
    }

    /// A node.
    func node(_ view: NodeView) -> WireNode {
        var wire = WireNode()
        wire.id = view.id
        wire.url = view.url
        wire.load = view.load.isFinite ? view.load : 0
        wire.self_p = view.isSelf
        return wire
    }

    /// What clients are told of the limits.
    func limits(_ limits: Limits) -> WireLimits {
        var wire = WireLimits()
        wire.textBytes = UInt32(clamping: limits.textBytes)
        wire.mediaBytes = limits.mediaBytes
        wire.members = UInt32(clamping: limits.members)
        wire.mediaPerMessage = UInt32(clamping: limits.mediaPerMessage)
        wire.frameBytes = UInt32(clamping: limits.frameBytes)
        return wire
    }

    /// The answer to a send.
    func sent(_ sent: Sent) -> WireSent {
        var wire = WireSent()
        wire.conversation = sent.conversation.description
        wire.seq = sent.seq
        wire.m = sent.m
        wire.atMs = sent.atMs
        wire.cid = sent.cid.description
        wire.duplicate = sent.isDuplicate
        return wire
    }
}
