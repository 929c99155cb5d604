/// Every limit a client can meet, in one place; the defaults are PROTOCOL.md's.
package struct Limits: Equatable, Sendable {
    /// Most bytes of a message's text.
    package var textBytes = 16_384
    /// Most bytes of one upload.
    package var mediaBytes: UInt64 = 100 << 20
    /// Most members of a group.
    package var members = 100_000
    /// Most blobs in one message.
    package var mediaPerMessage = 20
    /// Most bytes of a client's WebSocket frame.
    package var frameBytes = 65_536
    /// Most members named in one call.
    package var membersPerCall = 1_000
    /// Most mentions in one message.
    package var mentionsPerMessage = 256
    /// Most edits of one message: erasing it empties them all.
    package var editsPerMessage: UInt64 = 1_000
    /// Most bytes of a title or display name.
    package var nameBytes = 256
    /// Entries of a page.
    package var pageMax = 200
    /// Entries of a page when none is asked for.
    package var pageDefault = 50
    /// Conversations in one `changed`.
    package var changedMax = 200
    /// Entries streamed per conversation on resume.
    package var resumeTailMax = 200
    /// Conversations in a resume's `have`.
    package var haveMax = 200
    /// Most members of a group whose members see each other's marks, feeds and presence.
    package var smallGroupMembers = 256
    /// Sends per user in ``sendWindowMs``.
    package var sendsPerWindow = 60
    /// The window of ``sendsPerWindow``.
    package var sendWindowMs: Milliseconds = 10_000
    /// Failed sign-ins per user and address and minute.
    package var failedSignInsPerMinute = 5
    /// False: `--rate-limits off`.
    package var isRateLimited = true
    /// How long (conversation, sender, cid) is remembered.
    package var dedupMs: Milliseconds = 30 * 24 * 3_600_000
    /// Seconds between a client's pings.
    package var heartbeatSeconds = 45
    /// Presence time to live.
    package var presenceMs: Milliseconds = 300_000
    /// OFFLINE after a clean close.
    package var cleanCloseMs: Milliseconds = 20_000
    /// A token's life.
    package var tokenMs: Milliseconds = 30 * 24 * 3_600_000
    /// A ticket's life.
    package var ticketMs: Milliseconds = 60_000
    /// Bytes unsent above which ephemeral frames are dropped.
    package var ephemeralBacklogBytes = 64 << 10
    /// Bytes unsent above which a conversation's queued entries become one gap.
    package var collapseBacklogBytes = 256 << 10
    /// Bytes unsent above which a socket is closed.
    package var closeBacklogBytes = 1 << 20
    /// No progress for so long closes a socket that has something unsent.
    package var stalledMs: Milliseconds = 15_000

    /// The defaults.
    package init() {}
}
