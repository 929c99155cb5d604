import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

/// What was erased leaves the log: in time whoever needs it, and not at once when somebody does.
@Suite("Erasures and the log")
struct ErasureTests {
    private static func options(
        _ seed: UInt64, erasureTicks: UInt64, _ adjust: @escaping (inout ReplicatorOptions) -> Void
    ) -> Trio {
        Trio(seed: seed) {
            $0.pinnedSegmentsMax = 1_000
            $0.releaseTicks = 2
            $0.erasureTicksMax = erasureTicks
            adjust(&$0)
        }
    }

    private static func trio(_ seed: UInt64, erasureTicks: UInt64) -> Trio {
        options(seed, erasureTicks: erasureTicks) { _ in }
    }

    // MARK: Peers

    @Test("A member catches up by one snapshot although every cut meanwhile holds an erasure")
    func fetching() throws {
        let trio = Self.trio(3, erasureTicks: 400)
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        let node = try #require(trio.nodes[behind])
        trio.cutOff = [behind]
        for number in 0..<30 { trio.propose("before \(number)") }
        // It is gone for longer than an erasure may wait.
        trio.cut(leader, isErasing: true)
        for _ in 0..<404 { trio.tick() }
        trio.cutOff = []
        for _ in 0..<6 { trio.tick() }
        let offers = node.snapshotsNeeded.count
        try #expect(#require(node.snapshotsNeeded.last).need.from == Trio.replicas[leader])

        for round in 0..<3
        where trio.status(behind)?.commitIndex != trio.status(leader)?.commitIndex {
            // The state is exported; while it is fetched the leader goes on, and erases.
            let exported = trio.cuts[leader]
            for number in 0..<10 { trio.propose("meanwhile \(round) \(number)") }
            trio.cut(leader, isErasing: true)
            trio.tick()
            trio.cuts[behind] = exported
            #expect(
                node.replicator.install(
                    Trio.group, index: exported.index, term: exported.term,
                    configuration: Configuration(voters: Trio.replicas)))
            for _ in 0..<20 { trio.tick() }
        }
        #expect(node.lastCommitted(Trio.group) == trio.decided.keys.max())
        #expect(node.snapshotsNeeded.count == offers, "no other snapshot was asked for")
        #expect(trio.problems == [])
    }

    @Test("A member that was away for a moment needs no snapshot, and then what was erased goes")
    func brief() throws {
        let trio = Self.trio(4, erasureTicks: 400)
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        let node = try #require(trio.nodes[behind])
        trio.cutOff = [behind]
        for number in 0..<10 { trio.propose("\(number)") }
        let erased = try #require(trio.status(leader)).appliedIndex
        trio.cut(leader, isErasing: true)
        trio.tick()
        try #expect(#require(trio.status(leader)).baseIndex < erased)
        trio.cutOff = []
        for _ in 0..<8 { trio.tick() }
        #expect(node.texts(Trio.group) == trio.texts && node.snapshotsNeeded.isEmpty)
        try #expect(#require(trio.status(leader)).baseIndex == erased)
        #expect(trio.problems == [])
    }

    @Test("An erasure waits for nobody beyond its time, and takes along nothing newer")
    func overdue() throws {
        let trio = Self.trio(5, erasureTicks: 60)
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        trio.cutOff = [behind]
        for number in 0..<10 { trio.propose("\(number)") }
        // Both the leader and a follower, which knows what is needed from its leader.
        let places = [leader, 3 - leader - behind]
        let first = try #require(trio.status(leader)).appliedIndex
        for place in places { trio.cut(place, isErasing: true) }
        for _ in 0..<30 { trio.tick() }
        for number in 10..<20 { trio.propose("\(number)") }
        let second = try #require(trio.status(leader)).appliedIndex
        for place in places { trio.cut(place, isErasing: true) }
        for _ in 0..<28 { trio.tick() }
        for place in places { try #expect(#require(trio.status(place)).baseIndex < first) }
        for _ in 0..<4 { trio.tick() }
        for place in places { try #expect(#require(trio.status(place)).baseIndex == first) }
        for _ in 0..<30 { trio.tick() }
        for place in places { try #expect(#require(trio.status(place)).baseIndex == second) }
        #expect(trio.problems == [])
    }

    @Test("A member that holds back too many segments is given up before an erasure's time is over")
    func farBack() throws {
        let trio = Self.options(6, erasureTicks: 100_000) { $0.pinnedSegmentsMax = 2 }
        trio.startAll()
        let leader = try #require(trio.elect())
        trio.cutOff = [(leader + 1) % 3]
        let filler = String(repeating: "z", count: 200)
        for number in 0..<100 { trio.propose("\(number) \(filler)") }
        trio.cut(leader, isErasing: true)
        let erased = try #require(trio.status(leader)).appliedIndex
        try #expect(#require(trio.status(leader)).baseIndex == erased)
    }

    // MARK: Files

    private static let text = "what was erased in the end"
    private static let filler = String(repeating: "-", count: 900)

    /// Files of a log that hold the text.
    private static func holders(_ disk: SimulatedFileSystem) -> [String] {
        disk.paths.filter { path in
            disk.contents(path).map { String(decoding: $0, as: UTF8.self).contains(text) } ?? false
        }
    }

    private static func alone(_ disk: SimulatedFileSystem, applied: LogBase) throws -> TestNode {
        let start = GroupStart(
            group: 1, replica: 11, appliedIndex: applied.index, appliedTerm: applied.term)
        let node = try TestNode(disk, groups: [start], segmentBytes: 16_384)
        node.settle()
        return node
    }

    /// Entries that fill some segments; they are applied, and a cut without an erasure has them.
    private static func fill(_ node: TestNode, _ count: Int, isCut: Bool = true) {
        for number in 0..<count {
            _ = node.propose(1, "\(number) \(filler)")
            node.settle()
            if isCut, number % 10 == 9 {
                node.replicator.release(applied: [(1, node.lastCommitted(1))])
                node.settle()
            }
        }
    }

    /// Time in which nobody writes.
    private static func rest(_ node: TestNode) {
        for _ in 0..<6 {
            node.settle()
            node.replicator.tick()
        }
        node.settle()
    }

    @Test("Text and erasure in the segment being written: it is wiped although nothing follows")
    func quiet() throws {
        let disk = SimulatedFileSystem()
        let node = try Self.alone(disk, applied: LogBase(index: 0, term: 0))
        Self.fill(node, 40, isCut: false)
        _ = node.propose(1, Self.text)
        _ = node.propose(1, "erase it")
        node.settle()
        #expect(Self.holders(disk).count == 1)
        node.replicator.release(applied: [(1, node.lastCommitted(1))], erased: [1])
        Self.rest(node)
        #expect(Self.holders(disk) == [])
    }

    @Test("Text and erasure in a segment that holds later entries: a later cut frees and wipes it")
    func sameSegment() throws {
        let disk = SimulatedFileSystem()
        let node = try Self.alone(disk, applied: LogBase(index: 0, term: 0))
        Self.fill(node, 40, isCut: false)
        _ = node.propose(1, Self.text)
        _ = node.propose(1, "erase it")
        node.settle()
        let cut = node.lastCommitted(1)
        _ = node.propose(1, "after the cut")
        node.settle()
        // It frees older segments, and not the one with the text.
        node.replicator.release(applied: [(1, cut)], erased: [1])
        Self.rest(node)
        Self.fill(node, 1)
        #expect(Self.holders(disk).count == 1)
        // Few enough that its file is not overwritten by chance.
        Self.fill(node, 30)
        #expect(Self.holders(disk) == [])
    }

    @Test(
        "The log of an erased text is wiped after a restart, whether the stop was graceful or not",
        arguments: [true, false])
    func restart(isGraceful: Bool) throws {
        let disk = SimulatedFileSystem()
        let node = try Self.alone(disk, applied: LogBase(index: 0, term: 0))
        Self.fill(node, 8, isCut: false)
        _ = node.propose(1, Self.text)
        _ = node.propose(1, "erase it")
        node.settle()
        let cut = LogBase(index: node.lastCommitted(1), term: node.lastTerm(1))
        if isGraceful {
            // The cut comes when the log is closed already: nothing is released.
            node.replicator.stop()
            node.work()
        } else {
            node.replicator.release(applied: [(1, cut.index)], erased: [1])
            node.settle()
            disk.crash(seed: 1)
            disk.restart()
        }
        #expect(Self.holders(disk).count == 1)
        let again = try Self.alone(disk, applied: cut)
        #expect(again.texts(1) == [])
        // One cut is enough, of whatever comes next.
        Self.rest(again)
        again.replicator.release(applied: [(1, again.lastCommitted(1))])
        Self.rest(again)
        #expect(Self.holders(disk) == [])
    }

    @Test("A start lets go of what an earlier run did not: no cut needs to follow")
    func start() throws {
        let disk = SimulatedFileSystem()
        let node = try Self.alone(disk, applied: LogBase(index: 0, term: 0))
        Self.fill(node, 8, isCut: false)
        _ = node.propose(1, Self.text)
        Self.rest(node)
        let cut = LogBase(index: node.lastCommitted(1), term: node.lastTerm(1))
        node.replicator.stop()
        node.work()
        #expect(Self.holders(disk).count == 1)
        Self.rest(try Self.alone(disk, applied: cut))
        #expect(Self.holders(disk) == [])
    }

    @Test("A follower whose snapshot brings the erasure wipes what its log held")
    func snapshot() throws {
        let disk = SimulatedFileSystem()
        let configuration = Configuration(voters: [21, 22, 23])
        let start = GroupStart(group: 1, replica: 21, configuration: configuration)
        // A restart counts all that it finds: here nothing is found.
        let node = try TestNode(disk, groups: [start], segmentBytes: 16_384) { $0.hasPeers = true }
        func append(after previous: LogIndex, _ previousTerm: Term, _ texts: [String]) {
            let entries = texts.enumerated().map { offset, text in
                Entry(
                    index: previous + 1 + LogIndex(offset), term: 1, kind: .command,
                    payload: [UInt8](text.utf8))
            }
            let last = previous + LogIndex(texts.count)
            node.replicator.receive(
                1,
                Message(
                    from: 22, to: 21, term: 1,
                    body: .append(
                        previousIndex: previous, previousTerm: previousTerm, entries: entries,
                        commit: last)))
            node.settle()
        }
        append(after: 0, 0, (0..<17).map { "\($0) \(Self.filler)" })
        append(after: 17, 1, (0..<7).map { "\($0) \(Self.filler)" } + [Self.text])
        #expect(Self.holders(disk).count == 1 && node.segmentCount > 2)
        #expect(
            node.replicator.install(1, index: 80, term: 1, configuration: configuration))
        Self.rest(node)
        #expect(Self.holders(disk) == [])
    }
}
