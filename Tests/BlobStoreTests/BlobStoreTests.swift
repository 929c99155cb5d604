import Bytes
import Platform
import Simulation
import Testing

@testable import BlobStore

@Suite struct BlobStoreTests {
    @Test("Blobs of every length come back whole and in ranges, before and after a restart")
    func roundTrip() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        let lengths = [
            0, 1, 2, 65_535, 65_536, 65_537, 119_999, 120_000, 120_001, 131_072, 500_000,
        ]
        for (index, length) in lengths.enumerated() {
            let location = try BlobWorld.put(store, UInt64(index), count: length)
            #expect(location.length == UInt64(length))
        }
        for reader in [store, try BlobWorld.open(disk)] {
            #expect(reader.damage.isEmpty && reader.hashes.count == lengths.count)
            var generator = SplitMix64(seed: 8)
            for (index, length) in lengths.enumerated() {
                let hash = BlobWorld.hash(UInt64(index))
                let bytes = BlobWorld.bytes(UInt64(index), length)
                #expect(reader.contains(hash) && reader.size(hash) == UInt64(length))
                #expect(try reader.bytes(hash) == bytes)
                for _ in 0..<10 where length > 0 {
                    let low = Int(generator.next() % UInt64(length))
                    let high = low + Int(generator.next() % UInt64(length - low + 1))
                    let part = try reader.bytes(hash, UInt64(low)..<UInt64(high))
                    #expect(part == Array(bytes[low..<high]), "\(length): \(low)..<\(high)")
                }
                #expect(throws: BlobError.range(UInt64(length))) {
                    try reader.bytes(hash, 0..<UInt64(length + 1))
                }
            }
        }
    }

    @Test("A range is read without the pages around it")
    func rangeReads() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        let location = try BlobWorld.put(store, 1, count: 400_000)
        let path = store.files.path(location.volume)
        // Rot in page 0 must not be met by a read of page 3.
        disk.flipBit(
            path, offset: Int(BlobFormat.pageOffset(record: location.offset, index: 0)), bit: 0)
        let range = 200_000..<200_010 as Range<UInt64>
        #expect(
            try store.bytes(BlobWorld.hash(1), range)
                == Array(BlobWorld.bytes(1, 400_000)[200_000..<200_010]))
        #expect(throws: BlobError.self) { try store.bytes(BlobWorld.hash(1), 0..<1) }
    }

    @Test("The same bytes are kept once, short or long", arguments: [5000, 300_000])
    func shared(_ count: Int) throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        let first = try BlobWorld.put(store, 1, count: count)
        let used = try disk.freeBytes("/")
        let second = try BlobWorld.put(store, 1, count: count)
        #expect(first == second)
        #expect(try disk.freeBytes("/") == used)
        #expect(store.hashes == [BlobWorld.hash(1)])
    }

    @Test("Uploads abandoned, dropped, too long, or open at a crash leave nothing")
    func noLeak() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        func uploads() throws -> [String] {
            try disk.list("/blobs").filter { $0.hasSuffix(".upload") }
        }
        let abandoned = try store.begin()
        try abandoned.append(BlobWorld.bytes(1, 500_000))
        #expect(try uploads().count == 1)
        abandoned.abandon()
        #expect(try uploads().isEmpty)
        #expect(throws: BlobError.finished) { try abandoned.append([1]) }
        #expect(throws: BlobError.finished) { try abandoned.finish(as: BlobWorld.hash(1)) }
        do {
            let dropped = try store.begin()
            try dropped.append(BlobWorld.bytes(1, 500_000))
        }
        #expect(try uploads().isEmpty)
        let long = try store.begin()
        #expect(throws: BlobError.tooLong(maximum: 10 << 20)) {
            for _ in 0..<11 { try long.append(BlobWorld.bytes(1, 1 << 20)) }
        }
        #expect(try uploads().isEmpty)
        let open = try store.begin()
        try open.append(BlobWorld.bytes(1, 500_000))
        disk.kill()
        disk.restart()
        #expect(try uploads().count == 1)
        let again = try BlobWorld.open(disk)
        #expect(try uploads().isEmpty && again.hashes.isEmpty)
    }

    @Test("Threads upload and read at once; equal blobs meet")
    func concurrent() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        let lanes = (0..<4).map { ThreadScheduler().lane("blobs \($0)") }
        let done = Latch(lanes.count)
        for (index, lane) in lanes.enumerated() {
            lane.submit {
                for step in 0..<30 {
                    let number = UInt64((step * 7 + index * 3) % 40)
                    do {
                        try BlobWorld.put(store, number, count: 3000 + Int(number) * 4000)
                        let bytes = try store.bytes(BlobWorld.hash(number))
                        #expect(bytes == BlobWorld.bytes(number, 3000 + Int(number) * 4000))
                    } catch {
                        Issue.record("\(error)")
                    }
                }
                done.countDown()
            }
        }
        done.wait()
        for lane in lanes { lane.stop() }
        let expected = Set((0..<4).flatMap { index in (0..<30).map { ($0 * 7 + index * 3) % 40 } })
        #expect(store.hashes == expected.map { BlobWorld.hash(UInt64($0)) }.sorted())
        let bytes = expected.reduce(0) { $0 + 3000 + $1 * 4000 }
        let used = (1 << 40) - Int(try disk.freeBytes("/"))
        #expect(used < bytes + bytes / 50 + 100_000, "\(used) for \(bytes)")
        #expect(try BlobWorld.open(disk).hashes == store.hashes)
    }

    @Test("A damaged blob counts as missing once met, and a new upload heals it")
    func heals() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        for (number, count) in [(1, 9000), (2, 300_000)] as [(UInt64, Int)] {
            let hash = BlobWorld.hash(number)
            let location = try BlobWorld.put(store, number, count: count)
            let path = store.files.path(location.volume)
            disk.flipBit(path, offset: Int(location.offset) + 80, bit: 2)
            do {
                try store.verify(hash)
                Issue.record("rot was not seen")
            } catch {
                guard case BlobError.rot(let damage) = error else { throw error }
                #expect(damage.file == path && damage.offset == location.offset + 64)
            }
            #expect(!store.contains(hash))
            #expect(throws: BlobError.missing(hash)) { try store.bytes(hash) }
            let healed = try BlobWorld.put(store, number, count: count)
            #expect(healed != location)
            #expect(try store.bytes(hash) == BlobWorld.bytes(number, count))
            #expect(try BlobWorld.open(disk).bytes(hash) == BlobWorld.bytes(number, count))
        }
    }

    @Test("A full disk refuses an upload and nothing else; the store goes on when space returns")
    func fullDisk() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        try BlobWorld.put(store, 1, count: 9000)
        for _ in 0..<5 {
            disk.inject(DiskFault([.write], .noSpace, .always))
            for count in [9001, 400_000] {
                #expect(throws: BlobError.self) { try BlobWorld.put(store, 2, count: count) }
            }
            disk.clearFaults()
            #expect(!store.contains(BlobWorld.hash(2)))
            #expect(try store.bytes(BlobWorld.hash(1)) == BlobWorld.bytes(1, 9000))
        }
        try BlobWorld.put(store, 3, count: 70)
        try BlobWorld.put(store, 4, count: 400_000)
        let again = try BlobWorld.open(disk)
        #expect(again.hashes == store.hashes && again.damage.isEmpty && again.hashes.count == 3)
        #expect(try disk.list("/blobs").allSatisfy { $0.hasSuffix(".volume") })
    }

    @Test("A failed sync of the shared volume ends writing, not reading")
    func deadAfterSync() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        try BlobWorld.put(store, 1, count: 9000)
        disk.inject(DiskFault([.sync], .inputOutput, on: ".volume"))
        #expect(throws: BlobError.self) { try BlobWorld.put(store, 2, count: 9000) }
        #expect(throws: BlobError.dead) { try BlobWorld.put(store, 3, count: 9000) }
        #expect(!store.contains(BlobWorld.hash(2)))
        #expect(try store.bytes(BlobWorld.hash(1)) == BlobWorld.bytes(1, 9000))
    }

    @Test("The bytes of a volume are those of the golden file")
    func golden() throws {
        let disk = SimulatedFileSystem()
        let store = try BlobWorld.open(disk)
        let writer = try store.begin()
        try writer.append([0x68, 0x69])
        let hash = try #require(BlobHash(Array(0..<32)))
        let location = try writer.finish(as: hash)
        try store.mark()
        let path = store.files.path(location.volume)
        try Golden.check("blob-volume.bin", try #require(disk.contents(path)))
        let lines = try BlobDump.lines(try disk.open(path, .read), id: location.volume)
        try Golden.check("blob-volume.txt", Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    @Test("The store runs on the real disk")
    func linux() throws {
        let files = LinuxFileSystem()
        let directory = "/tmp/magpie-blob-tests/\(Hex.encode(SystemRandom().bytes(8)))"
        for life in 0..<3 as Range<UInt64> {
            let store = try BlobStore.open(
                fileSystem: files, directory: directory, options: BlobWorld.options,
                random: SystemRandom())
            #expect(store.hashes.count == Int(life) * 4 && store.damage.isEmpty)
            for number in 0..<4 as Range<UInt64> {
                try BlobWorld.put(store, life * 4 + number, count: Int(number) * 90_000)
            }
            for number in 0..<(life * 4 + 4) {
                let bytes = BlobWorld.bytes(number, Int(number % 4) * 90_000)
                #expect(try store.bytes(BlobWorld.hash(number)) == bytes)
            }
        }
        for name in try files.list(directory) { try files.unlink("\(directory)/\(name)") }
    }
}
