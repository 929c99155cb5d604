import Bytes

extension Replica {
    /// Notes that the way to the leader is gone, which the driver saw before the election timer
    /// could: the process ended, or the connection broke. The replica no longer vouches for the
    /// leader, and campaigns within a few ticks unless it hears from it again. Pre-vote keeps this
    /// harmless where only the own connection broke: the others still hear the leader, and refuse.
    package mutating func noteLeaderUnreachable() {
        guard role == .follower, leader != nil, leader != id else { return }
        electionElapsed = max(electionElapsed, options.electionTicks)
        let wait = Int(generator.next() % UInt64(4))
        electionTimeout = electionElapsed + 1 + wait
    }
}
