import Platform
import Simulation
import Testing

@testable import RecordLog

/// Power goes at every operation of a script that appends, syncs, marks, rotates, releases and
/// reuses: what is recovered is a prefix that holds everything synced.
@Suite struct SegmentLogCrashTests {
    private static let seedsMax: UInt64 = ProcessEnvironment.value("MAGPIE_LONG") == nil ? 1 : 8

    /// Runs one life: start, script; what was known when it ended.
    private static func live(
        _ world: LogWorld, scheduler: SimulatedScheduler, script: UInt64
    ) -> Bool {
        do {
            _ = try world.recover()
            scheduler.runUntilIdle()
            try world.script(seed: script, steps: 30) { scheduler.runUntilIdle() }
            return true
        } catch {
            return false
        }
    }

    @Test(
        "A crash at every operation keeps every synced record, twice over",
        arguments: CrashPlan.Moment.allCases, [false, true])
    func everyOperation(_ moment: CrashPlan.Moment, _ isBackground: Bool) throws {
        let place = CrashPlan.Moment.allCases.firstIndex(of: moment) ?? 0
        for seed in 0..<Self.seedsMax {
            let script = seed * 6 + UInt64(place) * 2 + (isBackground ? 1 : 0)
            for index in 0... {
                let comment = "operation \(index) \(moment) seed \(seed)"
                let disk = SimulatedFileSystem()
                disk.setContents("/log/NOTE", [])
                let scheduler = SimulatedScheduler(seed: seed)
                let world = LogWorld(
                    disk: disk, lane: isBackground ? scheduler.lane("files") : nil)
                disk.plan(CrashPlan(index: index, moment: moment, seed: seed ^ UInt64(index)))
                let isDone = Self.live(world, scheduler: scheduler, script: script)
                disk.crash(seed: seed)
                disk.restart()
                try Self.checkTwoLives(after: world, disk, seed: seed, index: index, comment)
                if isDone { break }
            }
        }
    }

    /// Recovers, crashes somewhere in the next life too, and recovers again.
    private static func checkTwoLives(
        after world: LogWorld, _ disk: SimulatedFileSystem, seed: UInt64, index: Int,
        _ comment: String
    ) throws {
        // A second crash inside the recovery or shortly after.
        let second = LogWorld(disk: disk)
        disk.plan(
            CrashPlan(
                index: disk.operationCount + index % 23, moment: .after,
                seed: seed &+ UInt64(index) &* 3))
        var synced = world.synced
        var appended = world.next
        do {
            let seen = try second.recover()
            check(seen, synced, appended, world.released, comment)
            synced = second.next
            appended = second.next
            second.released = world.released
            try second.append(5)
            try second.sync()
            synced = second.next
        } catch {
            guard case .disk = error else { throw error }
        }
        appended = max(appended, second.next)
        disk.crash(seed: seed)
        disk.restart()
        let third = LogWorld(disk: disk)
        check(try third.recover(), synced, appended, world.released, comment + ", again")
        try third.append(3)
        try third.sync()
        let fourth = LogWorld(disk: disk)
        let seen = try fourth.recover()
        #expect(fourth.next == third.next && seen.problems.isEmpty, "\(comment)")
    }

    private static func check(
        _ seen: LogWorld.Seen, _ synced: UInt64, _ appended: UInt64, _ released: UInt64,
        _ comment: String
    ) {
        #expect(seen.problems.isEmpty, "\(seen.problems) \(comment)")
        if let first = seen.numbers.first { #expect(first <= released, "\(comment)") }
        let end = max(seen.numbers.last.map { $0 + 1 } ?? 0, seen.headers.max() ?? 0)
        #expect(end >= synced && end <= appended, "\(end) of \(synced)…\(appended) \(comment)")
        if released < synced { #expect(!seen.numbers.isEmpty, "\(comment)") }
    }

    @Test("Ids of segments rise for ever, whatever is lost")
    func idsRise() throws {
        let disk = SimulatedFileSystem()
        var highest: UInt64 = 0
        for life in 0..<40 as Range<UInt64> {
            let world = LogWorld(disk: disk)
            _ = try world.recover()
            let fresh = try #require(world.log?.end.segment)
            #expect(fresh > highest, "life \(life)")
            try world.script(seed: life, steps: 8)
            highest = try #require(world.log?.segmentIDs.max())
            disk.crash(seed: life)
            disk.restart()
        }
    }
}
