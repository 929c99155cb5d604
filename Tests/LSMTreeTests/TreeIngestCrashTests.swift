import Bytes
import Platform
import Simulation
import Testing

@testable import LSMTree

/// Power cuts and errors at every operation of the disk while ranges are replaced.
@Suite struct TreeIngestCrashTests {
    private static let stride = isLong ? 1 : 17

    @Test(
        "after a crash at any operation ranges have the old rows with the old state or the new",
        arguments: 0..<2)
    func crashEverywhere(seed: Int) throws {
        let clean = try Script(seed: UInt64(seed)).run(plan: nil)
        #expect(clean.installs > 3, "seed \(seed)")
        #expect(clean.operations > 200, "seed \(seed)")
        var index = seed % Self.stride
        while index < clean.operations {
            let all = CrashPlan.Moment.allCases
            for moment in isLong ? all : [all[index % all.count]] {
                let plan = CrashPlan(index: index, moment: moment, seed: UInt64(index * 31 + seed))
                let script = Script(seed: UInt64(seed))
                let outcome = try script.run(plan: plan)
                if !script.fileSystem.isDown { script.fileSystem.crash(seed: plan.seed) }
                script.fileSystem.restart()
                try script.check(outcome, "seed \(seed), \(plan)")
            }
            index += Self.stride
        }
    }

    @Test("an announced ingest survives a crash although no flush came before")
    func namesAreDurable() throws {
        for seed in UInt64(0)..<20 {
            let fileSystem = SimulatedFileSystem(seed: seed)
            let scheduler = SimulatedScheduler(seed: seed)
            let machine = scheduler.group()
            let options = TreeOptions(keyspaces: Harness.keyspaces)
            let tree = try Harness.open(fileSystem, options, machine)
            let ingest = try tree.beginIngest(ranges: [KeyRange(lower: [1], upper: [2])])
            try ingest.add(Harness.heads, packed: [1, 1, 1, 77])
            try ingest.seal()
            let installed = InstalledBox()
            tree.install(ingest, state: [2], memtableState: [1]) { installed.add($0) }
            scheduler.runUntilIdle()
            #expect(installed.all == [[2]])
            fileSystem.crash(seed: seed)
            machine.kill()
            fileSystem.restart()
            let again = try Harness.open(fileSystem, options, SimulatedScheduler(seed: seed))
            #expect(again.installedState == [2], "seed \(seed)")
            #expect(try again.snapshot().get(Harness.heads, key: [1]) == [77], "seed \(seed)")
        }
    }

    @Test("an error at any operation surfaces, and what was announced stays")
    func errorsEverywhere() throws {
        let count = try Script(seed: 5).run(plan: nil).operations
        var index = 0
        while index < count {
            let script = Script(seed: 5)
            let trigger = FaultTrigger(
                fileSystem: script.fileSystem, index: index, reason: .inputOutput)
            script.fileSystem.onOperation { trigger.look($0) }
            let outcome = try script.run(plan: nil)
            script.fileSystem.onOperation(nil)
            script.fileSystem.clearFaults()
            let comment = "error at \(index) (\(trigger.operation?.rawValue ?? "-"))"
            if let operation = trigger.operation, operation != .unlink {
                #expect(outcome.isErrorReported, "\(comment)")
            }
            script.fileSystem.kill()
            script.fileSystem.restart()
            try script.check(outcome, comment)
            index += Self.stride
        }
    }
}

/// A fixed workload from one seed.
private struct Script {
    let seed: UInt64
    let fileSystem: SimulatedFileSystem

    init(seed: UInt64) {
        self.seed = seed
        fileSystem = SimulatedFileSystem(seed: seed)
    }

    struct Outcome {
        var operations = 0
        var installs = 0
        var cutModels: [Model] = []
        var announced: Int?
        var isErrorReported = false
    }

    func run(plan: CrashPlan?) throws -> Outcome {
        fileSystem.plan(plan)
        var run: IngestRun
        do {
            run = try IngestRun(seed: seed, fileSystem, small: true)
        } catch {
            return Outcome(isErrorReported: true)
        }
        defer { run.machine.kill() }
        for _ in 0..<200 where !fileSystem.isDown { run.step() }
        run.scheduler.runUntilIdle()
        // The process ends here: nothing of it removes files any more.
        let operations = fileSystem.operationCount
        return Outcome(
            operations: operations, installs: run.installs, cutModels: run.cutModels,
            announced: run.installed.all.last.map { Harness.number($0) },
            isErrorReported: !run.failures.all.isEmpty || !run.ingestErrors.isEmpty)
    }

    func check(_ outcome: Outcome, _ comment: String) throws {
        var run: IngestRun
        do {
            run = try IngestRun(seed: seed, fileSystem, small: true)
        } catch {
            Issue.record("\(comment): \(error)")
            return
        }
        let cut = run.tree.installedState.map { Harness.number($0) }
        #expect((cut ?? -1) >= (outcome.announced ?? -1), "\(comment)")
        let model = cut.map { outcome.cutModels[$0] } ?? Model(3)
        let difference = try Harness.difference(run.tree.snapshot(), model)
        #expect(difference == nil, "\(comment)")
        // Nothing of an ingest that was under way is left.
        let listed = run.tree.statistics.keyspaces.flatMap(\.levels).reduce(0) { $0 + $1.tables }
        let names = fileSystem.paths.filter { $0.hasSuffix(".sst") }
        #expect(names.count == listed, "\(comment)")
        // It also goes on from there.
        run.cutModels = outcome.cutModels
        try run.reopen()
        for _ in 0..<30 { run.step() }
        run.scheduler.runUntilIdle()
        let later = try Harness.difference(run.tree.snapshot(), run.visible())
        #expect(later == nil, "\(comment), second life")
        #expect(run.failures.all == [], "\(comment)")
        run.tree.close()
    }
}
