import ChatModel
import Platform
import Synchronization

/// Lanes that may block, each behind a bounded queue: cold reads and password hashing run here.
final class LanePool: Sendable {
    typealias Job = @Sendable () -> Void

    private let mailboxes: [Mailbox<Job>]
    private let lanes: [any Lane]
    private let next = Atomic<Int>(0)

    /// `count` lanes that share `limit` waiting jobs evenly.
    init(name: String, count: Int, limit: Int, scheduler: any Scheduler) {
        precondition(count > 0, "a pool needs a lane")
        lanes = (0..<count).map { scheduler.lane("\(name)-\($0)") }
        mailboxes = lanes.map { lane in
            Mailbox(limit: max(1, limit / count), lane: lane) { jobs in
                for job in jobs { job() }
            }
        }
    }

    /// Runs `job` on some lane; false when the queue is full, and then it never runs.
    func run(_ job: @escaping Job) -> Bool {
        let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return run(at: turn, job)
    }

    /// Runs `job` on the lane of `key`: jobs of one key run in order.
    func run(at key: Int, _ job: @escaping Job) -> Bool {
        mailboxes[(key & Int.max) % mailboxes.count].put(job)
    }

    func stop() {
        for mailbox in mailboxes { mailbox.close() }
        for lane in lanes { lane.stop() }
    }
}
