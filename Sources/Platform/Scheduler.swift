/// Threads as a seam. Production gives every lane a thread; the simulator runs all lanes on one
/// thread in an order drawn from its seed, so the order of the world can be replayed.
package protocol Scheduler: Sendable {
    /// A new serial lane: its jobs run one after another in the order they were submitted. `name`
    /// becomes the thread's name (at most 15 bytes are shown by Linux).
    func lane(_ name: String) -> any Lane
}

/// A serial executor that may block on the disk. Never Swift's cooperative pool.
///
/// Lanes carry wake-ups, not items: a queue with a limit lies in front (see ``Mailbox``), and a job
/// drains all of it, so a lane's own backlog stays as short as the number of its mailboxes.
package protocol Lane: Sendable {
    /// Runs `job` after the jobs submitted before it. Never runs it inline.
    func submit(_ job: @escaping @Sendable () -> Void)
    /// Runs `job` once, not before `delay` has passed.
    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void)
    /// Finishes the jobs submitted so far, drops timed ones and whatever is submitted later, and
    /// ends the thread. Returns when the thread has ended, unless a job of this lane calls it.
    func stop()
}
