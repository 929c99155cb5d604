import Bytes
import SortedTable
import Testing

@testable import LSMTree

/// What is compacted next, as a function of the tables.
@Suite struct CompactionPickerTests {
    private var options: TreeOptions {
        var options = TreeOptions(keyspaces: [
            KeyspaceOptions(Keyspace(rawValue: 1), name: "a"),
            KeyspaceOptions(Keyspace(rawValue: 2), name: "b", isExpiring: true),
        ])
        options.levelBaseBytes = 1000
        options.tableBytes = 100
        options.levelFanOut = 10
        return options
    }

    private func table(
        _ id: UInt64, _ lower: UInt8, _ upper: UInt8, bytes: UInt64 = 100, deletes: UInt64 = 0,
        sequence: UInt64 = 1, maxExpiry: UInt64 = .max, isCompressed: Bool = true,
        tombstone: (UInt8, UInt8, UInt64)? = nil
    ) -> TableMetadata {
        var properties = TableProperties()
        properties.fileID = id
        properties.rows = 10
        properties.deletes = deletes
        properties.minSequence = sequence
        properties.maxSequence = max(sequence, tombstone?.2 ?? 0)
        properties.maxExpiry = maxExpiry
        properties.rangeDeletes = tombstone == nil ? 0 : 1
        properties.compressedBlocks = isCompressed ? 1 : 0
        properties.smallest = InternalKey.make(userKey: [lower], sequence: sequence, kind: .put)
        properties.largest = InternalKey.make(userKey: [upper], sequence: sequence, kind: .put)
        let summary = TableSummary(bytes: bytes, digest: 0, properties: properties)
        let tombstones = tombstone.map {
            [RangeTombstone(lower: [$0.0], upper: [$0.1], sequence: $0.2)]
        }
        return TableMetadata(summary: summary, tombstones: tombstones ?? [])
    }

    private func shape(_ levels: [Int: [TableMetadata]]) -> LevelShape {
        LevelShape(levels: (0..<TreeOptions.levelCount).map { levels[$0] ?? [] })
    }

    private func pick(
        _ first: LevelShape, _ second: LevelShape? = nil, horizon: UInt64 = 0,
        requests: [CompactionRequest] = []
    ) -> CompactionPlan? {
        CompactionPicker(options: options, horizon: horizon)
            .pick([first, second ?? shape([:])], requests: requests)
    }

    @Test("nothing to do is nothing picked")
    func nothing() {
        #expect(pick(shape([:])) == nil)
        #expect(pick(shape([0: [table(1, 0, 9)], 6: [table(2, 0, 9, bytes: 90_000)]])) == nil)
    }

    @Test("level 0 goes to the base level, which rises as the last level grows")
    func base() throws {
        let zero = (1...4).map { table(UInt64($0), 0, 9) }
        let small = try #require(pick(shape([0: zero])))
        #expect(small.reason == .levelZero && small.outputLevel == 6 && small.inputs.count == 4)
        let large = shape([0: zero, 6: [table(9, 0, 9, bytes: 50_000)]])
        #expect(LevelTargets(large, options).bytes[5] == 5000)
        #expect(try #require(pick(large)).outputLevel == 4)
    }

