import Bytes
import Platform
import Simulation
import Testing

@testable import ChatNode

/// What is refused and what becomes of the ballast, by how much is free.
@Suite("Disk policy")
struct DiskPolicyTests {
    private static let policy = DiskPolicy(memtableBytes: 1_000, logBytes: 4_000)

    /// A volume with a policy: what others take is given, the ballast comes and goes.
    private struct Volume {
        var policy = DiskPolicyTests.policy
        var capacity: UInt64
        var ballast: UInt64 = 0
        var isWaiting = false
        private(set) var steps: [DiskPolicy.BallastStep] = []

        init(capacity: UInt64) { self.capacity = capacity }

        func free(_ taken: UInt64) -> UInt64 {
            capacity > taken + ballast ? capacity - taken - ballast : 0
        }

        mutating func tick(taken: UInt64) -> DiskPolicy.BallastStep {
            let step = policy.take(
                .init(freeBytes: free(taken), ballastBytes: ballast, isWaiting: isWaiting))
            switch step {
            case .keep: break
            case .giveUp: ballast = 0
            case .write: ballast = min(policy.ballastBytes, ballast + 3_000)
            }
            steps.append(step)
            return step
        }
    }

    @Test("The soft limit has room for memtables and log, the ballast for a merge of level 0")
    func sizes() {
        #expect(Self.policy.softBytes == 8_000 && Self.policy.ballastBytes == 8_000)
    }

