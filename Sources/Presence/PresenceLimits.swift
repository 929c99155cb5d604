package import ChatModel

/// Every bound and time of a ``PresenceTable``.
package struct PresenceLimits: Equatable, Sendable {
    /// A lease lives so long after its last refresh.
    package var leaseMs: Milliseconds
    /// And so long after a clean close.
    package var cleanCloseMs: Milliseconds
    /// Users with a record: present ones, and absent ones whose last seen is not written yet.
    package var users = 12_000_000
    /// Leases of all users, those included that wait for their wheel entry.
    package var leases = 16_000_000
    /// Leases of one user.
    package var leasesPerUser = 64
    /// Wheel entries looked at in one tick; the rest is carried over to the next.
    package var visitsPerTick = 40_000

    /// The times clients are promised.
    package init(limits: Limits = Limits()) {
        leaseMs = limits.presenceMs
        cleanCloseMs = limits.cleanCloseMs
    }
}

/// When an input arrives, by both clocks.
package struct PresenceMoment: Equatable, Sendable {
    /// A clock that never goes back, in milliseconds: deadlines.
    package var nowMs: Milliseconds
    /// Milliseconds since 1970: last seen.
    package var wallMs: Milliseconds

    /// A moment.
    package init(nowMs: Milliseconds, wallMs: Milliseconds) {
        self.nowMs = nowMs
        self.wallMs = wallMs
    }
}

/// One socket's claim that its user is here. The node numbers them; never reused while alive.
package struct LeaseID: Hashable, Sendable {
    /// The number.
    package let rawValue: UInt64

    /// A lease's name.
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A last seen time on its way to the store.
package struct LastSeenRow: Equatable, Sendable {
    /// Whose.
    package var user: UserID
    /// The last activity.
    package var atMs: Milliseconds

    /// A row.
    package init(user: UserID, atMs: Milliseconds) {
        self.user = user
        self.atMs = atMs
    }
}
