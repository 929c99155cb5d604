import Bytes
import Platform
import Simulation
import Synchronization
import Testing

@Suite struct SimulatedFileSystemTests {
    private static func write(_ file: any File, _ bytes: [UInt8], at offset: Int) throws {
        try bytes.withUnsafeBytes { try file.write($0, at: UInt64(offset)) }
    }

    @Test("Synced bytes and names survive every crash", arguments: 0..<50)
    func durable(_ seed: UInt64) throws {
        let disk = SimulatedFileSystem()
        try disk.makeDirectory("/d")
        let file = try disk.open("/d/f", .create)
        let bytes = [UInt8](repeating: 5, count: 3000)
        try Self.write(file, bytes, at: 0)
        try file.sync()
        try disk.syncDirectory("/d")
        try Self.write(file, [UInt8](repeating: 6, count: 1000), at: 3000)
        disk.crash(seed: seed)
        disk.restart()
        let found = try #require(disk.contents("/d/f"))
        #expect(Array(found.prefix(3000)) == bytes, "seed \(seed)")
        #expect(found.count >= 3000 && found.count <= 4000)
        #expect(throws: DiskError(.closed, "write", "/d/f")) { try Self.write(file, [1], at: 0) }
    }

    @Test("Unsynced sectors are seen old, new, mixed and apart from the size over many seeds")
    func unsynced() throws {
        var kinds: Set<String> = []
        for seed in 0..<400 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            disk.setContents("/f", [UInt8](repeating: 1, count: 2048))
            let file = try disk.open("/f", .readWrite)
            try Self.write(file, [UInt8](repeating: 2, count: 4096), at: 0)
            disk.crash(seed: seed)
            disk.restart()
            let found = try #require(disk.contents("/f"))
            let sectors = stride(from: 0, to: found.count - 511, by: 512).map {
                Set(found[$0..<($0 + 512)])
            }
            if sectors.prefix(4).allSatisfy({ $0 == [1] }) { kinds.insert("old") }
            if sectors.prefix(4).allSatisfy({ $0 == [2] }) { kinds.insert("new") }
            if sectors.prefix(4).contains([1]), sectors.prefix(4).contains([2]) {
                kinds.insert("mixed")
            }
            if sectors.prefix(4).contains(where: { $0.count > 1 }) { kinds.insert("torn") }
            if found.count == 2048 { kinds.insert("old size") }
            if found.count == 4096, sectors.suffix(4).contains([0]) { kinds.insert("size first") }
            if found.count > 2048, found.count < 4096 { kinds.insert("size between") }
        }
        #expect(
            kinds == ["old", "new", "mixed", "torn", "old size", "size first", "size between"])
    }

    @Test("A torn sector keeps the bytes that the write did not change", arguments: 0..<100)
    func tornKeepsNeighbours(_ seed: UInt64) throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/f", [UInt8](repeating: 1, count: 512))
        let file = try disk.open("/f", .readWrite)
        try Self.write(file, [UInt8](repeating: 2, count: 100), at: 200)
        disk.crash(seed: seed)
        disk.restart()
        let found = try #require(disk.contents("/f"))
        #expect(found[..<200].allSatisfy { $0 == 1 } && found[300...].allSatisfy { $0 == 1 })
    }

    @Test("Unsynced names are kept or lost on their own; a rename is whole")
    func names() throws {
        var outcomes: Set<[String]> = []
        for seed in 0..<300 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            disk.setContents("/old", [1])
            disk.setContents("/gone", [2])
            _ = try disk.open("/new", .create)
            try disk.rename("/old", to: "/moved")
            try disk.unlink("/gone")
            disk.crash(seed: seed)
            disk.restart()
            let paths = disk.paths
            #expect(paths.contains("old") != paths.contains("moved"), "seed \(seed)")
            outcomes.insert(paths)
        }
        #expect(outcomes.count == 8, "every combination of three changes is seen")
    }

    @Test(
        "A crash plan stops at its operation, before, during and after",
        arguments: CrashPlan.Moment.allCases)
    func plan(_ moment: CrashPlan.Moment) throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/f", [])
        let file = try disk.open("/f", .readWrite)
        try Self.write(file, [1], at: 0)
        disk.plan(CrashPlan(index: disk.operationCount, moment: moment, seed: 1))
        #expect(throws: DiskError(.closed, "write", "/f")) { try Self.write(file, [2, 3], at: 1) }
        #expect(disk.isDown)
        #expect(throws: DiskError.self) { try disk.list("/") }
        disk.restart()
        #expect(try disk.list("/") == ["f"])
    }

    @Test("A killed process loses nothing until the power goes")
    func kill() throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/f", [1])
        let file = try disk.open("/f", .readWrite)
        try Self.write(file, [2], at: 0)
        disk.kill()
        disk.restart()
        #expect(disk.contents("/f") == [2])
        var seen: Set<[UInt8]> = []
        for seed in 0..<40 as Range<UInt64> {
            let copy = disk.copy()
            copy.crash(seed: seed)
            copy.restart()
            seen.insert(copy.contents("/f") ?? [])
        }
        #expect(seen.isSuperset(of: [[1], [2]]))
    }

    @Test("After a failed sync a later one succeeds, yet the bytes were never written")
    func failedSync() throws {
        var lost = 0
        for seed in 0..<50 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            disk.setContents("/f", [1])
            let file = try disk.open("/f", .readWrite)
            try Self.write(file, [2], at: 0)
            disk.inject(DiskFault([.sync], .inputOutput, on: "f"))
            #expect(throws: DiskError(.inputOutput, "sync", "/f")) { try file.sync() }
            try file.sync()
            #expect(disk.contents("/f") == [2])
            disk.crash(seed: seed)
            disk.restart()
            if disk.contents("/f") == [1] { lost += 1 }
        }
        #expect(lost > 25)
    }

    @Test("Faults strike once, after a count, always, by chance, and on their paths only")
    func faults() throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/a", [])
        disk.setContents("/b", [])
        let a = try disk.open("/a", .readWrite)
        let b = try disk.open("/b", .readWrite)
        func failures(_ count: Int, _ file: any File) -> Int {
            (0..<count).count { _ in (try? Self.write(file, [1], at: 0)) == nil }
        }
        disk.inject(DiskFault([.write], .inputOutput, on: "a"))
        #expect(failures(5, b) == 0 && failures(5, a) == 1)
        disk.inject(DiskFault([.write], .inputOutput, on: "a", .after(3)))
        #expect(failures(5, a) == 2)
        disk.clearFaults()
        disk.inject(DiskFault([.write], .noSpace, .always))
        #expect(failures(5, a) == 5 && failures(5, b) == 5)
        disk.clearFaults()
        disk.inject(DiskFault([.write], .noSpace, .chance(32_768)))
        #expect((20...80).contains(failures(100, a)))
        disk.clearFaults()
        disk.setCapacity(100)
        #expect(throws: DiskError(.noSpace, "pwrite", "/a")) {
            try Self.write(a, [UInt8](repeating: 1, count: 101), at: 0)
        }
    }

    @Test("A flipped bit is read, and the hook sees operations")
    func flip() throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/f", [0, 0])
        disk.flipBit("/f", offset: 1, bit: 3)
        #expect(disk.contents("/f") == [0, 8])
        let seen = Mutex<[DiskOperation]>([])
        disk.onOperation { event in seen.withLock { $0.append(event.operation) } }
        let file = try disk.open("/f", .readWrite)
        try file.sync()
        #expect(seen.withLock { $0 } == [.open, .sync])
    }

    @Test("A removed file lives while a handle is open")
    func unlinked() throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/f", [7])
        let file = try disk.open("/f", .read)
        try disk.unlink("/f")
        try disk.syncDirectory("/")
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        #expect(byte == [7])
        #expect(try disk.freeBytes("/") == (1 << 40) - 1)
        file.close()
        #expect(try disk.freeBytes("/") == 1 << 40)
    }
}
