/// Where a session's events go: one live socket on one event loop.
///
/// `loop` is the inbox of the event loop that owns the socket; `slot` names the socket there.
package struct SessionEndpoint: Hashable, Sendable {
    /// The inbox that delivers to this socket.
    package let loop: any DeliveryLoop
    /// The socket's number at that loop, never reused.
    package let slot: UInt64

    /// An endpoint.
    package init(loop: any DeliveryLoop, slot: UInt64) {
        self.loop = loop
        self.slot = slot
    }

    /// The same socket.
    package static func == (left: Self, right: Self) -> Bool {
        left.slot == right.slot && left.loop === right.loop
    }

    /// By socket.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(slot)
        hasher.combine(ObjectIdentifier(loop))
    }
}

/// The inbox of an event loop: bounded, never blocks the publisher.
package protocol DeliveryLoop: AnyObject, Sendable {
    /// Hands over a batch; the loop gives each event to each of its receivers, in order.
    func deliver(_ batch: [Delivery])
}

/// An event and the sockets of one loop that hear it.
package struct Delivery: Sendable {
    /// The event, shared by all receivers.
    package let event: SharedEvent
    /// Sockets of the loop.
    package let slots: [UInt64]

    /// A delivery.
    package init(event: SharedEvent, slots: [UInt64]) {
        self.event = event
        self.slots = slots
    }
}
