package import ChatModel

/// Every bound of one session's memory and waiting, in one place. ``Limits`` holds those a client
/// is told; these are the server's own.
///
/// Worst case of one session, all tables full: about 300 KiB, most of it in `conversations`,
/// `knownMarks` and `gaps`; a quiet one holds less than 4 KiB. Held events are references to what
/// all receivers share.
package struct SessionLimits: Equatable, Sendable {
    /// Time for a valid `auth` after the socket opened.
    package var authMs: Milliseconds = 10_000
    /// Requests that wait for the node; above it they are refused.
    package var outstanding = 256
    /// Bytes of a request's id.
    package var idBytes = 64
    /// Conversations whose stream is remembered; the longest untouched are forgotten.
    package var conversations = 1_024
    /// Marks remembered as sent, so that a ping need not repeat them.
    package var knownMarks = 1_024
    /// Conversations whose news wait as one `gap` each.
    package var gaps = 1_024
    /// Live events that wait behind a resume.
    package var heldEvents = 256
    /// Presence changes that wait behind the answer to `watch`.
    package var heldPresence = 128
    /// Conversations in one `mark` frame, and with coalesced marks.
    package var marks = 256
    /// Coalesced marks proposed at a time.
    package var marksPerFlush = 64
    /// Marks of one conversation within this time become one command.
    package var markMs: Milliseconds = 250
    /// How long an answer waits for the entries before it, and a feed's news for its entry.
    package var reorderMs: Milliseconds = 300
    /// Conversations in one `watch`.
    package var watchedConversations = 64
    /// Users in one `watch`.
    package var watchedUsers = 512
    /// Pages and searches being answered at a time; more wait.
    package var readsInFlight = 2
    /// Bytes of one answered page, which is cut and says `more` when it is longer, and of one
    /// answer to a search, which is made of fewer hits then.
    package var pageBytes = 128 << 10
    /// Bytes of one conversation's tail on resume; above it a `gap`.
    package var tailBytes = 256 << 10
    /// Bytes of one `ready` or `changed`.
    package var changedBytes = 128 << 10
    /// Frames a second that a client may send for long.
    package var framesPerSecond: Milliseconds = 60
    /// Frames it may send at once.
    package var frameBurst: Milliseconds = 240
    /// Frames refused, without a pause between, before the socket is closed with 4006.
    package var refusedFrames = 600
    /// How often frames refresh the user's presence.
    package var presenceMs: Milliseconds = 30_000
    /// Wait asked of a client whose socket closes for a passing reason.
    package var comeBackMs: Milliseconds = 1_000
    /// Wait asked of a client whose socket the node could not take in.
    package var crowdedMs: Milliseconds = 10_000

    /// The defaults.
    package init() {}
}
