import Bytes
package import ChatModel

/// Who is here until when: users' leases with a time to live, in memory, on the apply lane.
///
/// A socket is a *lease*. It is refreshed by signs of life and ends a time to live after the last
/// one, or 20 s after a clean close. A user is ONLINE while an active lease lives, AWAY while only
/// inactive ones do, OFFLINE otherwise. A closed lease counts until it ends, so that a client that
/// comes straight back does not flicker.
///
/// Going OFFLINE is said exactly once, with the last activity, which is never in the future. Last
/// seen times go to a write-behind list: when a user goes OFFLINE, and at most once per quarter of
/// the time to live while they are here; so a crash loses at most a quarter of precision. An absent
/// user's record is dropped once the store has acknowledged it.
///
/// Cost: 32 bytes a user, 32 a lease, 4 of wheel, about 6 of index. A refresh writes one record of
/// each kind and leaves the wheel alone; a tick looks at a bounded number of wheel entries and
/// carries the rest over.
package struct PresenceTable {
    struct User {
        var id: UserID
        /// The last activity by the wall clock; 0 when never.
        var seenMs: Milliseconds
        /// When last seen was last put on the dirty list, by ticks.
        var writtenTick: UInt32
        /// Head of the list of leases; `none` at the end.
        var lease: UInt32
        var leaseCount: UInt16
        var state: PresenceState
        var isDirty: Bool
    }

    struct Lease {
        var id: UInt64
        var user: UInt32
        var next: UInt32
        /// The tick at which it ends.
        var deadline: UInt32
        /// Entries on the wheel; the record is free when there are none and it has ended.
        var entries: UInt8
        var isActive: Bool
        var isClosed: Bool
        /// False once it has ended.
        var isAlive: Bool
    }

    static let none = UInt32.max
    static let nobody = UserID(high: 0, low: 0)

    let limits: PresenceLimits
    let startMs: Milliseconds
    var users: RecordPool<User>
    var leases: RecordPool<Lease>
    var index = UserIndex()
    var wheel = TimingWheel()
    var dirty = DirtyList()
    /// Connects that found the table full.
    package private(set) var refusedCount: UInt64 = 0
    /// Entries of the wheel looked at since the start.
    package private(set) var visitCount: UInt64 = 0

    /// An empty table whose time begins at `nowMs`.
    package init(limits: PresenceLimits = PresenceLimits(), startingAt nowMs: Milliseconds) {
        self.limits = limits
        startMs = nowMs
        users = RecordPool(
            blank: User(
                id: Self.nobody, seenMs: 0, writtenTick: 0, lease: Self.none, leaseCount: 0,
                state: .offline, isDirty: false))
        leases = RecordPool(
            blank: Lease(
                id: 0, user: Self.none, next: Self.none, deadline: 0, entries: 0, isActive: false,
                isClosed: false, isAlive: false))
    }

    /// Users with a record.
    package var userCount: Int { users.count }
    /// Leases with a record, ended ones included whose wheel entry has not come round.
    package var leaseCount: Int { leases.count }

    /// A user's presence; OFFLINE without last seen for a user without a record: ask the store.
    package func view(of user: UserID) -> PresenceView {
        guard let number = find(user) else {
            return PresenceView(user: user, state: .offline, lastSeenMs: nil)
        }
        return view(number)
    }

    // MARK: Signs of life

    /// A socket opened: it counts as activity.
    ///
    /// - Returns: the user's presence when its state changed.
    package mutating func connect(
        _ user: UserID, _ lease: LeaseID, isActive: Bool, at moment: PresenceMoment
    ) -> PresenceView? {
        if let number = find(user), self.lease(lease, of: number) != nil {
            return refresh(user, lease, isActive: isActive, at: moment)
        }
        return open(
            user, lease.rawValue, isActive: isActive, isClosed: false,
            untilMs: moment.nowMs &+ limits.leaseMs, seenMs: moment.wallMs, at: moment)
    }

    /// A sign of life over a socket; an active one counts as activity. An unknown lease (it ended,
    /// or the table was full) connects anew.
    ///
    /// - Returns: the user's presence when its state changed.
    package mutating func refresh(
        _ user: UserID, _ lease: LeaseID, isActive: Bool, at moment: PresenceMoment
    ) -> PresenceView? {
        guard let number = find(user), let record = self.lease(lease, of: number),
            !leases[record].isClosed
        else { return connectAnew(user, lease, isActive: isActive, at: moment) }
        leases[record].isActive = isActive
        leases[record].deadline = deadline(moment.nowMs &+ limits.leaseMs)
        if isActive { see(number, moment.wallMs, at: moment) }
        return settle(number, at: moment)
    }

    /// A socket is gone. After a clean close its lease ends 20 s later, otherwise it lives on for
    /// the rest of its time. Either way the user's state does not change at once.
    package mutating func disconnect(
        _ user: UserID, _ lease: LeaseID, isClean: Bool, at moment: PresenceMoment
    ) {
        guard let number = find(user), let record = self.lease(lease, of: number),
            !leases[record].isClosed
        else { return }
        leases[record].isClosed = true
        guard isClean else { return }
        if leases[record].isActive { see(number, moment.wallMs, at: moment) }
        let end = deadline(moment.nowMs &+ limits.cleanCloseMs)
        guard end < leases[record].deadline else { return }
        leases[record].deadline = end
        leases[record].entries += 1
        wheel.arm(record, at: end)
    }

    /// After a restart: a user who was here counts as here until clients had time to come back.
    ///
    /// - Parameter graceMs: how long.
    /// - Returns: the user's presence when its state changed.
    package mutating func restore(
        _ row: LastSeenRow, isActive: Bool, graceMs: Milliseconds, at moment: PresenceMoment
    ) -> PresenceView? {
        open(
            row.user, 0, isActive: isActive, isClosed: true, untilMs: moment.nowMs &+ graceMs,
            seenMs: row.atMs, at: moment)
    }

    // MARK: Time

    /// Ends the leases that are due.
    ///
    /// - Returns: users whose state changed, in the order of their ends; at most
    ///   ``PresenceLimits/visitsPerTick`` entries are looked at, see ``isBehind(at:)``.
    package mutating func tick(at moment: PresenceMoment) -> [PresenceView] {
        let now = tickNumber(moment.nowMs)
        var ended: [UInt32] = []
        var visits = 0
        while visits < limits.visitsPerTick, let record = wheel.next(upTo: now) {
            visits += 1
            leases[record].entries -= 1
            if leases[record].isAlive, leases[record].deadline <= now {
                ended.append(end(record))
            }
            if leases[record].entries == 0 {
                if leases[record].isAlive {
                    leases[record].entries = 1
                    wheel.arm(record, at: leases[record].deadline)
                } else {
                    leases.release(record)
                }
            }
        }
        visitCount &+= UInt64(visits)
        // Only now, so that a user whose devices end together changes once.
        return ended.compactMap { settle($0, at: moment) }
    }

    /// True while a tick left due entries for the next.
    package func isBehind(at moment: PresenceMoment) -> Bool {
        wheel.tick < tickNumber(moment.nowMs)
    }

    // MARK: Inside

    func find(_ user: UserID) -> UInt32? { index.find(user) { users[$0].id } }

    func view(_ number: UInt32) -> PresenceView {
        let user = users[number]
        let isShown = user.state != .online && user.seenMs > 0
        return PresenceView(
            user: user.id, state: user.state, lastSeenMs: isShown ? user.seenMs : nil)
    }

    func lease(_ id: LeaseID, of number: UInt32) -> UInt32? {
        var record = users[number].lease
        while record != Self.none {
            if leases[record].id == id.rawValue, !leases[record].isClosed { return record }
            record = leases[record].next
        }
        return nil
    }

    private mutating func connectAnew(
        _ user: UserID, _ lease: LeaseID, isActive: Bool, at moment: PresenceMoment
    ) -> PresenceView? {
        open(
            user, lease.rawValue, isActive: isActive, isClosed: false,
            untilMs: moment.nowMs &+ limits.leaseMs, seenMs: moment.wallMs, at: moment)
    }

    private mutating func open(
        _ user: UserID, _ id: UInt64, isActive: Bool, isClosed: Bool, untilMs: Milliseconds,
        seenMs: Milliseconds, at moment: PresenceMoment
    ) -> PresenceView? {
        guard leases.count < limits.leases, let number = find(user) ?? makeUser(user),
            Int(users[number].leaseCount) < limits.leasesPerUser
        else {
            refusedCount &+= 1
            return nil
        }
        let end = deadline(untilMs)
        let record = leases.take(
            Lease(
                id: id, user: number, next: users[number].lease, deadline: end, entries: 1,
                isActive: isActive, isClosed: isClosed, isAlive: true))
        users[number].lease = record
        users[number].leaseCount += 1
        wheel.arm(record, at: end)
        see(number, min(seenMs, moment.wallMs), at: moment)
        return settle(number, at: moment)
    }

    private mutating func makeUser(_ user: UserID) -> UInt32? {
        guard users.count < limits.users else { return nil }
        let number = users.take(
            User(
                id: user, seenMs: 0, writtenTick: 0, lease: Self.none, leaseCount: 0,
                state: .offline, isDirty: false))
        index.insert(user, number) { users[$0].id }
        return number
    }

    /// Takes a lease off its user, and answers who that is.
    private mutating func end(_ record: UInt32) -> UInt32 {
        let number = leases[record].user
        leases[record].isAlive = false
        if users[number].lease == record {
            users[number].lease = leases[record].next
        } else {
            var before = users[number].lease
            while leases[before].next != record { before = leases[before].next }
            leases[before].next = leases[record].next
        }
        users[number].leaseCount -= 1
        return number
    }

    /// Recomputes the state from the leases; answers it when it changed.
    private mutating func settle(_ number: UInt32, at moment: PresenceMoment) -> PresenceView? {
        var state = PresenceState.offline
        var record = users[number].lease
        while record != Self.none, state != .online {
            state = leases[record].isActive ? .online : .away
            record = leases[record].next
        }
        guard state != users[number].state else { return nil }
        users[number].state = state
        if state == .offline {
            // A wall clock that was set back must not leave a last seen in the future.
            users[number].seenMs = min(users[number].seenMs, moment.wallMs)
            markDirty(number, at: moment)
        }
        return view(number)
    }

    /// Activity: last seen moves on, never back.
    private mutating func see(
        _ number: UInt32, _ wallMs: Milliseconds, at moment: PresenceMoment
    ) {
        users[number].seenMs = max(users[number].seenMs, wallMs)
        let quarter = UInt32(clamping: limits.leaseMs / 4_000)
        let now = tickNumber(moment.nowMs)
        if users[number].writtenTick == 0 || now >= users[number].writtenTick &+ quarter {
            markDirty(number, at: moment)
        }
    }

    private mutating func markDirty(_ number: UInt32, at moment: PresenceMoment) {
        users[number].writtenTick = max(1, tickNumber(moment.nowMs))
        guard !users[number].isDirty else { return }
        users[number].isDirty = true
        dirty.append(number)
    }

    /// Whole seconds since the start that have passed.
    func tickNumber(_ nowMs: Milliseconds) -> UInt32 {
        UInt32(clamping: (nowMs > startMs ? nowMs - startMs : 0) / 1_000)
    }

    /// The first tick at which `ms` has been reached: never early.
    func deadline(_ ms: Milliseconds) -> UInt32 {
        let passed = ms > startMs ? ms - startMs : 0
        return UInt32(clamping: passed / 1_000 + (passed % 1_000 == 0 ? 0 : 1))
    }
}
