import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Power cuts and errors at every operation of the disk.
@Suite struct TreeCrashTests {
    /// Every operation in the long run, a sample in the short one.
    private static let stride = isLong ? 1 : 29

    @Test(
        "after a crash at any operation the tree is a cut, no older than the last announced",
        arguments: 0..<2)
    func crashEverywhere(script: Int) throws {
        let clean = try CrashScript(seed: UInt64(script)).run(plan: nil)
        let count = clean.operations
        #expect(count > 200, "the script is long enough to mean something")
        var index = script % Self.stride
        var crashes = 0
        defer { Trust.report(crashes, "simulated crashes") }
        while index < count {
            let all = CrashPlan.Moment.allCases
            for moment in isLong ? all : [all[index % all.count]] {
                let plan = CrashPlan(
                    index: index, moment: moment, seed: UInt64(index * 31 + script))
                try CrashScript(seed: UInt64(script)).check(plan)
                crashes += 1
            }
            index += Self.stride
        }
    }

    @Test("an error at any operation surfaces, and what was announced stays")
    func errorsEverywhere() throws {
        let count = try CrashScript(seed: 77).run(plan: nil).operations
        var index = 0
        var surfaced = 0
        while index < count {
            if try CrashScript(seed: 77).checkError(at: index, .inputOutput) { surfaced += 1 }
            index += Self.stride
        }
        #expect(surfaced > 0)
    }

    @Test("a disk without room for any one operation is waited out, a failed sync never")
    func noSpaceEverywhere() throws {
        let count = try CrashScript(seed: 78).run(plan: nil).operations
        var index = 0
        var waits = 0
        while index < count {
            if try CrashScript(seed: 78).checkNoSpace(at: index) { waits += 1 }
            index += Self.stride
        }
        #expect(waits > 0)
    }

    @Test("a full disk is waited out, and nothing is lost")
    func fullDisk() throws {
        let fileSystem = SimulatedFileSystem(seed: 1)
        let scheduler = SimulatedScheduler(seed: 1)
        let failures = FailureBox()
        var generator = SplitMix64(seed: 5)
        let options = Harness.options(&generator)
        let tree = try Harness.open(fileSystem, options, scheduler, failures: failures)
        var model = Model(3)
        for _ in 0..<50 {
            let batch = Harness.batch(&generator)
            tree.apply(batch)
            model.apply(batch)
        }
        let installed = InstalledBox()
        fileSystem.inject(DiskFault([.write], .noSpace, on: ".sst", .always))
        tree.cut(state: [7]) { installed.add($0) }
        scheduler.advance(by: .seconds(5))
        #expect(installed.all.isEmpty)
        #expect(tree.statistics.isOutOfSpace)
        #expect(try Harness.difference(tree.snapshot(), model) == nil)
        fileSystem.clearFaults()
        scheduler.advance(by: .seconds(5))
        #expect(installed.all == [[7]])
        #expect(!tree.statistics.isOutOfSpace)
        #expect(failures.all == [])
        #expect(try Harness.difference(tree.snapshot(), model) == nil)
    }

    @Test("rot in a table is reported by reads, never served")
    func rot() throws {
        let fileSystem = SimulatedFileSystem(seed: 3)
        let scheduler = SimulatedScheduler(seed: 3)
        var generator = SplitMix64(seed: 9)
        let options = Harness.options(&generator)
        var model = Model(3)
        var tree = try Harness.open(fileSystem, options, scheduler)
        for _ in 0..<30 {
            let batch = Harness.batch(&generator)
            tree.apply(batch)
            model.apply(batch)
        }
        tree.cut(state: [1]) { _ in }
        scheduler.runUntilIdle()
        tree.close()
        let tables = fileSystem.paths.filter { $0.hasSuffix(".sst") }
        #expect(!tables.isEmpty)
        var refused = 0
        for path in tables {
            let count = fileSystem.contents(path)?.count ?? 0
            for offset in Swift.stride(from: 0, to: count, by: isLong ? 1 : 97) {
                let copy = fileSystem.copy()
                copy.flipBit(path, offset: offset, bit: offset & 7)
                do {
                    tree = try Harness.open(copy, options, SimulatedScheduler(seed: 1))
                    // A flip in a filter may stay unseen by a scan, but it changes no answer.
                    #expect(try Harness.difference(tree.snapshot(), model) == nil)
                } catch let error as TreeError {
                    guard case .corrupt = error else {
                        Issue.record("offset \(offset) of \(path): \(error)")
                        continue
                    }
                    refused += 1
                }
            }
        }
        #expect(refused > 0)
        // A table that is gone is damage as well: the manifest lists it.
        try fileSystem.unlink(tables[0])
        let error = #expect(throws: TreeError.self) {
            try Harness.open(fileSystem, options, SimulatedScheduler(seed: 1))
        }
        guard case .corrupt(_, _, _, "no file") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}

/// A fixed workload: batches, cuts, background steps; all from one seed.
private struct CrashScript {
    let seed: UInt64
    let fileSystem: SimulatedFileSystem
    let failures = FailureBox()
    let installed = InstalledBox()

    init(seed: UInt64) {
        self.seed = seed
        fileSystem = SimulatedFileSystem(seed: seed)
    }

    struct Outcome {
        var operations: Int
        var cutModels: [Model]
        var openError: TreeError?
    }

