import Bytes
import SortedTable

/// Stands on a row of ``NumberedRuns``, among those at or below a sequence, and moves both ways.
///
/// The key of the row is put together in memory that the cursor's owner gives and frees.
struct NumberedRunsCursor {
    private let runs: NumberedRuns
    private let limit: SequenceNumber
    /// The prefix, the number and the trailer of the row.
    private let key: UnsafeMutableRawPointer
    private var node: UInt32 = 0
    private var run: UInt32 = 0
    private var place = 0
    /// Rows of the run; when walking forward some of them may be too new.
    private var count = 0
    private var segment: UInt32 = 0
    /// The first place that `segment` does not hold.
    private var segmentEnd = 0
    private var row: UnsafeMutableRawPointer?

    /// - Parameter key: room for ``keyBytes(_:)``.
    init(_ runs: NumberedRuns, at sequence: SequenceNumber, key: UnsafeMutableRawPointer) {
        self.runs = runs
        self.key = key
        limit = sequence
    }

    /// Bytes of a row's key and trailer.
    @inline(__always)
    static func keyBytes(_ runs: NumberedRuns) -> Int {
        runs.prefixLength &+ NumberedRuns.numberBytes &+ InternalKey.trailerBytes
    }

    /// True on a row. What follows is valid until the next move, and only when valid.
    @inline(__always)
    var isValid: Bool { row != nil }

    @inline(__always)
    var userKey: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: key, count: runs.prefixLength &+ NumberedRuns.numberBytes)
    }

    /// The key with its trailer, as tables store it.
    @inline(__always)
    var internalKey: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: key, count: Self.keyBytes(runs))
    }

    @inline(__always)
    var trailer: UInt64 { row.map { NumberedRuns.trailer($0) } ?? 0 }

    @inline(__always)
    var value: UnsafeRawBufferPointer {
        row.map { NumberedRuns.value($0) } ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    // MARK: Moves

    /// Moves to the first row at or after a user key.
    mutating func seek(_ target: UnsafeRawBufferPointer) {
        let found = find(target)
        guard found != 0 else {
            return enterForward(runs.prefixes.next(runs.prefixes.lastBefore(target)))
        }
        enter(found)
        guard let number = lowerNumber(target) else { return leaveForward() }
        settleForward(runs.place(run, of: number, count: count))
    }

    /// Moves to the last row before a user key; nil: the last of all.
    mutating func seekBefore(_ target: UnsafeRawBufferPointer?) {
        guard let target else { return enterBackward(runs.prefixes.last()) }
        let found = find(target)
        guard found != 0 else { return enterBackward(runs.prefixes.lastBefore(target)) }
        enter(found)
        let before = lowerNumber(target).map { runs.place(run, of: $0, count: count) } ?? count
        settleBackward(before)
    }

    /// Moves one row on. Only when on a row.
    @inline(__always)
    mutating func next() { settleForward(place &+ 1) }

    /// Moves one row back. Only when on a row.
    @inline(__always)
    mutating func previous() { settleBackward(place) }

    // MARK: Runs

    /// The node of the prefix that `target` starts with, or 0.
    private func find(_ target: UnsafeRawBufferPointer) -> UInt32 {
        target.count < runs.prefixLength ? 0 : runs.node(runs.prefix(target))
    }

    /// The smallest number whose key is not before `target`, which starts with the run's prefix;
    /// nil: every number's key is.
    private func lowerNumber(_ target: UnsafeRawBufferPointer) -> UInt64? {
        let rest = target.count &- runs.prefixLength
        if rest >= NumberedRuns.numberBytes {
            let number = NumberedRuns.number(target, at: runs.prefixLength)
            if rest == NumberedRuns.numberBytes { return number }
            return number == .max ? nil : number &+ 1
        }
        var number: UInt64 = 0
        for index in 0..<rest { number = number &<< 8 | UInt64(target[runs.prefixLength + index]) }
        return rest == 0 ? 0 : number &<< UInt64(8 * (NumberedRuns.numberBytes - rest))
    }

    private mutating func enter(_ node: UInt32) {
        self.node = node
        run = runs.run(node)
        count = runs.count(run)
        segmentEnd = 0
        if let prefix = runs.prefixes.userKey(node).baseAddress {
            key.copyMemory(from: prefix, byteCount: runs.prefixLength)
        }
    }

    private mutating func enterForward(_ node: UInt32) {
        if node == 0 {
            row = nil
            return
        }
        enter(node)
        settleForward(0)
    }

    private mutating func enterBackward(_ node: UInt32) {
        if node == runs.prefixes.head || node == 0 {
            row = nil
            return
        }
        enter(node)
        settleBackward(count)
    }

    /// Rows too new and runs that are at their end are passed.
    private mutating func settleForward(_ first: Int) {
        if first < count, show(first) { return }
        leaveForward()
    }

    private mutating func leaveForward() {
        while true {
            node = runs.prefixes.next(node)
            if node == 0 {
                row = nil
                return
            }
            enter(node)
            if show(0) { return }
        }
    }

    /// Takes the last visible row below `end`, or goes on in the run before.
    private mutating func settleBackward(_ end: Int) {
        var end = end
        while true {
            if end > 0, show(end &- 1) { return }
            let visible = runs.visible(run, end, at: limit)
            if visible > 0, show(visible &- 1) { return }
            node = runs.prefixes.previous(node)
            if node == runs.prefixes.head {
                row = nil
                return
            }
            enter(node)
            end = count
        }
    }

    /// Stands on the row at `place`; false when it is too new.
    @inline(__always)
    private mutating func show(_ place: Int) -> Bool {
        if place >= segmentEnd || place < runs.firstPlace(segment) { turn(to: place) }
        let row = runs.row(segment, place)
        let trailer = NumberedRuns.trailer(row)
        if trailer &>> 8 > limit { return false }
        self.place = place
        self.row = row
        let number = runs.firstNumber(run) &+ UInt64(place)
        let end = key + runs.prefixLength
        end.storeBytes(of: number.bigEndian, as: UInt64.self)
        end.storeBytes(
            of: trailer.littleEndian, toByteOffset: NumberedRuns.numberBytes, as: UInt64.self)
        return true
    }

    private mutating func turn(to place: Int) {
        // Forward the next segment is one step away, and the walk from the newest may be long.
        let isNext = segmentEnd > 0 && place == segmentEnd
        segment = isNext ? runs.newer(segment) : runs.segment(run, holding: place)
        segmentEnd = runs.firstPlace(segment) &+ runs.capacity(segment)
    }
}
