import Bytes
import Platform
import SortedTable
import Synchronization
import Testing

@testable import LSMTree

/// The memtable of a numbered keyspace against a list of everything that was written.
@Suite struct NumberedRunsTests {
    @Test("every reader sees what a list shows, whatever the keys", arguments: 0..<60)
    func likeAList(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let world = World(prefixLength: Int(seed % 4))
        var keys = KeyMaker(prefixLength: world.prefixLength, mix: seed / 4 % 5)
        let rows = seed % 10 == 9 ? 4_000 : 300
        while world.history.count < rows { world.write(&keys, &generator) }
        let last = UInt64(world.history.count)
        for sequence in [0, 1, last / 2, last - 1, last, InternalKey.sequenceMax] {
            world.compare(at: sequence, &keys, &generator, "seed \(seed), at \(sequence)")
        }
        #expect(world.part.rows == world.history.count)
        let inRuns = world.rowsInRuns
        // Each mix must reach both places, or the test shows nothing.
        #expect(inRuns > 0 && inRuns < rows, "seed \(seed): \(inRuns) of \(rows) in runs")
    }

    @Test("a number above the next closes its run, and no older row comes back")
    func gaps() {
        let world = World(prefixLength: 1)
        for number in [5, 6, 9, 7, 8, 9, 10, 7] as [UInt64] {
            world.put(KeyMaker.key([1], number))
        }
        #expect(world.rowsInRuns == 2)
        for sequence in 0...9 as ClosedRange<UInt64> { world.compareAll(at: sequence, "gaps") }
    }

    @Test("numbers may end at the last there is")
    func lastNumber() {
        let world = World(prefixLength: 1)
        for number in [.max - 1, .max, 0, 1, .max] as [UInt64] {
            world.put(KeyMaker.key([1], number))
        }
        world.put(KeyMaker.key([1], .max) + [0])
        world.put(KeyMaker.key([2], 0))
        #expect(world.rowsInRuns == 3)
        for sequence in 0...7 as ClosedRange<UInt64> { world.compareAll(at: sequence, "numbers") }
        world.probe([1] + [UInt8](repeating: 255, count: 9), at: 7, "after the last number")
    }

    @Test("a run of many segments answers at every place and sequence")
    func longRun() {
        let world = World(prefixLength: 2)
        for number in 0..<40_000 as Range<UInt64> {
            world.put(KeyMaker.key([0, UInt8(number % 2)], number / 2 + 3))
        }
        #expect(world.rowsInRuns == 40_000)
        let runs = world.runs
        for number in stride(from: 0, to: 40_000, by: 37) as StrideTo<UInt64> {
            let key = KeyMaker.key([0, UInt8(number % 2)], number / 2 + 3)
            let trailer = InternalKey.trailer(sequence: number + 1, kind: .put)
            key.withUnsafeBytes { key in
                #expect(runs.find(key, at: number) == nil)
                #expect(runs.find(key, at: number + 1).map(NumberedRuns.trailer) == trailer)
            }
        }
        world.compareAll(at: 40_000, "long run")
        world.compareAll(at: 20_001, "long run")
    }

    @Test(
        "prefixes that were chosen to collide are found, and absent ones are not",
        // With the first they collide for good, with the second until the table has grown.
        arguments: [0x3FF, 0x7F] as [UInt32])
    func collisions(mask: UInt32) {
        let world = World(prefixLength: 8)
        var chosen: [[UInt8]] = []
        var candidate: UInt64 = 0
        while chosen.count < 200 {
            candidate += 1
            let prefix = withUnsafeBytes(of: candidate.bigEndian) { [UInt8]($0) }
            let hash = prefix.withUnsafeBytes { NumberedRuns.hash($0) }
            if hash & mask == 0x55 { chosen.append(prefix) }
        }
        let (written, absent) = (chosen[..<150], chosen[150...])
        for number in 1...3 as ClosedRange<UInt64> {
            for prefix in written { world.put(KeyMaker.key(prefix, number)) }
        }
        #expect(world.rowsInRuns == 450)
        for prefix in written {
            #expect(prefix.withUnsafeBytes { world.runs.node($0) } != 0)
            world.probe(KeyMaker.key(prefix, 3), at: 450, "collisions")
        }
        for prefix in absent {
            #expect(prefix.withUnsafeBytes { world.runs.node($0) } == 0)
            world.probe(KeyMaker.key(prefix, 3), at: 450, "collisions")
        }
        world.compareAll(at: 450, "collisions")
    }

