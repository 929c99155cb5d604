import Bytes
import Platform
import Simulation
import Testing

@testable import SearchIndex

@Suite("Erasure in the search index")
struct ErasureTests {
    /// A store with some messages among which a few have a word of their own.
    private struct World: ~Copyable {
        let files: SimulatedFileSystem
        var store: SearchStore
        var secrets: [(key: DocumentKey, word: String)] = []

        init(seed: UInt64) throws {
            let files = SimulatedFileSystem(seed: seed)
            var store = try SearchStore.open(
                files: files, directory: "/index", tokens: Segments.tokens)
            var maker = MessageMaker(seed: seed)
            for commit in 0..<6 {
                var builder = SegmentBuilder(memoryMax: 1 << 20)
                for number in 0..<(20 + maker.below(200)) {
                    var message = maker.message()
                    message.document.key.seq = UInt64(commit * 1000 + number)
                    if number == 7, commit != 3 {
                        // Begins unlike all others, so that the dictionary has it whole.
                        let word =
                            "\(Character(Unicode.Scalar(UInt8(113 + commit))))secret\(commit)"
                        message.words = [word, "a", word]
                        secrets.append((message.key, word))
                    }
                    builder.put(message)
                }
                try store.commit(builder, cursor: [UInt8(commit)])
            }
            self.files = files
            self.store = store
        }

        /// The words that stand somewhere in the files.
        func readable() -> [String] {
            secrets.map(\.word).filter { word in
                files.paths.contains { path in
                    files.contents(path).map { Self.holds($0, Array(word.utf8)) } ?? false
                }
            }
        }

        private static func holds(_ bytes: [UInt8], _ word: [UInt8]) -> Bool {
            bytes.indices.contains { bytes[$0] == word[0] && bytes[$0...].starts(with: word) }
        }

        mutating func erase(_ numbers: some Sequence<Int>) throws {
            var builder = SegmentBuilder(memoryMax: 1 << 20)
            for number in numbers { builder.remove(secrets[number].key) }
            try store.commit(builder, cursor: [99])
        }
    }

    @Test("after a full merge no file has a word of what was removed", arguments: Long.seeds(0, 4))
    func fullMerge(seed: UInt64) throws {
        var world = try World(seed: seed)
        let all = world.secrets.map(\.word)
        #expect(all.count == 5 && world.readable() == all, "seed \(seed)")
        try world.erase(0..<4)
        #expect(world.readable() == all, "seed \(seed): they are dead, not gone")
        let planned = world.store.planFullMerge()
        let plan = try #require(planned)
        try world.store.install(try plan.run())
        #expect(world.readable() == [all[4]], "seed \(seed)")
    }

    @Test(
        "a purge rewrites each segment with dead documents once, and no other",
        arguments: Long.seeds(10, 6))
    func purge(seed: UInt64) throws {
        var world = try World(seed: seed)
        let all = world.secrets.map(\.word)
        let before = Set(world.files.paths)
        try world.erase([0, 2, 3])
        let horizon = world.store.generation
        var purges = 0
        while let plan = world.store.planPurge(diedUntil: horizon) {
            let merged = try plan.run()
            // What dies meanwhile is not of this purge.
            if purges == 0 { try world.erase([1]) }
            try world.store.install(merged)
            purges += 1
            #expect(purges <= 6, "seed \(seed): it ends")
        }
        #expect(purges == 3, "seed \(seed)")
        #expect(world.readable() == [all[1], all[4]], "seed \(seed)")
        #expect(before.intersection(world.files.paths).count == 3 + 1, "seed \(seed): manifest too")
        while let plan = world.store.planPurge() { try world.store.install(try plan.run()) }
        #expect(world.readable() == [all[4]], "seed \(seed)")
        let rest = world.store.planPurge()
        #expect(rest == nil)
        #expect(world.files.paths.allSatisfy { !$0.hasSuffix(DeadFormat.ending) }, "seed \(seed)")
    }

    @Test("a purge also takes what died while its segment was being merged", arguments: 0..<4)
    func duringMerge(seed: UInt64) throws {
        var world = try World(seed: seed)
        let all = world.secrets.map(\.word)
        let planned = world.store.planFullMerge()
        let plan = try #require(planned)
        try world.erase([1, 2])
        let horizon = world.store.generation
        let duringMerge = world.store.planPurge(diedUntil: horizon)
        #expect(duringMerge == nil, "one merge at a time")
        try world.store.install(try plan.run())
        #expect(world.readable() == all, "seed \(seed): the merge did not know")
        let plannedPurge = world.store.planPurge(diedUntil: horizon)
        let purge = try #require(plannedPurge)
        try world.store.install(try purge.run())
        #expect(world.readable() == [all[0], all[3], all[4]], "seed \(seed)")
        let rest = world.store.planPurge(diedUntil: horizon)
        #expect(rest == nil)
    }

    @Test("what was dead before an opening is due at any deadline")
    func afterOpening() throws {
        var world = try World(seed: 5)
        try world.erase([0])
        world.store = try SearchStore.open(
            files: world.files, directory: "/index", tokens: Segments.tokens)
        let planned = world.store.planPurge(diedUntil: 0)
        let plan = try #require(planned)
        try world.store.install(try plan.run())
        #expect(world.readable() == Array(world.secrets.map(\.word).dropFirst()))
        let rest = world.store.planPurge()
        #expect(rest == nil)
    }

    @Test("a merge that the disk fails leaves nothing behind", arguments: 0..<12)
    func failedMerge(seed: UInt64) throws {
        var world = try World(seed: 6)
        try world.erase([0, 1])
        let before = world.files.paths
        let planned = world.store.planFullMerge()
        let plan = try #require(planned)
        world.files.inject(DiskFault([.write, .sync], .noSpace, .after(Int(seed) % 3)))
        var failed = false
        do { _ = try plan.run() } catch { failed = true }
        world.files.clearFaults()
        world.store.abandonMerge()
        if failed { #expect(world.files.paths == before, "fault after \(seed % 3)") }
        #expect(failed || seed % 3 > 0)
        let plannedAgain = world.store.planFullMerge()
        let again = try #require(plannedAgain)
        try world.store.install(try again.run())
        #expect(world.readable() == Array(world.secrets.map(\.word).dropFirst(2)))
    }
}
