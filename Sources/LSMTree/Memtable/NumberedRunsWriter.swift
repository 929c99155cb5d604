import SortedTable
import Synchronization

/// Adds rows to ``NumberedRuns``. One thread at a time.
///
/// It takes a row when its number is the next of its run, or when its prefix is new. What it does
/// not take goes to the keyspace's skip list, and there each row must be newer than those of its
/// key in a run: so a number that lies above the next closes its run, as later ones might reach it.
// Sendable: `state` belongs to the one writer; the rest is immutable.
final class NumberedRunsWriter: @unchecked Sendable {
    private let arena: Arena
    let runs: NumberedRuns
    private let prefixes: SkipListWriter
    private let state: UnsafeMutablePointer<State>

    private struct State {
        /// Where the last row was offered: the next is often of the same prefix.
        var node: UInt32 = 0
        var prefixCount = 0
        /// Slots without room near by: look-ups of their prefixes end in the list.
        var strays: [UInt64] = []
        /// Bytes taken since the last row.
        var bytes = 0
    }

    private static let firstSlots = 64
    private static let firstRows = 2
    private static let segmentRowsMax = 1 << 14

    init(arena: Arena, prefixLength: Int, seed: UInt64) {
        self.arena = arena
        prefixes = SkipListWriter(arena: arena, seed: seed)
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        let root = arena.allocate(4)
        runs = NumberedRuns(prefixLength: prefixLength, prefixes: prefixes.list, root: root)
        let table = makeTable(slots: Self.firstSlots)
        runs.atomic(root).initialize(to: Atomic(table))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Adds a row, newer than all before; answers the bytes it took, or nil when the row is not of
    /// a run's kind.
    func insert(
        key: UnsafeRawBufferPointer, trailer: UInt64, value: UnsafeRawBufferPointer
    ) -> Int? {
        guard key.count == runs.prefixLength &+ NumberedRuns.numberBytes else { return nil }
        let prefix = runs.prefix(key)
        let number = NumberedRuns.number(key, at: runs.prefixLength)
        var node = state.pointee.node
        if node == 0 || KeyOrder.compare(runs.prefixes.userKey(node), prefix) != 0 {
            node = runs.node(prefix)
        }
        state.pointee.bytes = 0
        if node == 0 {
            let row = makeRow(trailer, value)
            state.pointee.node = makeRun(prefix, number, row)
            return state.pointee.bytes
        }
        state.pointee.node = node
        let run = runs.run(node)
        let memory = runs.memory(run)
        let first = runs.firstNumber(run)
        let count = runs.count(run)
        if number < first || number &- first < UInt64(count) { return nil }
        if number &- first > UInt64(count) {
            memory.storeBytes(of: 1, toByteOffset: 16, as: UInt32.self)
            return nil
        }
        if memory.load(fromByteOffset: 16, as: UInt32.self) != 0 { return nil }
        append(makeRow(trailer, value), to: run, at: count)
        return state.pointee.bytes
    }

    private func append(_ row: UInt32, to run: UInt32, at place: Int) {
        var segment = runs.atomic(run, 12).pointee.load(ordering: .relaxed)
        let end = runs.firstPlace(segment) &+ runs.capacity(segment)
        if place == end {
            let newer = allocate(
                NumberedRuns.segmentBytes &+ min(place, Self.segmentRowsMax) &* 4)
            fillSegment(newer, older: segment, place: place, rows: min(place, Self.segmentRowsMax))
            runs.atomic(segment, 4).pointee.store(newer, ordering: .releasing)
            runs.atomic(run, 12).pointee.store(newer, ordering: .releasing)
            segment = newer
        }
        let offset = NumberedRuns.segmentBytes &+ (place &- runs.firstPlace(segment)) &* 4
        runs.memory(segment).storeBytes(of: row, toByteOffset: offset, as: UInt32.self)
        runs.atomic(run, 8).pointee.store(
            UInt32(truncatingIfNeeded: place &+ 1), ordering: .releasing)
    }

    private func makeRow(_ trailer: UInt64, _ value: UnsafeRawBufferPointer) -> UInt32 {
        let row = allocate(NumberedRuns.rowBytes &+ value.count)
        let memory = runs.memory(row)
        memory.storeBytes(of: trailer, as: UInt64.self)
        memory.storeBytes(of: UInt32(value.count), toByteOffset: 8, as: UInt32.self)
        if let source = value.baseAddress {
            (memory + NumberedRuns.rowBytes).copyMemory(from: source, byteCount: value.count)
        }
        return row
    }

    /// A new prefix with its first row. Answers its node.
    private func makeRun(
        _ prefix: UnsafeRawBufferPointer, _ number: UInt64, _ row: UInt32
    ) -> UInt32 {
        let segmentBytes = NumberedRuns.segmentBytes + Self.firstRows * 4
        let run = allocate(NumberedRuns.runBytes + segmentBytes)
        let segment = run + UInt32(NumberedRuns.runBytes)
        let memory = runs.memory(run)
        memory.storeBytes(of: number, as: UInt64.self)
        memory.storeBytes(of: 1, toByteOffset: 8, as: UInt32.self)
        memory.storeBytes(of: segment, toByteOffset: 12, as: UInt32.self)
        memory.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
        fillSegment(segment, older: 0, place: 0, rows: Self.firstRows)
        runs.memory(segment).storeBytes(
            of: row, toByteOffset: NumberedRuns.segmentBytes, as: UInt32.self)
        state.pointee.bytes += withUnsafeBytes(of: run) { run in
            prefixes.insert(key: prefix, trailer: 0, value: run)
        }
        let node = prefixes.newest
        state.pointee.prefixCount += 1
        enter(node, NumberedRuns.hash(prefix))
        return node
    }

    private func fillSegment(_ segment: UInt32, older: UInt32, place: Int, rows: Int) {
        let memory = runs.memory(segment)
        memory.storeBytes(of: older, as: UInt32.self)
        memory.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        memory.storeBytes(of: UInt32(place), toByteOffset: 8, as: UInt32.self)
        memory.storeBytes(of: UInt32(rows), toByteOffset: 12, as: UInt32.self)
    }

    private func allocate(_ bytes: Int) -> UInt32 {
        state.pointee.bytes &+= bytes
        return arena.allocate(bytes)
    }

    // MARK: Table

    /// Enters a node of the list, and makes the table larger before it is half full.
    private func enter(_ node: UInt32, _ hash: UInt32) {
        let root = runs.atomic(runs.root)
        let table = runs.memory(root.pointee.load(ordering: .relaxed))
        let slots = Int(truncatingIfNeeded: table.load(as: UInt64.self)) + 1
        let slot = UInt64(hash) &<< 32 | UInt64(node)
        if state.pointee.prefixCount * 2 <= slots { return enter(slot, in: table) }
        let larger = makeTable(slots: slots * 2)
        let memory = runs.memory(larger)
        let strays = state.pointee.strays
        state.pointee.strays = []
        for place in 0..<slots {
            let old = runs.slots(table)[place].load(ordering: .relaxed)
            if old != 0 { enter(old, in: memory) }
        }
        for stray in strays { enter(stray, in: memory) }
        enter(slot, in: memory)
        root.pointee.store(larger, ordering: .releasing)
    }

    private func enter(_ slot: UInt64, in table: UnsafeMutableRawPointer) {
        let mask = table.load(as: UInt64.self)
        var probe: UInt64 = 0
        while probe < UInt64(NumberedRuns.probesMax) {
            let place = runs.slots(table) + Int(truncatingIfNeeded: (slot &>> 32 &+ probe) & mask)
            probe &+= 1
            if place.pointee.load(ordering: .relaxed) == 0 {
                place.pointee.store(slot, ordering: .releasing)
                return
            }
        }
        state.pointee.strays.append(slot)
    }

    private func makeTable(slots: Int) -> UInt32 {
        let bytes = 8 + slots * 8
        let table = allocate(bytes)
        let memory = arena.pointer(table)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        memory.storeBytes(of: UInt64(slots - 1), as: UInt64.self)
        return table
    }
}
