/// Threads as a seam. Production gives lanes threads; the simulator runs all lanes on one
/// thread in an order drawn from its seed, so the order of the world can be replayed.
package protocol Scheduler: Sendable {
    /// A new serial lane: its jobs run one after another in the order they were submitted. `name`
    /// becomes the thread's name (at most 15 bytes are shown by Linux).
    func lane(_ name: String) -> any Lane

    /// The same for lanes that a commit passes one after the other: they may share threads, see
    /// ``Lane/handOver(_:)``.
    func hotLane(_ name: String) -> any Lane
}

extension Scheduler {
    /// A lane as any other.
    package func hotLane(_ name: String) -> any Lane { lane(name) }
}

/// A serial executor that may block on the disk. Never Swift's cooperative pool.
///
/// Lanes carry wake-ups, not items: a queue with a limit lies in front (see ``Mailbox``), and a job
/// drains all of it, so a lane's own backlog stays as short as the number of its mailboxes.
package protocol Lane: Sendable {
    /// Runs `job` after the jobs submitted before it. Never runs it inline.
    func submit(_ job: @escaping @Sendable () -> Void)
    /// As ``submit(_:)``, called by a job that has little left to do: if it runs on a thread that
    /// this lane shares, that thread may take this lane next, so that no other is woken.
    func handOver(_ job: @escaping @Sendable () -> Void)
    /// Runs `job` once, not before `delay` has passed.
    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void)
    /// Finishes the jobs submitted so far, drops timed ones and whatever is submitted later, and
    /// ends the thread, if it is the lane's own. Returns when that is done, unless a job of this
    /// lane calls it.
    func stop()
}

/// When to hand work over to another lane, and when to wake a thread for it.
package enum BriefWork {
    /// With more bytes of commands than this two lanes had better work side by side.
    private static let bytesMax = 2 << 10

    /// True for work that is done sooner than a thread is woken.
    package static func fits(_ bytes: Int) -> Bool { bytes <= bytesMax }
}

extension Lane {
    /// As any other job.
    package func handOver(_ job: @escaping @Sendable () -> Void) { submit(job) }
}
