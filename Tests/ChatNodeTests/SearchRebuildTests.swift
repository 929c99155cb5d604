import Bytes
import ChatModel
import Platform
import Session
import Simulation
import Testing

@testable import ChatNode

/// What becomes of an index whose files are lost, rotten, old, or cannot be written.
@Suite("A search index that is lost or damaged")
struct SearchRebuildTests {
    private static func indexFiles(_ world: SimulatedNode) -> [String] {
        world.files.paths.filter { $0.contains("/search/") || $0.hasPrefix("search/") }
    }

    private static func isMadeAnew(_ world: SimulatedNode, because reason: String = "") -> Bool {
        world.incidents.value.contains {
            $0.contains("made anew from the messages, because \(reason)")
        }
    }

    /// Changes, some of them in segments on the disk.
    private static func live(_ model: SearchModel, _ changes: Int = 60) {
        for step in 0..<changes {
            model.change()
            if step % 25 == 10 { model.cut() }
        }
        model.world.pass(.seconds(2))
    }

    private static func start(_ model: SearchModel, _ comment: String) {
        model.world.incidents.change { $0 = [] }
        #expect(model.world.boot(), "seed \(model.seed), \(comment)")
        // What comes while the index is made is taken too.
        for _ in 0..<10 { model.change() }
        for _ in 0..<12 { model.compare(comment) }
        model.compareCanaries(comment)
    }

    @Test("Lost: it is made anew while the node serves", arguments: [1, 2] as [UInt64])
    func lost(seed: UInt64) throws {
        let model = try SearchModel(seed: seed)
        Self.live(model)
        model.world.stop()
        let files = Self.indexFiles(model.world)
        #expect(files.count > 3, "seed \(seed): \(files)")
        for path in files { try model.world.files.unlink("/" + path) }
        Self.start(model, "lost")
        #expect(Self.isMadeAnew(model.world, because: "there is none"), "seed \(seed)")
        model.world.stop()
        Self.start(model, "then kept")
        #expect(!Self.isMadeAnew(model.world), "seed \(seed)")
        model.world.stop()
    }

    @Test("A power cut after a cut of the tree costs no rebuild", arguments: [8, 9] as [UInt64])
    func powerCut(seed: UInt64) throws {
        let model = try SearchModel(seed: seed)
        for round in 0..<4 {
            Self.live(model, 20)
            model.cut()
            model.world.pass(.seconds(2))
            for _ in 0..<5 { model.change() }
            model.world.cutPower(seed: seed &+ UInt64(round))
            Self.start(model, "round \(round)")
            #expect(!Self.isMadeAnew(model.world), "seed \(seed), round \(round)")
        }
        model.world.stop()
    }

    @Test("A flipped bit anywhere in it: the index is made anew, the node is as ever")
    func rot() throws {
        let model = try SearchModel(seed: 3)
        Self.live(model)
        var flips = 0
        for round in 0..<12 {
            model.world.stop()
            let files = Self.indexFiles(model.world)
            let path = "/" + files[model.number(files.count)]
            let bytes = try #require(model.world.files.contents(path))
            let offset = model.number(bytes.count)
            model.world.files.flipBit(path, offset: offset, bit: round % 8)
            Self.start(model, "\(path) at \(offset)")
            if Self.isMadeAnew(model.world) { flips += 1 }
        }
        #expect(flips == 12)
        model.world.stop()
    }

    enum FirstToMeet: CaseIterable { case search, edit }

