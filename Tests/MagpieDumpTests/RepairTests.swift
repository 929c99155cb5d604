import Bytes
import LSMTree
import Platform
import ShardStore
import Simulation
import SortedTable
import Testing

@testable import MagpieDump

@Suite("The repair of a tree")
struct RepairTests {
    private func remove(_ disk: SimulatedFileSystem, _ path: String) throws {
        try disk.unlink(path)
        try disk.syncDirectory(Places.directory(path))
    }

    @Test("has nothing to do for a sound tree")
    func leavesSoundTree() throws {
        let data = try RepairFixture(seed: 1)
        let before = data.disk.paths
        let (lines, problems) = try data.repair()
        #expect(problems == 0 && lines.count == 1, "\(lines)")
        #expect(lines.first?.contains("needs no repair") == true)
        #expect(data.disk.paths.filter { !$0.hasSuffix("LOCK") } == before)
    }

    @Test("brings back a tree that lost CURRENT, exactly", arguments: [false, true])
    func repairsCurrent(isGarbage: Bool) throws {
        let data = try RepairFixture(seed: 2)
        let current = RepairFixture.directory + "/CURRENT"
        if isGarbage {
            data.disk.flipBit(current, offset: 3, bit: 0)
        } else {
            try remove(data.disk, current)
        }
        #expect(throws: TreeError.self) { try RepairFixture.read(data.disk) }
        let (lines, problems) = try data.repair()
        #expect(problems == 0, "\(lines)")
        #expect(lines.contains { $0.contains("applied 30/1, exact; there is no log") }, "\(lines)")
        let (rows, cut) = try RepairFixture.read(data.disk)
        #expect(rows == data.cuts.last && cut == 30)
    }

    @Test("only says what it would do unless told to write")
    func runsDry() throws {
        let data = try RepairFixture(seed: 3)
        try remove(data.disk, RepairFixture.directory + "/CURRENT")
        let before = data.disk.paths
        let (lines, problems) = try data.repair(.init())
        #expect(problems == 1 && lines.last?.contains("--write") == true, "\(lines)")
        #expect(data.disk.paths == before)
    }

    @Test("refuses while a node holds the directory")
    func respectsLock() throws {
        let data = try RepairFixture(seed: 4)
        try remove(data.disk, RepairFixture.directory + "/CURRENT")
        data.disk.setContents("/data/LOCK", [])
        let lock = try data.disk.lock("/data/LOCK", note: "magpie")
        #expect(throws: UsageMistake.self) { try data.repair() }
        #expect(throws: UsageMistake.self) { try data.repair(.init()) }
        lock.release()
        #expect(try data.repair().problems == 0)
    }

    @Test("finds levels for all tables when no manifest is left", arguments: UInt64(10)..<200)
    func repairsWithoutManifest(seed: UInt64) throws {
        let data = try RepairFixture(seed: seed)
        for path in data.files(".manifest") + [RepairFixture.directory + "/CURRENT"] {
            try remove(data.disk, path)
        }
        let tables = data.files(".sst")
        let (lines, problems) = try data.repair()
        // Nothing but the positions is lost, and without a log nobody knows of shards.
        #expect(problems == 0, "seed \(seed): \(lines)")
        #expect(lines.contains { $0.hasPrefix("No position of any shard is known") })
        #expect(data.files(".sst") == tables)
        let (rows, cut) = try RepairFixture.read(data.disk)
        #expect(rows == data.cuts.last, "seed \(seed)")
        #expect(cut == 0)
    }

    @Test(
        "goes by the tables when not even the manifest's opening can be read", arguments: [9, 20])
    func repairsRottenOpening(offset: Int) throws {
        let data = try RepairFixture(seed: 7)
        data.disk.flipBit(data.files(".manifest")[0], offset: offset, bit: 2)
        #expect(throws: TreeError.self) { try RepairFixture.read(data.disk) }
        let (lines, _) = try data.repair()
        #expect(lines.contains { $0.hasPrefix("written: ") }, "\(lines)")
        let (rows, _) = try RepairFixture.read(data.disk)
        #expect(rows == data.cuts.last)
    }