    @Test("readers beside the writer see all rows up to their sequence and none after")
    func concurrentReaders() {
        let round = ReadingRound(rows: 60_000, prefixes: 700)
        let lanes = (0..<3).map { ThreadScheduler().lane("reader \($0)") }
        for (index, lane) in lanes.enumerated() {
            lane.submit { round.read(UInt64(index)) }
        }
        round.write()
        for lane in lanes { lane.stop() }
        #expect(round.wrong.load(ordering: .relaxed) == 0)
        #expect(round.looks.load(ordering: .relaxed) >= 3)
    }
}

/// Keys of which many are a prefix and the next number.
private struct KeyMaker {
    let prefixLength: Int
    /// 0: mostly appends; 1: many gaps; 2: many overwrites; 3: many other lengths;
    /// 4: many prefixes.
    let mix: UInt64
    var next: [[UInt8]: UInt64] = [:]

    init(prefixLength: Int, mix: UInt64) {
        self.prefixLength = prefixLength
        self.mix = mix
    }

    static func key(_ prefix: [UInt8], _ number: UInt64) -> [UInt8] {
        prefix + withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
    }

    mutating func write(_ generator: inout SplitMix64) -> [UInt8] {
        let prefix = prefix(&generator)
        let number = next[prefix] ?? generator.next() % 3 &* 254
        let roll = generator.next() % 100
        if roll < (mix == 1 ? 30 : 2) {
            next[prefix] = number + 1 + generator.next() % 3
            return Self.key(prefix, number + 1)
        }
        if roll < (mix == 2 ? 50 : 10) { return Self.key(prefix, number &- generator.next() % 9) }
        if roll < (mix == 3 ? 60 : 15) { return other(&generator) }
        next[prefix] = number + 1
        return Self.key(prefix, number)
    }

    /// Any key near those that were written.
    func other(_ generator: inout SplitMix64) -> [UInt8] {
        var key = Self.key(prefix(&generator), generator.next() % 1100)
        switch generator.next() % 4 {
        case 0: key.removeLast(Int(generator.next() % UInt64(key.count + 1)))
        case 1: key.append(contentsOf: [0, 1, 255].prefix(Int(generator.next() % 4)))
        case 2: key = Self.key(prefix(&generator), generator.next())
        default: break
        }
        return key
    }

    private func prefix(_ generator: inout SplitMix64) -> [UInt8] {
        let values: UInt64 = mix == 4 ? 200 : 3
        return (0..<prefixLength).map { _ in
            UInt8(truncatingIfNeeded: generator.next() % values &* (mix == 4 ? 1 : 127))
        }
    }
}

/// A memtable of one numbered keyspace and all that was written to it.
private final class World {
    let prefixLength: Int
    let memtable: Memtable
    private let places: KeyspacePlaces
    private(set) var history: [(key: [UInt8], value: [UInt8]?)] = []

    var part: Memtable.Part { memtable.parts[0] }
    let runs: NumberedRuns

    init(prefixLength: Int) {
        self.prefixLength = prefixLength
        let options = TreeOptions(keyspaces: [
            KeyspaceOptions(
                Harness.messages, name: "m", filterPrefixLength: prefixLength, isNumbered: true)
        ])
        places = KeyspacePlaces(options)
        memtable = Memtable(options.keyspaces, firstSequence: 1)
        runs = memtable.parts[0].index.runs.unsafelyUnwrapped
    }

    var rowsInRuns: Int {
        var sum = 0
        var node = runs.prefixes.next(runs.prefixes.head)
        while node != 0 {
            sum += runs.count(runs.run(node))
            node = runs.prefixes.next(node)
        }
        return sum
    }

    func put(_ key: [UInt8]) { apply([(key, [UInt8](repeating: 7, count: history.count % 30))]) }