    /// Runs the workload; a crash or error ends it early.
    func run(plan: CrashPlan?) throws -> Outcome {
        var generator = SplitMix64(seed: seed &* 77 &+ 5)
        let scheduler = SimulatedScheduler(seed: seed)
        let machine = scheduler.group()
        defer { machine.kill() }
        var options = Harness.options(&generator)
        options.memtableBytes = 600
        options.levelZeroTables = 2
        options.tableBytes = 500
        options.levelBaseBytes = 1000
        options.manifestBytes = 1500
        fileSystem.plan(plan)
        var outcome = Outcome(operations: 0, cutModels: [])
        let tree: Tree
        do {
            tree = try Tree.open(
                fileSystem: fileSystem, directory: Harness.directory, options: options,
                scheduler: machine, onFailure: { [failures] in failures.add($0) })
        } catch {
            outcome.openError = error
            return outcome
        }
        var model = Model(3)
        for _ in 0..<110 where !fileSystem.isDown {
            let batch = Harness.batch(&generator)
            tree.apply(batch)
            model.apply(batch)
            if tree.shouldCut && tree.canCut {
                tree.cut(state: Harness.state(outcome.cutModels.count)) { [installed] in
                    installed.add($0)
                }
                outcome.cutModels.append(model)
            }
            for _ in 0..<(generator.next() % 4) { scheduler.step() }
        }
        // What waits for room gets its second try.
        scheduler.advance(by: .seconds(3))
        outcome.operations = fileSystem.operationCount
        return outcome
    }

    /// Crashes at the plan, restarts, and compares with the cut that the tree says it is at.
    func check(_ plan: CrashPlan) throws {
        let outcome = try run(plan: plan)
        if !fileSystem.isDown { fileSystem.crash(seed: plan.seed) }
        fileSystem.restart()
        try checkContent(outcome, "seed \(seed), \(plan)")
    }

    private func checkContent(_ outcome: Outcome, _ comment: String) throws {
        var generator = SplitMix64(seed: seed &* 77 &+ 5)
        let options = Harness.options(&generator)
        let scheduler = SimulatedScheduler(seed: seed)
        let failures = FailureBox()
        let tree: Tree
        do {
            tree = try Harness.open(fileSystem, options, scheduler, failures: failures)
        } catch {
            Issue.record("\(comment): \(error)")
            return
        }
        let cut = tree.installedState.map { Harness.number($0) }
        let announced = installed.all.last.map { Harness.number($0) }
        #expect((cut ?? -1) >= (announced ?? -1), "\(comment)")
        var model = cut.map { outcome.cutModels[$0] } ?? Model(3)
        let difference = try Harness.difference(tree.snapshot(), model)
        #expect(difference == nil, "\(comment)")
        // It must also go on from there.
        let batch = Harness.batch(&generator)
        tree.apply(batch)
        model.apply(batch)
        tree.cut(state: Harness.state(1000)) { _ in }
        scheduler.runUntilIdle()
        #expect(failures.all == [], "\(comment)")
        #expect(tree.installedState == Harness.state(1000), "\(comment)")
        tree.close()
        let again = try Harness.open(fileSystem, options, SimulatedScheduler(seed: seed))
        let later = try Harness.difference(again.snapshot(), model)
        #expect(later == nil, "\(comment), second life")
        again.close()
    }

    /// Fails one operation; true when the tree reported it.
    func checkError(at index: Int, _ reason: DiskError.Reason) throws -> Bool {
        let seen = FaultTrigger(fileSystem: fileSystem, index: index, reason: reason)
        fileSystem.onOperation { event in seen.look(event) }
        let outcome = try run(plan: nil)
        fileSystem.onOperation(nil)
        fileSystem.clearFaults()
        let comment = "seed \(seed), error at \(index) (\(seen.operation?.rawValue ?? "-"))"
        #expect(failures.all.count <= 1, "\(comment)")
        let isReported = outcome.openError != nil || !failures.all.isEmpty
        // A removal that fails leaves an orphan, which the next open removes; all else surfaces.
        if seen.operation != nil, seen.operation != .unlink {
            #expect(isReported, "\(comment)")
        }
        // The process ends; with the page cache kept, then with the power gone as well.
        fileSystem.kill()
        fileSystem.restart()
        try checkContent(outcome, comment)
        return isReported
    }
}

extension CrashScript {
    /// Has no room for one operation; true when it was waited out.
    fileprivate func checkNoSpace(at index: Int) throws -> Bool {
        let seen = FaultTrigger(fileSystem: fileSystem, index: index, reason: .noSpace)
        fileSystem.onOperation { event in seen.look(event) }
        let outcome = try run(plan: nil)
        fileSystem.onOperation(nil)
        fileSystem.clearFaults()
        let comment = "seed \(seed), no room at \(index) (\(seen.operation?.rawValue ?? "-"))"
        let isSync = seen.operation == .sync || seen.operation == .syncDirectory
        if outcome.openError == nil {
            #expect(failures.all.isEmpty == !isSync, "\(comment)")
            if !isSync { #expect(installed.all.count == outcome.cutModels.count, "\(comment)") }
        }
        fileSystem.kill()
        fileSystem.restart()
        try checkContent(outcome, comment)
        return outcome.openError == nil && !isSync
    }
}

/// Injects a fault for exactly one operation, from the hook that sees it coming.
final class FaultTrigger: Sendable {
    private let fileSystem: SimulatedFileSystem
    private let index: Int
    private let reason: DiskError.Reason
    private let hit: OperationBox = OperationBox()

    init(fileSystem: SimulatedFileSystem, index: Int, reason: DiskError.Reason) {
        self.fileSystem = fileSystem
        self.index = index
        self.reason = reason
    }

    var operation: DiskOperation? { hit.value }

    func look(_ event: DiskEvent) {
        guard event.index == index, event.operation.isChange else { return }
        hit.value = event.operation
        fileSystem.inject(DiskFault([event.operation], reason, on: event.path, .once))
    }
}