    @Test("goes on from the last readable record of a rotten manifest", arguments: [false, true])
    func repairsRottenManifest(hasLog: Bool) throws {
        var exact = 0
        var fromTables = 0
        for seed in UInt64(50)..<70 {
            // What merges have replaced, a rotten manifest can't bring back; flushed tables it can.
            let merges = seed % 2 == 0
            let data = try RepairFixture(seed: seed, deletes: merges, merges: merges)
            if hasLog { try data.writeLog(1...60, base: 0) }
            let manifest = data.files(".manifest")[0]
            let size = data.disk.contents(manifest)?.count ?? 0
            var generator = SplitMix64(seed: seed)
            // The last records have no mark behind them: rot there is a torn tail.
            let offset = Int(generator.next() % UInt64(size * 2 / 3))
            data.disk.flipBit(manifest, offset: offset, bit: 2)
            #expect(throws: TreeError.self) { try RepairFixture.read(data.disk) }
            let (lines, _) = try data.repair()
            #expect(lines.contains { $0.hasPrefix("written: ") }, "seed \(seed): \(lines)")
            let (rows, cut) = try RepairFixture.read(data.disk)
            if lines.contains(where: { $0.contains("exactly as after") }) {
                exact += 1
                let known = cut == 0 ? [1: [:], 3: [:]] : data.cuts[Int(cut) - 1]
                #expect(rows == known, "seed \(seed)")
            } else {
                fromTables += 1
                #expect(rows == data.cuts.last, "seed \(seed)")
            }
        }
        #expect(fromTables > 5 && (exact > 0) == hasLog, "\(exact) exact, \(fromTables) others")
    }

