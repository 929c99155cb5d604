/// What is due at some time: a binary heap by deadline, then by the order of submission.
struct SimulatedTimers {
    typealias Job = @Sendable () -> Void

    /// Something that a lane is to do at a time.
    struct Timer {
        let deadline: UInt64
        let order: UInt64
        let lane: Int
        /// Nil: the lane's own wait is over, see ``SimulatedScheduler``.
        let job: Job?

        static func < (left: Self, right: Self) -> Bool {
            left.deadline != right.deadline
                ? left.deadline < right.deadline : left.order < right.order
        }
    }

    private var heap: [Timer] = []
    private var nextOrder: UInt64 = 0

    /// The earliest deadline.
    var nextDeadline: UInt64? { heap.first?.deadline }

    mutating func add(_ lane: Int, at deadline: UInt64, _ job: Job?) {
        heap.append(Timer(deadline: deadline, order: nextOrder, lane: lane, job: job))
        nextOrder += 1
        siftUp(heap.count - 1)
    }

    /// The earliest timer, when it is due.
    mutating func popDue(_ now: UInt64) -> Timer? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
        return first
    }

    /// Takes the timers of some lanes out, so that the caller lets their jobs go.
    mutating func removeAll(where isGone: (Int) -> Bool) -> [Timer] {
        let gone = heap.filter { isGone($0.lane) }
        if gone.isEmpty { return [] }
        // A sorted array is a heap.
        heap = heap.filter { !isGone($0.lane) }.sorted(by: <)
        return gone
    }

    /// Lanes that wait for their disk, not for a job's time, wait no longer than until `deadline`.
    mutating func hasten(_ deadline: UInt64, where isMeant: (Int) -> Bool) {
        heap = heap.map { timer in
            guard timer.job == nil, timer.deadline > deadline, isMeant(timer.lane) else {
                return timer
            }
            return Timer(deadline: deadline, order: timer.order, lane: timer.lane, job: nil)
        }.sorted(by: <)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