    func write(_ keys: inout KeyMaker, _ generator: inout SplitMix64) {
        apply(
            (0...generator.next() % 4).map { _ in
                let key = keys.write(&generator)
                let value = withUnsafeBytes(of: generator.next()) { [UInt8]($0) }
                return (key, generator.next() % 8 == 0 ? nil : value)
            })
    }

    private func apply(_ rows: [(key: [UInt8], value: [UInt8]?)]) {
        var batch = WriteBatch()
        for row in rows {
            if let value = row.value {
                batch.put(Harness.messages, key: row.key, value: value)
            } else {
                batch.delete(Harness.messages, key: row.key)
            }
        }
        let before = memtable.bytes
        memtable.insert(batch, first: UInt64(history.count + 1), places: places)
        history += rows
        #expect(memtable.bytes >= before + rows.reduce(0) { $0 + ($1.value?.count ?? 0) + 8 })
    }

    private struct Seen: Equatable {
        var key: [UInt8]
        var trailer: UInt64
        var value: [UInt8]
    }

    /// The newest row of each key up to `sequence`, ascending.
    private func expected(at sequence: UInt64) -> [Seen] {
        var newest: [[UInt8]: Seen] = [:]
        for (index, row) in history.prefix(Int(min(sequence, UInt64(history.count)))).enumerated() {
            let kind: RowKind = row.value == nil ? .delete : .put
            let trailer = InternalKey.trailer(sequence: UInt64(index + 1), kind: kind)
            newest[row.key] = Seen(key: row.key, trailer: trailer, value: row.value ?? [])
        }
        return newest.values.sorted { KeyOrder.less($0.key, $1.key) }
    }

    private func row(_ source: MemtableRows) -> Seen? {
        let row = source.shown.pointee
        guard row.isValid else { return nil }
        let key = [UInt8](row.userKey)
        #expect([UInt8](row.internalKey.dropLast(8)) == key)
        #expect(InternalKey.trailer(row.internalKey) == row.trailer)
        return Seen(key: key, trailer: row.trailer, value: [UInt8](row.value))
    }

    private func walk(_ source: MemtableRows, forward: Bool, from: [UInt8]?, most: Int) -> [Seen] {
        if let from {
            from.withUnsafeBytes { if forward { source.seek($0) } else { source.seekBefore($0) } }
        } else {
            source.seekBefore(nil)
        }
        var rows: [Seen] = []
        while rows.count < most, let row = row(source) {
            rows.append(row)
            if forward { source.next() } else { source.previous() }
        }
        return rows
    }

    /// All rows, both ways.
    func compareAll(at sequence: UInt64, _ comment: Comment) {
        let expected = expected(at: sequence)
        let source = MemtableRows(part, at: sequence)
        #expect(walk(source, forward: true, from: [], most: .max) == expected, comment)
        let backward = walk(source, forward: false, from: nil, most: .max)
        #expect(backward.reversed() == expected, comment)
    }

    /// One key: looked up, and sought both ways.
    func probe(_ key: [UInt8], at sequence: UInt64, _ comment: Comment) {
        probe(key, expected(at: sequence), at: sequence, MemtableRows(part, at: sequence), comment)
    }

    private func probe(
        _ key: [UInt8], _ expected: [Seen], at sequence: UInt64, _ source: MemtableRows,
        _ comment: Comment
    ) {
        let hit = key.withUnsafeBytes { raw in
            part.index.find(raw, at: sequence).map {
                Seen(key: key, trailer: $0.trailer, value: [UInt8]($0.value))
            }
        }
        #expect(hit == expected.first { $0.key == key }, comment)
        let after = expected.drop { KeyOrder.less($0.key, key) }.prefix(4)
        #expect(walk(source, forward: true, from: key, most: 4) == Array(after), comment)
        let before = expected.prefix { KeyOrder.less($0.key, key) }.suffix(4)
        #expect(walk(source, forward: false, from: key, most: 4) == before.reversed(), comment)
    }

