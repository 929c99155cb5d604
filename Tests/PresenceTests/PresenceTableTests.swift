import Bytes
import ChatModel
import Testing

@testable import Presence

struct PresenceTableTests {
    private let ann = UserID(high: 1, low: 1)
    private let first = LeaseID(rawValue: 1)
    private let second = LeaseID(rawValue: 2)
    private let wall: Milliseconds = 1_700_000_000_000

    private func moment(_ seconds: Milliseconds) -> PresenceMoment {
        PresenceMoment(nowMs: 5_000 + seconds * 1_000, wallMs: wall + seconds * 1_000)
    }

    private func table() -> PresenceTable { PresenceTable(startingAt: 5_000) }

    @Test("A user is online from the first socket on")
    func online() {
        var table = table()
        let change = table.connect(ann, first, isActive: true, at: moment(0))
        #expect(change == PresenceView(user: ann, state: .online, lastSeenMs: nil))
        #expect(table.view(of: ann).state == .online)
    }

    @Test("An unknown user is offline, last seen unknown")
    func unknown() {
        #expect(table().view(of: ann) == PresenceView(user: ann, state: .offline, lastSeenMs: nil))
    }

    @Test("An inactive socket shows away with the last activity, an active one online again")
    func away() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        let away = table.refresh(ann, first, isActive: false, at: moment(10))
        #expect(away == PresenceView(user: ann, state: .away, lastSeenMs: wall))
        #expect(table.refresh(ann, first, isActive: false, at: moment(20)) == nil)
        #expect(table.refresh(ann, first, isActive: true, at: moment(30))?.state == .online)
    }

    @Test("A lost socket goes offline after the time to live, with the last activity, once")
    func lost() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        _ = table.refresh(ann, first, isActive: true, at: moment(100))
        table.disconnect(ann, first, isClean: false, at: moment(120))
        #expect(table.tick(at: moment(399)).isEmpty)
        let gone = PresenceView(user: ann, state: .offline, lastSeenMs: wall + 100_000)
        #expect(table.tick(at: moment(400)) == [gone])
        #expect(table.tick(at: moment(4_000)).isEmpty)
        #expect(table.leaseCount == 0)
    }

    @Test("A clean close goes offline after 20 s")
    func clean() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        table.disconnect(ann, first, isClean: true, at: moment(50))
        #expect(table.tick(at: moment(69)).isEmpty)
        #expect(table.view(of: ann).state == .online)
        #expect(table.tick(at: moment(70)).map(\.state) == [.offline])
    }

    @Test("Who comes back within the 20 s never went")
    func back() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        table.disconnect(ann, first, isClean: true, at: moment(50))
        #expect(table.connect(ann, second, isActive: true, at: moment(60)) == nil)
        for second in 61...300 {
            #expect(table.tick(at: moment(Milliseconds(second))).isEmpty)
        }
        #expect(table.view(of: ann).state == .online)
    }

    @Test("Another device keeps the user online")
    func devices() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        _ = table.connect(ann, second, isActive: false, at: moment(0))
        table.disconnect(ann, first, isClean: true, at: moment(1))
        #expect(table.tick(at: moment(30)).map(\.state) == [.away])
        #expect(table.tick(at: moment(300)).map(\.state) == [.offline])
    }

    @Test("A wall clock set back leaves no last seen in the future")
    func clockSetBack() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        let later = PresenceMoment(nowMs: moment(400).nowMs, wallMs: wall - 60_000)
        #expect(table.tick(at: later).map(\.lastSeenMs) == [wall - 60_000])
    }

    @Test("A tick looks at a bounded number of entries and carries the rest over")
    func bounded() {
        var limits = PresenceLimits()
        limits.visitsPerTick = 10
        var table = PresenceTable(limits: limits, startingAt: 5_000)
        for number in 1...25 {
            let user = UserID(high: 7, low: UInt64(number))
            _ = table.connect(
                user, LeaseID(rawValue: UInt64(number)), isActive: true, at: moment(0))
        }
        #expect(table.tick(at: moment(400)).count == 10)
        #expect(table.isBehind(at: moment(400)))
        #expect(table.tick(at: moment(400)).count == 10)
        #expect(table.tick(at: moment(400)).count == 5)
        #expect(!table.isBehind(at: moment(400)))
    }

    @Test("A full table refuses and says so")
    func full() {
        var limits = PresenceLimits()
        limits.users = 1
        var table = PresenceTable(limits: limits, startingAt: 5_000)
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        let bob = UserID(high: 2, low: 2)
        #expect(table.connect(bob, second, isActive: true, at: moment(0)) == nil)
        #expect(table.refusedCount == 1)
        #expect(table.view(of: bob).state == .offline)
    }

    @Test("Last seen is written on going offline, and the record then dropped")
    func writeBehind() {
        var table = table()
        _ = table.connect(ann, first, isActive: true, at: moment(0))
        #expect(table.takeDirty(max: 10) == [LastSeenRow(user: ann, atMs: wall)])
        _ = table.refresh(ann, first, isActive: true, at: moment(10))
        #expect(table.dirtyCount == 0, "within a quarter of the time to live nothing is written")
        _ = table.refresh(ann, first, isActive: true, at: moment(80))
        #expect(table.takeDirty(max: 10) == [LastSeenRow(user: ann, atMs: wall + 80_000)])
        _ = table.refresh(ann, first, isActive: true, at: moment(90))
        _ = table.tick(at: moment(500))
        let rows = table.takeDirty(max: 10)
        #expect(rows == [LastSeenRow(user: ann, atMs: wall + 90_000)])
        #expect(table.userCount == 1)
        table.putBack(rows)
        #expect(table.takeDirty(max: 10) == rows)
        table.acknowledge(rows)
        #expect(table.userCount == 0)
    }

    @Test("After a restart nobody is offline until they had time to come back")
    func restart() {
        var table = table()
        let row = LastSeenRow(user: ann, atMs: wall - 1_000)
        #expect(
            table.restore(row, isActive: true, graceMs: 60_000, at: moment(0))?.state == .online)
        #expect(table.tick(at: moment(59)).isEmpty)
        let gone = PresenceView(user: ann, state: .offline, lastSeenMs: wall - 1_000)
        #expect(table.tick(at: moment(60)) == [gone])
    }

    @Test("Random operations agree with a simple model", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func model(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var table = table()
        var model = PresenceModel()
        var second: Milliseconds = 0
        for step in 0..<6_000 {
            let user = UserID(high: 9, low: UInt64.random(in: 1...40, using: &random))
            let lease = LeaseID(
                rawValue: user.low * 100 + UInt64.random(in: 0..<3, using: &random))
            let isActive = Bool.random(using: &random)
            let now = moment(second)
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                let got = table.connect(user, lease, isActive: isActive, at: now)
                #expect(got == model.sign(user, lease, isActive, true, now), "seed \(seed) \(step)")
            case 2, 3, 4:
                let got = table.refresh(user, lease, isActive: isActive, at: now)
                #expect(
                    got == model.sign(user, lease, isActive, false, now), "seed \(seed) \(step)")
            case 5:
                let isClean = Bool.random(using: &random)
                table.disconnect(user, lease, isClean: isClean, at: now)
                model.disconnect(user, lease, isClean, now)
            case 6:
                let rows = table.takeDirty(max: 5)
                table.acknowledge(rows)
            default:
                second += Milliseconds.random(in: 0...40, using: &random)
                let changes = table.tick(at: moment(second)).sorted { $0.user < $1.user }
                #expect(changes == model.tick(moment(second)), "seed \(seed) step \(step)")
            }
            #expect(table.view(of: user).state == model.state(user), "seed \(seed) step \(step)")
        }
        let end = moment(second + 10_000)
        #expect(table.tick(at: end).sorted { $0.user < $1.user } == model.tick(end))
        while case let rows = table.takeDirty(max: 7), !rows.isEmpty { table.acknowledge(rows) }
        #expect(table.userCount == 0, "seed \(seed)")
        #expect(table.leaseCount == 0, "seed \(seed)")
    }

    @Test("Twelve thousand users expire, come back and leave no trace")
    func many() {
        var table = table()
        for number in 0..<12_000 {
            let user = UserID(high: 3, low: UInt64(number))
            _ = table.connect(
                user, LeaseID(rawValue: UInt64(number)), isActive: true, at: moment(0))
        }
        #expect(table.tick(at: moment(150)).isEmpty)
        for number in stride(from: 0, to: 12_000, by: 2) {
            let user = UserID(high: 3, low: UInt64(number))
            _ = table.refresh(
                user, LeaseID(rawValue: UInt64(number)), isActive: true, at: moment(200))
        }
        let gone = table.tick(at: moment(310)).count + table.tick(at: moment(310)).count
        #expect(gone == 6_000)
        #expect(table.visitCount < 30_000, "a refresh costs the wheel nothing")
        #expect(table.view(of: UserID(high: 3, low: 4)).state == .online)
        #expect(table.view(of: UserID(high: 3, low: 5)).state == .offline)
    }
}