    @Test(
        "Segments rot while they are closed: who needs one first has the index made anew",
        arguments: FirstToMeet.allCases, [10, 11] as [UInt64])
    func rotBehind(first: FirstToMeet, seed: UInt64) throws {
        let model = try SearchModel(seed: seed)
        Self.live(model)
        model.world.stop()
        #expect(model.world.boot(), "seed \(seed)")
        model.world.pass(.seconds(2))
        let report = try #require(model.world.node?.searchReport())
        #expect(report.openedBytes < report.bytes, "seed \(seed)")
        #expect(report.indexing.isEmpty && report.documents > 10, "seed \(seed)")
        model.world.incidents.change { $0 = [] }
        for path in Self.indexFiles(model.world) where path.hasSuffix(".segment") {
            model.world.files.flipBit("/" + path, offset: 70, bit: 1)
        }
        switch first {
        case .search:
            for _ in 0..<12 where model.unreadable == 0 { model.compare("search") }
            #expect(model.unreadable > 0, "seed \(seed): a search met it")
        case .edit:
            for _ in 0..<40 { model.change() }
            model.cut()
        }
        model.world.pass(.seconds(5))
        #expect(Self.isMadeAnew(model.world), "seed \(seed)")
        for _ in 0..<20 { model.compare("made anew") }
        let unreadable = model.unreadable
        for _ in 0..<20 { model.compare("then") }
        #expect(model.unreadable == unreadable, "seed \(seed): it is whole")
        #expect(model.world.failure == nil, "seed \(seed)")
        model.world.stop()
    }

    @Test("Older than the tree: it is made anew")
    func old() throws {
        let model = try SearchModel(seed: 4)
        Self.live(model)
        model.world.stop()
        var before: [String: [UInt8]] = [:]
        for path in Self.indexFiles(model.world) {
            before[path] = model.world.files.contents("/" + path)
        }
        #expect(model.world.boot())
        Self.live(model)
        model.world.stop()
        for path in Self.indexFiles(model.world) { try model.world.files.unlink("/" + path) }
        for (path, bytes) in before { model.world.files.setContents("/" + path, bytes) }
        Self.start(model, "old")
        #expect(Self.isMadeAnew(model.world, because: "it lacks messages"))
        model.world.stop()
    }

    @Test(
        "Its disk fails: the node goes on and finds what is new; then all is as before",
        arguments: [DiskError.Reason.noSpace, .inputOutput])
    func failingDisk(reason: DiskError.Reason) throws {
        let model = try SearchModel(seed: 5)
        Self.live(model)
        model.world.incidents.change { $0 = [] }
        for operations: [DiskOperation] in [
            [.write], [.sync], [.create], [.rename], [.syncDirectory], [.unlink],
            [.open, .read, .create],
        ] {
            for path in ["search/1/", "search/"] {
                model.world.files.inject(DiskFault(operations, reason, on: path, .always))
                Self.live(model, 40)
                for _ in 0..<6 { model.compare("\(operations) at \(path)") }
                #expect(model.world.failure == nil, "\(operations) at \(path)")
                model.world.files.clearFaults()
                model.world.pass(.seconds(700))
                for _ in 0..<6 { model.compare("after \(operations) at \(path)") }
                let report = try #require(model.world.node?.searchReport())
                #expect(report.indexing.isEmpty && report.documents > 20, "\(operations)")
            }
        }
        let said = model.world.incidents.value.filter { $0.contains("The node goes on") }
        #expect(said.count > 4)
        model.world.stop()
        Self.start(model, "started again")
        model.world.stop()
    }

    @Test("A long rebuild meets live changes", arguments: [6, 7] as [UInt64])
    func race(seed: UInt64) throws {
        let model = try SearchModel(seed: seed)
        for _ in 0..<1_500 { model.change() }
        model.world.stop()
        for path in Self.indexFiles(model.world) { try model.world.files.unlink("/" + path) }
        #expect(model.world.boot(), "seed \(seed)")
        var wasIndexing = 0
        for _ in 0..<60 {
            model.change()
            if model.world.node?.searchReport().indexing.isEmpty == false { wasIndexing += 1 }
            if model.number(20) == 0 {
                model.world.cutPower(seed: seed)
                #expect(model.world.boot(), "seed \(seed)")
            }
        }
        #expect(wasIndexing > 3, "seed \(seed)")
        for step in 0..<30 { model.compare("step \(step)") }
        model.world.stop()
    }
}
