/// Every bound of a ``Hub``, in one place.
package struct HubLimits: Equatable, Sendable {
    /// Live sockets of the node.
    package var endpoints = 200_000
    /// Live sockets of one user.
    package var endpointsPerUser = 64
    /// Event loops that deliver; few, and never forgotten.
    package var loops = 256
    /// Conversations that one socket watches.
    package var watchedConversations = 64
    /// Users that one socket watches.
    package var watchedUsers = 512
    /// Receivers (socket and event) collected before the hub flushes by itself.
    package var collectedReceivers = 65_536

    /// The defaults.
    package init() {}
}