/// Everything in plain dictionaries, looked through as a whole every time.
private struct PresenceModel {
    struct Lease {
        var deadlineMs: Milliseconds
        var isActive: Bool
        var isClosed: Bool
    }
    struct User {
        var leases: [(id: LeaseID, lease: Lease)] = []
        var seenMs: Milliseconds = 0
        var state = PresenceState.offline
    }
    var users: [UserID: User] = [:]

    func state(_ user: UserID) -> PresenceState { users[user]?.state ?? .offline }

    mutating func sign(
        _ id: UserID, _ lease: LeaseID, _ isActive: Bool, _ isConnect: Bool, _ now: PresenceMoment
    ) -> PresenceView? {
        var user = users[id] ?? User()
        let index = user.leases.firstIndex { $0.id == lease && !$0.lease.isClosed }
        let end = now.nowMs + 300_000
        if let index {
            user.leases[index].lease.deadlineMs = end
            user.leases[index].lease.isActive = isActive
            if isActive { user.seenMs = max(user.seenMs, now.wallMs) }
        } else {
            let fresh = Lease(deadlineMs: end, isActive: isActive, isClosed: false)
            user.leases.append((lease, fresh))
            user.seenMs = max(user.seenMs, now.wallMs)
        }
        users[id] = user
        return settle(id, now)
    }

