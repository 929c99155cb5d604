import Synchronization

/// A bounded queue in front of a lane: many threads put items in, the lane's job takes all of them
/// at once. One wake-up is under way at most, however many items arrive.
package final class Mailbox<Item: Sendable>: Sendable {
    private struct State {
        var items: [Item] = []
        var isWakeUpPending = false
        var isClosed = false
    }

    private let state = Mutex(State())
    private let limit: Int
    private let lane: any Lane
    private let drain: @Sendable ([Item]) -> Void

    /// A mailbox whose items `drain` gets on `lane`, in order, in batches.
    ///
    /// - Parameter limit: items that may wait; above it ``put(_:)`` answers false.
    package init(limit: Int, lane: any Lane, drain: @escaping @Sendable ([Item]) -> Void) {
        precondition(limit > 0, "a mailbox needs room")
        self.limit = limit
        self.lane = lane
        self.drain = drain
    }

    /// Items waiting now.
    package var count: Int { state.withLock { $0.items.count } }

    /// Adds an item; false when the mailbox is full or closed, and then nothing happened.
    @discardableResult
    package func put(_ item: Item) -> Bool {
        enqueue(item, isLimited: true, isHandedOver: false)
    }

    /// Adds an item whatever the limit: for completions, whose number is bounded by what was asked.
    ///
    /// - Parameter isHandedOver: the job that calls has little left to do, see
    ///   ``Lane/handOver(_:)``.
    @discardableResult
    package func putCompletion(_ item: Item, isHandedOver: Bool = false) -> Bool {
        enqueue(item, isLimited: false, isHandedOver: isHandedOver)
    }

    /// Refuses further items; those that wait are still drained.
    package func close() {
        state.withLock { $0.isClosed = true }
    }

    private func enqueue(_ item: Item, isLimited: Bool, isHandedOver: Bool) -> Bool {
        let (accepted, mustWake) = state.withLock { state -> (Bool, Bool) in
            if state.isClosed || (isLimited && state.items.count >= limit) { return (false, false) }
            state.items.append(item)
            defer { state.isWakeUpPending = true }
            return (true, !state.isWakeUpPending)
        }
        if mustWake {
            if isHandedOver {
                lane.handOver { [self] in runDrain() }
            } else {
                lane.submit { [self] in runDrain() }
            }
        }
        return accepted
    }

    private func runDrain() {
        let items = state.withLock { state -> [Item] in
            state.isWakeUpPending = false
            let items = state.items
            state.items = []
            state.items.reserveCapacity(items.count)
            return items
        }
        if !items.isEmpty { drain(items) }
    }
}