    @Test("the level furthest over its target gives the table that drags the least along")
    func size() throws {
        let plan = try #require(
            pick(
                shape([
                    4: [table(1, 0, 4, bytes: 900), table(2, 5, 9, bytes: 900)],
                    5: [table(3, 0, 4, bytes: 3000), table(4, 6, 6, bytes: 10)],
                    6: [table(5, 0, 9, bytes: 80_000)],
                ])))
        #expect(plan.reason == .size && plan.inputLevel == 4)
        #expect(plan.inputs.map(\.fileID) == [2])
        #expect(plan.outputs.map(\.fileID) == [4])
    }

    @Test("a table with nothing under it moves, unless it must change its form")
    func move() throws {
        func plan(_ isCompressed: Bool, deletes: UInt64) -> CompactionPlan? {
            let request = CompactionRequest(keyspace: 0, lower: [], upper: nil, sequence: 100)
            return pick(
                shape([5: [table(1, 0, 4, deletes: deletes, isCompressed: isCompressed)]]),
                requests: [request])
        }
        #expect(plan(true, deletes: 0)?.work == .move)
        #expect(plan(false, deletes: 0)?.work == .merge)
        #expect(plan(true, deletes: 1)?.work == .merge)
    }

    @Test("an expired table is dropped unread, but not while it hides a row that is not")
    func expired() throws {
        let dead = table(1, 0, 4, maxExpiry: 50)
        let live = table(2, 3, 9, maxExpiry: 51)
        let free = pick(shape([:]), shape([5: [dead], 6: [table(3, 5, 9)]]), horizon: 50)
        #expect(free?.work == .drop && free?.inputs.map(\.fileID) == [1])
        #expect(pick(shape([:]), shape([5: [dead], 6: [live]]), horizon: 50) == nil)
        #expect(pick(shape([:]), shape([5: [dead]]), horizon: 49) == nil)
        #expect(pick(shape([5: [dead]]), horizon: 50) == nil, "the first keyspace expires nothing")
    }

    @Test("a table under a newer range delete is dropped unread, if it lies wholly inside")
    func covered() {
        let eraser = table(1, 2, 2, sequence: 20, tombstone: (2, 8, 20))
        let inside = table(2, 2, 7, sequence: 19)
        let beyond = table(3, 2, 8, sequence: 19)
        let newer = table(4, 2, 7, sequence: 21)
        #expect(pick(shape([0: [eraser], 6: [inside]]))?.work == .drop)
        #expect(pick(shape([0: [eraser], 6: [beyond]]))?.work != .drop)
        #expect(pick(shape([0: [eraser], 6: [newer]]))?.work != .drop)
        // The first is the younger one: it is not under the range delete.
        #expect(pick(shape([0: [inside, eraser]]))?.work != .drop)
    }

    @Test("tombstones go down when nothing else is due, and leave the last level")
    func tombstones() {
        let dense = pick(shape([5: [table(1, 0, 4, deletes: 5)], 6: [table(2, 0, 9)]]))
        #expect(dense?.reason == .tombstones && dense?.outputLevel == 6)
        let last = pick(shape([6: [table(2, 0, 9, deletes: 1)]]))
        #expect(last?.reason == .elision && last?.inputLevel == 6 && last?.outputLevel == 6)
    }

    @Test("too many tables are joined, unless what lies below would cut them apart again")
    func crowded() {
        func row(_ count: UInt8, id: UInt64, bytes: UInt64) -> [TableMetadata] {
            (0..<count).map { place in
                table(id + UInt64(place), place * 10, place * 10 + 5, bytes: bytes)
            }
        }
        let small = row(8, id: 1, bytes: 5)
        func pick(_ shape: LevelShape) -> CompactionPlan? {
            var options = options
            options.tablesMax = 8
            options.levelBaseBytes = 1 << 40
            options.grandparentTables = 1
            return CompactionPicker(options: options, horizon: 0).pick([shape], requests: [])
        }
        #expect(pick(shape([5: small]))?.reason == .count)
        #expect(pick(shape([5: Array(small.prefix(6))])) == nil)
        // The two of level 5 would be cut apart by what lies below, and be as many as before.
        let below = row(5, id: 20, bytes: 1_000)
        let wide = [table(1, 0, 20, bytes: 5), table(2, 21, 50, bytes: 5)]
        #expect(pick(shape([5: wide, 6: below]))?.inputLevel == 6)
    }

    @Test("a request ends when all that it concerns has reached the last level")
    func request() {
        let picker = CompactionPicker(options: options, horizon: 0)
        let request = CompactionRequest(keyspace: 0, lower: [3], upper: [5], sequence: 10)
        #expect(!picker.isDone(request, shape([0: [table(1, 0, 4)]])))
        #expect(picker.isDone(request, shape([0: [table(1, 0, 4, sequence: 11)]])))
        #expect(picker.isDone(request, shape([0: [table(1, 5, 9)]])))
        #expect(picker.isDone(request, shape([6: [table(1, 0, 4)]])))
        #expect(pick(shape([0: [table(1, 0, 4)]]), requests: [request])?.reason == .requested)
    }

    // MARK: Quarantine

    private func pick(_ shape: LevelShape, quarantined: Set<UInt64>) -> CompactionPlan? {
        CompactionPicker(options: options, horizon: 0, quarantined: quarantined)
            .pick([shape, self.shape([:])], requests: [])
    }

    @Test("level 0 goes into a level above a table in quarantine")
    func baseAboveQuarantine() throws {
        let zero = (1...4).map { table(UInt64(5 - $0), 0, 9, sequence: 100 - UInt64($0)) }
        let bottom = [table(9, 0, 4), table(10, 5, 9)]
        let usual = try #require(pick(shape([0: zero, 6: bottom]), quarantined: []))
        #expect(usual.outputLevel == 6)
        let plan = try #require(pick(shape([0: zero, 6: bottom]), quarantined: [10]))
        #expect(plan.outputLevel == 5 && plan.inputs == zero && plan.outputs.isEmpty)
    }

    @Test("a table in quarantine sinks out of level 0 when nothing older lies under it there")
    func sinking() throws {
        let zero = (1...4).map { table(UInt64($0), 0, 9, sequence: 100 - UInt64($0)) }
        let bottom = [table(9, 0, 9)]
        // The oldest: it goes to just above what it overlaps.
        let sunk = try #require(pick(shape([0: zero, 6: bottom]), quarantined: [4]))
        #expect(sunk.work == .move && sunk.inputs == [zero[3]] && sunk.outputLevel == 5)
        // Not the oldest: what is older goes down first, what is newer stays.
        let plan = try #require(pick(shape([0: zero, 6: bottom]), quarantined: [2]))
        #expect(plan.inputs == [zero[2], zero[3]] && plan.outputs == bottom)
        // No level is left for what lies over it.
        #expect(pick(shape([0: zero, 2: bottom]), quarantined: [4])?.work != .move)
    }

    @Test("no plan reads a table in quarantine, and picking ends", arguments: 0..<40)
    func quarantinedAtRandom(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var levels: [Int: [TableMetadata]] = [:]
        var id: UInt64 = 0
        for level in 0..<TreeOptions.levelCount where generator.next() % 3 != 0 {
            var lower: UInt8 = 0
            while lower < 200 {
                let upper = lower + UInt8(1 + generator.next() % 40)
                id += 1
                levels[level, default: []].append(
                    table(
                        id, lower, upper, bytes: 50 + generator.next() % 5_000,
                        deletes: generator.next() % 4 == 0 ? 8 : 0,
                        sequence: level == 0 ? 1_000 - id : UInt64(8 - level)))
                lower = upper + UInt8(generator.next() % 10) + 1
                if level == 0, generator.next() % 2 == 0 { lower = 0 }
                if level == 0, levels[0]?.count ?? 0 > 8 { break }
            }
        }
        let quarantined = Set((1...max(1, id)).filter { _ in generator.next() % 6 == 0 })
        var steps = 0
        while let plan = pick(shape(levels), quarantined: quarantined) {
            steps += 1
            guard steps < 500 else {
                Issue.record("seed \(seed): picking does not end")
                return
            }
            let touched = Set((plan.inputs + plan.outputs).map(\.fileID))
            if plan.work == .merge { #expect(touched.isDisjoint(with: quarantined), "\(seed)") }
            levels[plan.inputLevel]?.removeAll { touched.contains($0.fileID) }
            levels[plan.outputLevel]?.removeAll { touched.contains($0.fileID) }
            switch plan.work {
            case .drop: break
            case .move: levels[plan.outputLevel, default: []] += plan.inputs
            case .merge:
                guard let span = KeySpan(plan.inputs + plan.outputs) else { continue }
                id += 1
                let bytes = (plan.inputs + plan.outputs).reduce(0) { $0 + $1.bytes }
                levels[plan.outputLevel, default: []].append(
                    table(id, span.lower[0], span.upper[0], bytes: bytes, sequence: 1))
            }
            levels[plan.outputLevel]?.sort { KeyOrder.less($0.smallest, $1.smallest) }
            if plan.outputLevel == 0 { continue }
            let sorted = levels[plan.outputLevel] ?? []
            for (left, right) in zip(sorted, sorted.dropFirst()) {
                #expect(left.endsBefore(right.smallest), "seed \(seed): tables overlap")
            }
        }
    }
}
