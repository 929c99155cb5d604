import Bytes
import Platform
import Simulation
import SortedTable
import Synchronization
import Testing

@testable import LSMTree

/// Second trees by hard link.
@Suite struct TreeCheckpointTests {
    /// Every operation in the long run, a sample in the short one.
    private static let stride = isLong ? 1 : 23

    @Test("a checkpoint is the tree at its newest cut, and both go their ways")
    func apart() throws {
        let run = VerbRun(seed: 4)
        try run.open()
        run.write(60)
        run.cut()
        let box = run.checkpoint("/data/copy")
        run.write(40)
        run.scheduler.runUntilIdle()
        let made = try #require(try box.value?.get())
        #expect(made.state == Harness.state(0) && made.tables > 0)
        // The original compacts everything away, and is gone at last.
        for keyspace in Harness.keyspaces { run.tree?.requestCompaction(keyspace.keyspace) }
        run.cut()
        run.scheduler.runUntilIdle()
        #expect(try run.difference(run.tree, run.model) == nil)
        run.tree?.close()
        run.tree = nil
        for path in run.files.paths where path.contains(Harness.directory) {
            try run.files.unlink(path)
        }
        let copy = try run.openCopy("/data/copy")
        #expect(copy.installedState == Harness.state(0))
        #expect(copy.lastSequence == made.lastSequence)
        #expect(try run.difference(copy, run.cutModels[0]) == nil)
        copy.apply(Harness.batch(&run.generator))
        copy.cut(state: [9]) { _ in }
        run.scheduler.runUntilIdle()
        #expect(copy.installedState == [9] && run.failures.all == [])
    }

    @Test("a checkpoint is not made over a tree, nor after the tree has ended")
    func refused() throws {
        let run = VerbRun(seed: 5)
        try run.open()
        let first = run.checkpoint("/data/copy")
        let second = run.checkpoint("/data/copy")
        let own = run.checkpoint(Harness.directory)
        run.scheduler.runUntilIdle()
        #expect(try first.value?.get().tables == 0)
        for box in [second, own] {
            guard case .failure(.disk(let error)) = box.value else {
                Issue.record("\(String(describing: box.value))")
                continue
            }
            #expect(error.reason == .exists)
        }
        #expect(try run.difference(run.openCopy("/data/copy"), Model(3)) == nil)
        let late = run.checkpoint("/data/late")
        run.tree?.close()
        #expect(late.value == nil || (try? late.value?.get()) == nil)
    }

    @Test("a disk that fails in the middle leaves nothing of it, and the next one succeeds")
    func errors() throws {
        for operation in [DiskOperation.link, .create, .write, .sync, .syncDirectory, .rename] {
            let run = VerbRun(seed: 6)
            try run.open()
            run.write(60)
            run.cut()
            run.scheduler.runUntilIdle()
            run.files.inject(DiskFault([operation], .noSpace, on: "/data/copy", .once))
            let box = run.checkpoint("/data/copy")
            run.scheduler.runUntilIdle()
            guard case .failure = box.value else {
                Issue.record("\(operation) failed, the checkpoint did not")
                continue
            }
            #expect(!run.files.paths.contains { $0.contains("copy/") }, "\(operation)")
            let again = run.checkpoint("/data/copy")
            run.scheduler.runUntilIdle()
            #expect((try? again.value?.get().tables) ?? 0 > 0, "\(operation)")
            #expect(run.failures.all == [], "\(operation)")
        }
    }

    @Test(
        "after a crash at any operation a checkpoint is whole or not there, and the tree is a cut",
        arguments: 0..<2)
    func crashEverywhere(script: Int) throws {
        let clean = VerbRun(seed: UInt64(script))
        clean.play()
        let count = clean.files.operationCount
        #expect(count > 300 && clean.announced.all.count > 2)
        var index = script % Self.stride
        while index < count {
            for moment in isLong ? CrashPlan.Moment.allCases : [.allCases[index % 3]] {
                let plan = CrashPlan(
                    index: index, moment: moment, seed: UInt64(index * 37 + script))
                let run = VerbRun(seed: UInt64(script))
                run.files.plan(plan)
                run.play()
                if !run.files.isDown { run.files.crash(seed: plan.seed) }
                try run.checkAfterCrash("script \(script), \(plan)")
            }
            index += Self.stride
        }
    }
}