    mutating func disconnect(
        _ id: UserID, _ lease: LeaseID, _ isClean: Bool, _ now: PresenceMoment
    ) {
        guard var user = users[id],
            let index = user.leases.firstIndex(where: { $0.id == lease && !$0.lease.isClosed })
        else { return }
        user.leases[index].lease.isClosed = true
        if isClean {
            if user.leases[index].lease.isActive { user.seenMs = max(user.seenMs, now.wallMs) }
            let end = now.nowMs + 20_000
            user.leases[index].lease.deadlineMs = min(end, user.leases[index].lease.deadlineMs)
        }
        users[id] = user
    }

    mutating func tick(_ now: PresenceMoment) -> [PresenceView] {
        var changes: [PresenceView] = []
        for id in users.keys.sorted() {
            // One change for each lease that ends, in the order of their ends.
            while let due = users[id]?.leases.indices.filter({
                (users[id]?.leases[$0].lease.deadlineMs ?? .max) <= now.nowMs
            }).first {
                users[id]?.leases.remove(at: due)
            }
            if let change = settle(id, now) { changes.append(change) }
        }
        return changes
    }

    private mutating func settle(_ id: UserID, _ now: PresenceMoment) -> PresenceView? {
        guard var user = users[id] else { return nil }
        let isOnline = user.leases.contains { $0.lease.isActive }
        let state: PresenceState =
            isOnline ? .online : user.leases.isEmpty ? .offline : .away
        defer { users[id] = user }
        guard state != user.state else { return nil }
        user.state = state
        return PresenceView(
            user: id, state: state, lastSeenMs: state == .online ? nil : user.seenMs)
    }
}