    func compare(
        at sequence: UInt64, _ keys: inout KeyMaker, _ generator: inout SplitMix64,
        _ comment: Comment
    ) {
        compareAll(at: sequence, comment)
        let expected = expected(at: sequence)
        let source = MemtableRows(part, at: sequence)
        for _ in 0..<40 {
            var key = keys.other(&generator)
            if generator.next() % 2 == 0 {
                key = history[Int(generator.next() % UInt64(history.count))].key
            }
            probe(key, expected, at: sequence, source, comment)
        }
    }
}

/// One writer that appends, and readers that know what must be there at each sequence.
private final class ReadingRound: Sendable {
    let wrong = Atomic<Int>(0)
    let looks = Atomic<Int>(0)
    private let published = Atomic<UInt64>(0)
    private let isDone = Atomic<Bool>(false)
    private let memtable: Memtable
    private let places: KeyspacePlaces
    private let keys: [[UInt8]]
    /// The number of each row within its prefix, counted from 1.
    private let prefixes: [[UInt8]]
    private let numbers: [UInt64]

    init(rows: Int, prefixes count: Int) {
        let options = TreeOptions(keyspaces: [
            KeyspaceOptions(
                Harness.messages, name: "m", filterPrefixLength: 4, isNumbered: true)
        ])
        places = KeyspacePlaces(options)
        memtable = Memtable(options.keyspaces, firstSequence: 1)
        var generator = SplitMix64(seed: 19)
        var next: [[UInt8]: UInt64] = [:]
        var (keys, prefixes, numbers): ([[UInt8]], [[UInt8]], [UInt64]) = ([], [], [])
        for _ in 0..<rows {
            let draw = generator.next()
            let place = UInt32(truncatingIfNeeded: draw % UInt64(count) * (draw >> 40 % 8) / 7)
            let prefix = withUnsafeBytes(of: place.bigEndian) { [UInt8]($0) }
            let number = next[prefix, default: 1]
            next[prefix] = number + 1
            keys.append(KeyMaker.key(prefix, number))
            prefixes.append(prefix)
            numbers.append(number)
        }
        self.keys = keys
        self.prefixes = prefixes
        self.numbers = numbers
    }

    func write() {
        var first = 0
        while first < keys.count {
            let end = min(keys.count, first + 1 + first % 5)
            var batch = WriteBatch()
            for index in first..<end {
                batch.put(
                    Harness.messages, key: keys[index], value: [UInt8(truncatingIfNeeded: index)])
            }
            memtable.insert(batch, first: UInt64(first + 1), places: places)
            published.store(UInt64(end), ordering: .releasing)
            first = end
        }
        isDone.store(true, ordering: .releasing)
    }

    func read(_ seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        repeat {
            let sequence = published.load(ordering: .acquiring)
            if sequence == 0 { continue }
            looks.add(1, ordering: .relaxed)
            let row = Int(sequence) - 1 - Int(generator.next() % min(sequence, 50))
            if !isRight(row, at: sequence) { wrong.add(1, ordering: .relaxed) }
        } while !isDone.load(ordering: .acquiring)
    }

    private func isRight(_ row: Int, at sequence: UInt64) -> Bool {
        let found = keys[row].withUnsafeBytes {
            memtable.parts[0].index.find($0, at: sequence)
        }
        guard let found, found.trailer >> 8 == UInt64(row + 1),
            found.value.first == UInt8(truncatingIfNeeded: row)
        else { return false }
        let hidden = keys[row].withUnsafeBytes {
            memtable.parts[0].index.find($0, at: UInt64(row))
        }
        if hidden != nil { return false }
        // The page that ends with the row: dense, and of rows that are visible.
        let source = MemtableRows(memtable.parts[0], at: sequence)
        var number = numbers[row]
        KeyOrder.successor(keys[row]).withUnsafeBytes { source.seekBefore($0) }
        while number > 0, numbers[row] - number < 60 {
            let key = KeyMaker.key(prefixes[row], number)
            let shown = source.shown.pointee
            guard shown.isValid, [UInt8](shown.userKey) == key, shown.trailer >> 8 <= sequence
            else { return false }
            number -= 1
            source.previous()
        }
        return true
    }
}