    @Test("says whether the log covers what comes after the tables")
    func namesMissingEntries() throws {
        for (entries, base, status) in [
            (UInt8(20)...UInt8(60), UInt8(19), 0), (31...60, 30, 0), (35...60, 34, 1),
        ] {
            let data = try RepairFixture(seed: 5)
            try data.writeLog(entries, base: base)
            try remove(data.disk, RepairFixture.directory + "/CURRENT")
            let (lines, problems) = try data.repair()
            #expect(problems == status, "\(lines)")
            #expect(
                lines.contains {
                    $0.contains(
                        status == 0 ? "covers the rest" : "31…34 are not there, and the node")
                }, "\(lines)")
        }
    }

    @Test("makes positions of the log when it is told to")
    func takesPositionsFromLog() throws {
        let data = try RepairFixture(seed: 6)
        try data.writeLog(25...60, base: 24)
        for path in data.files(".manifest") + [RepairFixture.directory + "/CURRENT"] {
            try remove(data.disk, path)
        }
        let (lines, problems) = try data.repair(.init())
        #expect(problems == 2 && lines.contains { $0.contains("shard 3: position lost") })
        let after = try data.repair(.init(writes: true, takesPositionsFromLog: true))
        #expect(after.problems == 0, "\(after.lines)")
        let (rows, cut) = try RepairFixture.read(data.disk)
        #expect(rows == data.cuts.last && cut == 24)
    }

    @Test("names the rows of a lost or rotten table and keeps the others", arguments: 0..<6)
    func namesLostRows(place: Int) throws {
        let data = try RepairFixture(seed: 80, deletes: false)
        let tables = data.files(".sst")
        let table = tables[place % tables.count]
        if place % 2 == 0 {
            try remove(data.disk, table)
        } else {
            data.disk.flipBit(table, offset: 40, bit: 1)
        }
        let (lines, problems) = try data.repair()
        #expect(problems == 1, "\(lines)")
        let complaint = try #require(lines.first { $0.hasPrefix("corrupt: \(table) ") })
        #expect(complaint.contains(" rows from entry ") || complaint.contains(" rows from 0x"))
        #expect(lines.contains { $0.contains("applied 30/1, lacking") }, "\(lines)")
        let (rows, cut) = try RepairFixture.read(data.disk)
        #expect(cut == 30)
        let known = try #require(data.cuts.last)
        for keyspace in RepairFixture.keyspaces {
            let found = try #require(rows[keyspace.rawValue])
            #expect(found.keys.allSatisfy { known[keyspace.rawValue]?[$0] != nil })
        }
        #expect(rows != known)
        #expect(data.disk.paths.contains { $0.hasSuffix("damaged-repair-1/CURRENT") })
        if place % 2 == 1 {
            let name = Places.name(table)
            #expect(data.disk.paths.contains { $0.hasSuffix("damaged-repair-1/\(name)") })
        }
    }

    @Test("leaves out tables whose rows are all in later ones", arguments: UInt64(100)..<200)
    func leavesOutReplaced(seed: UInt64) throws {
        // Without deletes, what a merge replaced has nothing that is not in its outputs.
        let disk = SimulatedFileSystem(seed: seed)
        let kept = KeptTables(disk)
        let data = try RepairFixture(seed: seed, deletes: false, on: disk, kept.look)
        #expect(kept.tables.count > data.files(".sst").count)
        for (path, bytes) in kept.tables { disk.setContents(path, bytes) }
        for path in data.files(".manifest") + [RepairFixture.directory + "/CURRENT"] {
            try remove(disk, path)
        }
        let (lines, problems) = try data.repair()
        #expect(problems == 0, "seed \(seed): \(lines)")
        #expect(lines.contains { $0.contains("all its rows are in other tables") })
        #expect(try RepairFixture.read(disk).rows == data.cuts.last, "seed \(seed)")
    }

    @Test("never shows an old value of a row that is there, whatever old tables lie about")
    func prefersNewerRows() throws {
        var written = 0
        var refused = 0
        var returned = 0
        for seed in UInt64(200)..<400 {
            let disk = SimulatedFileSystem(seed: seed)
            let kept = KeptTables(disk)
            let data = try RepairFixture(seed: seed, on: disk, kept.look)
            var generator = SplitMix64(seed: seed)
            for (path, bytes) in kept.tables.sorted(by: { $0.key < $1.key })
            where generator.next() % 4 == 0 { disk.setContents(path, bytes) }
            for path in data.files(".manifest") + [RepairFixture.directory + "/CURRENT"] {
                try remove(disk, path)
            }
            let (lines, problems) = try data.repair()
            guard lines.contains(where: { $0.hasPrefix("written: ") }) else {
                refused += 1
                #expect(problems > 1 && lines.last?.contains("--leave-out") == true, "\(lines)")
                continue
            }
            written += 1
            let rows = try RepairFixture.read(disk).rows
            for (keyspace, known) in try #require(data.cuts.last) {
                let found = try #require(rows[keyspace])
                #expect(known.allSatisfy { found[$0.key] == $0.value }, "seed \(seed)")
                returned += found.count - known.count
            }
        }
        #expect(written > 6, "\(written) written, \(refused) refused, \(returned) rows returned")
    }

    @Test("leaves the tree as it was or repaired, wherever the power goes")
    func survivesPowerCuts() throws {
        var crashes = 0
        var repaired = 0
        for moment in CrashPlan.Moment.allCases {
            var index = 0
            while true {
                let data = try RepairFixture(seed: 120, cuts: 4)
                try remove(data.disk, RepairFixture.directory + "/CURRENT")
                data.disk.plan(
                    CrashPlan(
                        index: data.disk.operationCount + index, moment: moment, seed: UInt64(index)
                    ))
                let isDone = (try? data.repair()) != nil
                data.disk.plan(nil)
                data.disk.restart()
                if isDone, !data.disk.isDown, index > 60 { break }
                crashes += isDone ? 0 : 1
                if try !data.disk.exists(RepairFixture.directory + "/CURRENT") {
                    #expect(try data.repair().problems == 0)
                } else {
                    repaired += 1
                }
                let (rows, cut) = try RepairFixture.read(data.disk)
                #expect(rows == data.cuts.last && cut == 4, "change \(index) \(moment)")
                if isDone { break }
                index += 1
            }
        }
        #expect(crashes > 20 && repaired > 3, "\(crashes) crashes, \(repaired) repaired at once")
    }
}
