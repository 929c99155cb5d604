import Bytes
import Platform
import Simulation
import Testing

@testable import BlobStore

/// Crashes and rot: exact bytes or an error, never wrong bytes; what was finished stays.
@Suite struct BlobStoreCrashTests {
    private static let seedsMax: UInt64 = ProcessEnvironment.value("MAGPIE_LONG") == nil ? 1 : 8

    /// Every blob that the store shows is whole, and all of `finished` are there.
    private static func check(
        _ store: BlobStore, finished: [UInt64], among all: [UInt64], _ comment: String
    ) throws {
        #expect(store.damage.isEmpty, "\(store.damage) \(comment)")
        let known = Dictionary(uniqueKeysWithValues: all.map { (BlobWorld.hash($0), $0) })
        for hash in store.hashes {
            let number = try #require(known[hash], "\(comment)")
            let bytes = try store.bytes(hash)
            #expect(bytes == BlobWorld.bytes(number, length(number)), "blob \(number) \(comment)")
        }
        for number in finished {
            #expect(store.contains(BlobWorld.hash(number)), "blob \(number) \(comment)")
        }
    }

    /// Short blobs, and every fourth one long.
    private static func length(_ number: UInt64) -> Int {
        number % 4 == 3 ? 9000 + Int(number) * 700 : Int(number) * 331 % 3000
    }

    private static let options = BlobStoreOptions(
        volumeBytes: 9000, sharedBytesMax: 8000, blobBytesMax: 1 << 20, openFilesMax: 2)

    @Test(
        "A crash at every operation keeps what was finished, and shows only whole blobs",
        arguments: CrashPlan.Moment.allCases)
    func everyOperation(_ moment: CrashPlan.Moment) throws {
        let numbers = Array(0..<14 as Range<UInt64>)
        for seed in 0..<Self.seedsMax {
            for index in 0... {
                let comment = "operation \(index) \(moment) seed \(seed)"
                let disk = SimulatedFileSystem()
                disk.plan(CrashPlan(index: index, moment: moment, seed: seed ^ UInt64(index) &* 7))
                var finished: [UInt64] = []
                var isDone = false
                do {
                    let store = try BlobWorld.open(disk, options: Self.options)
                    for number in numbers {
                        try BlobWorld.put(store, number, count: Self.length(number))
                        finished.append(number)
                        if number % 5 == 4 { try store.mark() }
                    }
                    isDone = true
                } catch {}
                disk.crash(seed: seed &+ UInt64(index))
                disk.restart()
                // Power goes again, in the start or just after.
                disk.plan(
                    CrashPlan(
                        index: disk.operationCount + index % 11, moment: .after, seed: seed &+ 5))
                do {
                    let store = try BlobWorld.open(disk, options: Self.options)
                    try Self.check(store, finished: finished, among: numbers, comment)
                    try BlobWorld.put(store, 100, count: Self.length(100))
                    try BlobWorld.put(store, 103, count: Self.length(103))
                } catch let error as BlobError {
                    guard case .disk = error else { throw error }
                }
                disk.crash(seed: seed)
                disk.restart()
                let store = try BlobWorld.open(disk, options: Self.options)
                try Self.check(
                    store, finished: finished, among: numbers + [100, 103], comment + ", again")
                #expect(try disk.list("/blobs").allSatisfy { $0.hasSuffix(".volume") })
                try BlobWorld.put(store, 200, count: 50)
                #expect(try store.bytes(BlobWorld.hash(200)) == BlobWorld.bytes(200, 50))
                if isDone { break }
            }
        }
    }

    @Test("Any flipped bit gives exact bytes, a missing blob or a precise error")
    func bitFlips() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk, options: Self.options)
        let numbers: [UInt64] = [0, 1, 2, 3]
        for number in numbers { try BlobWorld.put(store, number, count: Self.length(number)) }
        try store.mark()
        for path in disk.paths.map({ "/\($0)" }) {
            let size = try #require(disk.contents(path)?.count)
            for offset in stride(from: 0, to: size, by: size > 5000 ? 13 : 1) {
                let copy = disk.copy()
                copy.flipBit(path, offset: offset, bit: offset % 8)
                let rotten = try BlobWorld.open(copy, options: Self.options)
                for number in numbers {
                    let hash = BlobWorld.hash(number)
                    guard rotten.contains(hash) else {
                        #expect(rotten.damage.contains { $0.file == path }, "\(path) \(offset)")
                        continue
                    }
                    do {
                        let bytes = try rotten.bytes(hash)
                        #expect(
                            bytes == BlobWorld.bytes(number, Self.length(number)),
                            "\(path) \(offset)")
                    } catch {
                        guard case BlobError.rot(let damage) = error else { throw error }
                        #expect(damage.file == path && damage.offset <= UInt64(offset))
                    }
                }
            }
        }
    }

    @Test("A volume cut at every byte shows only whole blobs")
    func tornAtEveryByte() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk, options: Self.options)
        for number in [1, 2, 4] as [UInt64] {
            try BlobWorld.put(store, number, count: Self.length(number))
        }
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        for length in 0..<bytes.count {
            let copy = disk.copy()
            copy.setContents(path, Array(bytes[..<length]))
            let torn = try BlobWorld.open(copy, options: Self.options)
            for hash in torn.hashes { try torn.verify(hash) }
            let number: UInt64 = 7
            try BlobWorld.put(torn, number, count: 100)
            #expect(try torn.bytes(BlobWorld.hash(number)) == BlobWorld.bytes(number, 100))
        }
    }

    @Test("Blobs that hold the bytes of a volume are not taken for records")
    func forgedRecords() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk, options: Self.options)
        try BlobWorld.put(store, 1, count: 500)
        let path = try #require(disk.paths.first)
        let forged = try #require(disk.contents(path))
        let writer = try store.begin()
        try writer.append(forged)
        _ = try writer.finish(as: BlobWorld.hash(2))
        try store.mark()
        // The header of the second blob rots: the search for the next record crosses the forgery.
        let location = try #require(store.location(BlobWorld.hash(2)))
        disk.flipBit(path, offset: Int(location.offset) + 8, bit: 0)
        let again = try BlobWorld.open(disk, options: Self.options)
        #expect(again.hashes == [BlobWorld.hash(1)])
        #expect(again.damage.map(\.offset) == [location.offset])
    }

    @Test("What a start shows is still there after power goes, even if a sync had failed before")
    func shownIsDurable() throws {
        for seed in 0..<40 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            let store = try BlobWorld.open(disk, options: Self.options)
            for number in [1, 2] as [UInt64] { try BlobWorld.put(store, number, count: 1000) }
            // The sync fails, the pages turn clean: readable, but never written.
            disk.inject(DiskFault([.sync], .inputOutput, on: ".volume"))
            #expect(throws: BlobError.self) { try BlobWorld.put(store, 4, count: 1000) }
            disk.kill()
            disk.restart()
            let second = try BlobWorld.open(disk, options: Self.options)
            let shown = second.hashes
            #expect(shown.count == 3)
            disk.crash(seed: seed)
            disk.restart()
            let third = try BlobWorld.open(disk, options: Self.options)
            #expect(third.hashes == shown && third.damage.isEmpty, "seed \(seed)")
            for hash in shown { try third.verify(hash) }
        }
    }
}