    @Test("From ample to exhausted and back, step by step")
    func walk() {
        var volume = Volume(capacity: 100_000)
        for _ in 0..<3 { #expect(volume.tick(taken: 0) == .write) }
        #expect(volume.ballast == 8_000 && volume.tick(taken: 0) == .keep)
        /// What others take so that so much is free beside the whole ballast.
        func taken(_ free: UInt64) -> UInt64 { 92_000 - free }
        _ = volume.tick(taken: taken(8_000))
        #expect(volume.policy.room == .ample)
        _ = volume.tick(taken: taken(7_999))
        #expect(volume.policy.room == .short)
        _ = volume.tick(taken: taken(11_999))
        #expect(volume.policy.room == .short, "only half as much again is enough")
        _ = volume.tick(taken: taken(12_000))
        #expect(volume.policy.room == .ample)
        #expect(volume.tick(taken: taken(2_000)) == .keep)
        #expect(volume.policy.room == .short)
        #expect(volume.tick(taken: taken(1_999)) == .giveUp)
        #expect(volume.tick(taken: taken(1_999)) == .keep)
        #expect(volume.policy.room == .short, "its room is there, and is not for messages")
        // All of it is used up: 999 bytes are left of the volume.
        #expect(volume.tick(taken: 99_001) == .keep)
        #expect(volume.policy.room == .exhausted)
        _ = volume.tick(taken: 98_001)
        #expect(volume.policy.room == .exhausted)
        _ = volume.tick(taken: 98_000)
        #expect(volume.policy.room == .short)
        #expect(volume.tick(taken: taken(11_999)) == .keep)
        #expect(volume.tick(taken: taken(12_000)) == .write)
        #expect(volume.policy.room == .ample)
    }

    @Test("What waits for room gets the ballast at once, whatever is said to be free")
    func waiting() {
        var volume = Volume(capacity: 100_000)
        for _ in 0..<4 { _ = volume.tick(taken: 0) }
        volume.isWaiting = true
        #expect(volume.tick(taken: 0) == .giveUp)
        #expect(volume.policy.room == .short)
        for _ in 0..<5 { #expect(volume.tick(taken: 0) == .keep) }
        volume.isWaiting = false
        #expect(volume.tick(taken: 0) == .write)
        #expect(volume.policy.room == .ample)
    }

    @Test("As long as nothing changes nothing is given up or written again", arguments: 0..<200)
    func settles(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var volume = Volume(capacity: 40_000)
        for _ in 0..<20 {
            let taken = generator.next() % 45_000
            for _ in 0..<6 { _ = volume.tick(taken: taken) }
            let (room, ballast) = (volume.policy.room, volume.ballast)
            for _ in 0..<10 {
                #expect(volume.tick(taken: taken) == .keep, "seed \(seed), \(taken) taken")
                #expect(volume.policy.room == room && volume.ballast == ballast, "seed \(seed)")
            }
            let free = volume.capacity > taken ? volume.capacity - taken : 0
            // With all of the ballast's share and the soft limit half as large again, all is well.
            if free >= 20_000 { #expect(room == .ample && ballast == 8_000, "seed \(seed)") }
            if free < 16_000 { #expect(room != .ample, "seed \(seed), \(taken) taken") }
        }
    }
}

/// The file that takes room.
@Suite("Ballast")
struct BallastTests {
    private func ballast(_ disk: SimulatedFileSystem) throws -> Ballast {
        try disk.makeDirectory("/data")
        return try Ballast(disk, "/data", size: 700_000)
    }

    private func write(_ ballast: Ballast) throws {
        while ballast.bytes < 700_000 { try ballast.write(300_000) }
    }

    @Test("It is written with bytes that do not compress, found again, and given up")
    func life() throws {
        let disk = SimulatedFileSystem()
        try write(ballast(disk))
        let bytes = try #require(disk.contents("/data/ballast"))
        #expect(bytes.count == 700_000 && disk.paths == ["data/ballast"])
        var target = [UInt8](repeating: 0, count: 690_000)
        let packed = bytes.withUnsafeBytes { bytes in
            target.withUnsafeMutableBytes { LZ4.compress(bytes, into: $0) }
        }
        #expect(packed == nil, "it does not fit into less")
        let again = try ballast(disk)
        #expect(again.bytes == 700_000)
        try again.giveUp()
        #expect(again.bytes == 0 && disk.usedBytes == 0)
        // Half of one, or one of another size, is none.
        try again.write(300_000)
        #expect(try ballast(disk).bytes == 0)
        disk.setContents("/data/ballast", [1, 2, 3])
        #expect(try ballast(disk).bytes == 0)
        #expect(disk.paths.isEmpty)
    }

    @Test("Without room for all of it none is left, and it can be begun again")
    func noRoom() throws {
        let disk = SimulatedFileSystem()
        let ballast = try ballast(disk)
        disk.setCapacity(500_000)
        try ballast.write(300_000)
        #expect(throws: DiskError.self) { try ballast.write(300_000) }
        #expect(ballast.bytes == 0 && disk.usedBytes == 0)
        disk.setCapacity(1 << 40)
        try write(ballast)
        #expect(disk.contents("/data/ballast")?.count == 700_000)
    }

    @Test("A power cut at any operation of writing or giving up leaves a whole one or none")
    func powerCuts() throws {
        let clean = SimulatedFileSystem()
        try write(ballast(clean))
        try ballast(clean).giveUp()
        for index in 0..<clean.operationCount {
            for moment in CrashPlan.Moment.allCases {
                let disk = SimulatedFileSystem(seed: UInt64(index))
                disk.plan(CrashPlan(index: index, moment: moment, seed: UInt64(index)))
                do {
                    let first = try ballast(disk)
                    try write(first)
                    try first.giveUp()
                } catch {
                    #expect(disk.isDown, "\(index) \(moment): \(error)")
                }
                if !disk.isDown { disk.crash(seed: UInt64(index)) }
                disk.restart()
                let found = try ballast(disk)
                #expect([0, 700_000].contains(found.bytes), "\(index) \(moment)")
                #expect(disk.contents("/data/ballast.part") == nil, "\(index) \(moment)")
                if found.bytes > 0 {
                    let bytes = try #require(disk.contents("/data/ballast"))
                    #expect(bytes.suffix(4).contains { $0 != 0 }, "it was durable as a whole")
                }
                try write(found)
                #expect(disk.contents("/data/ballast")?.count == 700_000)
            }
        }
    }
}
