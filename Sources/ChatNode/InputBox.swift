import Platform
import Synchronization

/// A bounded queue whose consumer is made after it: lanes that feed each other need doors before
/// they have rooms.
final class InputBox<Input: Sendable>: Sendable {
    /// A closure in a struct: a mutex over a bare closure type wraps it anew at every access.
    private struct Consumer: Sendable {
        let take: @Sendable ([Input]) -> Void
    }

    private final class Door: Sendable {
        let consumer = Mutex<Consumer?>(nil)
    }

    private let mailbox: Mailbox<Input>
    private let door = Door()

    init(limit: Int, lane: any Lane) {
        let door = door
        mailbox = Mailbox(limit: limit, lane: lane) { inputs in
            guard let consumer = door.consumer.withLock({ $0 }) else {
                preconditionFailure("a box is opened before anything is put into it")
            }
            consumer.take(inputs)
        }
    }

    /// From now on `consumer` gets the inputs, on the lane. Called once, before the first input.
    func open(_ consumer: @escaping @Sendable ([Input]) -> Void) {
        door.consumer.withLock { $0 = Consumer(take: consumer) }
    }

    /// Queues an input; false when the queue is full or closed.
    func put(_ input: Input) -> Bool { mailbox.put(input) }

    /// Queues an input whose number is bounded by what was asked for.
    ///
    /// - Parameter isHandedOver: the job that calls ends soon, see `Lane.handOver`.
    func putCompletion(_ input: Input, isHandedOver: Bool = false) {
        mailbox.putCompletion(input, isHandedOver: isHandedOver)
    }

    func close() { mailbox.close() }

    /// Lets the consumer go, and with it what it holds: lanes that feed each other would keep each
    /// other. Called once the lane has stopped.
    func empty() {
        let last = door.consumer.withLock { consumer -> Consumer? in
            let last = consumer
            consumer = Consumer { _ in }
            return last
        }
        withExtendedLifetime(last) {}
    }
}
