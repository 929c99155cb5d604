/// How bad a simulated network is; odds are of 65,536.
package struct NetworkProfile: Sendable {
    /// How long a frame takes.
    package var delay = LaneDelay(minimumNanoseconds: 200_000, meanNanoseconds: 300_000)
    /// How often a frame is lost though the channel stays.
    package var lossOdds: UInt64 = 0
    /// How often a frame that was under way when its channel went still arrives, after frames of
    /// the next one.
    package var staleOdds: UInt64 = 0
    /// How often the last frames of a channel come again over the next one, as a sender that does
    /// not know what was lost repeats them.
    package var replayOdds: UInt64 = 0
    /// Frames that may be under way on a link.
    package var queueMax = 4_096
    /// From the loss of a channel to the next attempt, on average.
    package var reconnectNanoseconds: UInt64 = 100_000_000
    /// How long a channel survives a link that is cut, on average.
    package var timeoutNanoseconds: UInt64 = 5_000_000_000

    /// A good network.
    package init() {}
}