/// What a checkpoint answered.
private final class CheckpointBox: Sendable {
    private let result = Mutex<Result<Checkpoint, TreeError>?>(nil)
    var value: Result<Checkpoint, TreeError>? { result.withLock { $0 } }
    func set(_ value: Result<Checkpoint, TreeError>) { result.withLock { $0 = value } }
}

/// Directories.
private final class NameBox: Sendable {
    private let names = Mutex<[String]>([])
    var all: [String] { names.withLock { $0 } }
    func add(_ name: String) { names.withLock { $0.append(name) } }
}

/// A tree with merges in slices, and checkpoints of it.
private final class VerbRun {
    let seed: UInt64
    let files: SimulatedFileSystem
    let scheduler: SimulatedScheduler
    let machine: SimulatedMachine
    let failures = FailureBox()
    let installed = InstalledBox()
    /// Directories of checkpoints that were announced.
    let announced = NameBox()
    var generator: SplitMix64
    var options: TreeOptions
    var tree: Tree?
    var model = Model(3)
    var cutModels: [Model] = []

    init(seed: UInt64) {
        self.seed = seed
        files = SimulatedFileSystem(seed: seed)
        scheduler = SimulatedScheduler(seed: seed)
        machine = scheduler.group()
        generator = SplitMix64(seed: seed &* 31 &+ 3)
        options = Harness.options(&generator)
        options.memtableBytes = 600
        options.levelZeroTables = 2
        options.tableBytes = 500
        options.levelBaseBytes = 1000
        options.manifestBytes = 1500
        options.sliceBytes = 100
    }

    func open() throws {
        tree = try Tree.open(
            fileSystem: files, directory: Harness.directory, options: options, scheduler: machine,
            onFailure: { [failures] in failures.add($0) })
    }

    func openCopy(_ directory: String) throws -> Tree {
        try Tree.open(
            fileSystem: files, directory: directory, options: options, scheduler: scheduler,
            onFailure: { [failures] in failures.add($0) })
    }

    func write(_ batches: Int) {
        for _ in 0..<batches {
            let batch = Harness.batch(&generator)
            tree?.apply(batch)
            model.apply(batch)
        }
    }

    func cut() {
        guard let tree, tree.canCut else { return }
        tree.cut(state: Harness.state(cutModels.count)) { [installed] in installed.add($0) }
        cutModels.append(model)
    }

    func checkpoint(_ directory: String) -> CheckpointBox {
        let box = CheckpointBox()
        tree?.checkpoint(to: directory) { box.set($0) }
        return box
    }

    func difference(_ tree: Tree?, _ model: Model) throws -> String? {
        guard let tree else { return "no tree" }
        return try Harness.difference(tree.snapshot(), model)
    }

    /// The script: batches, cuts, checkpoints, background steps. A crash ends it early.
    func play() {
        guard (try? open()) != nil else { return }
        for step in 0..<100 where !files.isDown {
            write(1)
            if tree?.shouldCut ?? false { cut() }
            if step % 24 == 20 {
                let directory = "/data/copy-\(step)"
                tree?.checkpoint(to: directory) { [announced] result in
                    if case .success = result { announced.add(directory) }
                }
            }
            for _ in 0..<(generator.next() % 8) { scheduler.step() }
        }
        scheduler.runUntilIdle()
    }

    func checkAfterCrash(_ comment: String) throws {
        tree = nil
        machine.kill()
        files.restart()
        let copies = announced.all
        var directories = Set(copies)
        for path in files.paths {
            let parts = path.split(separator: "/")
            guard parts.count > 2, parts[1].hasPrefix("copy-") else { continue }
            directories.insert("/\(parts[0])/\(parts[1])")
        }
        for directory in directories.sorted() {
            guard try files.exists(directory + "/CURRENT") else {
                #expect(!copies.contains(directory), "\(comment): \(directory) was announced")
                continue
            }
            let copy = try openCopy(directory)
            let cut = copy.installedState.map { Harness.number($0) }
            let expected = cut.map { cutModels[$0] } ?? Model(3)
            #expect(try difference(copy, expected) == nil, "\(comment): \(directory)")
            copy.close()
        }
        let own = try openCopy(Harness.directory)
        let cut = own.installedState.map { Harness.number($0) }
        let last = installed.all.last.map { Harness.number($0) }
        #expect((cut ?? -1) >= (last ?? -1), "\(comment)")
        #expect(try difference(own, cut.map { cutModels[$0] } ?? Model(3)) == nil, "\(comment)")
        own.close()
        #expect(failures.all.allSatisfy { if case .disk = $0 { true } else { false } })
    }
}
