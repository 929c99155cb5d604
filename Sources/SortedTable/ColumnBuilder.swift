internal import Bytes

/// Builds the content of a column block; see `TableFormat`. All keys are a prefix of one length and
/// a number of eight bytes, big endian; they must be added in order, each once.
struct ColumnBuilder: ~Copyable {
    private struct Run {
        var firstRow: Int
        var firstNumber: UInt64
    }

    private let prefixBytes: Int
    private var values: RawBuilder
    private var finished: RawBuilder
    private var prefixes: RawBuilder
    private var runs: [Run] = []
    /// Of each row: its number, less the run's first and its place in the run.
    private var gaps: [UInt64] = []
    private var trailers: [UInt64] = []
    private var ends: [UInt32] = []

    init(prefixBytes: Int, capacity: Int) {
        self.prefixBytes = prefixBytes
        values = RawBuilder(capacity: capacity)
        finished = RawBuilder(capacity: capacity)
        prefixes = RawBuilder(capacity: 256)
    }

    var rowCount: Int { ends.count }
    var isEmpty: Bool { ends.isEmpty }
    var runCount: Int { runs.count }
    /// Bytes of the content if it were finished now, with columns of middling width.
    var contentBytes: Int {
        values.count + rowCount * 6 + runs.count * (prefixBytes + 12) + ColumnTail.bytes
    }

    /// True when a key can stand in a column block.
    @inline(__always)
    func takes(_ userKey: UnsafeRawBufferPointer) -> Bool { userKey.count == prefixBytes + 8 }

    @inline(__always)
    mutating func add(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64, _ value: UnsafeRawBufferPointer
    ) {
        let number = UInt64(
            bigEndian: userKey.loadUnaligned(fromByteOffset: prefixBytes, as: UInt64.self))
        let prefix = UnsafeRawBufferPointer(rebasing: userKey[..<prefixBytes])
        if runs.isEmpty || !isLastPrefix(prefix) {
            runs.append(Run(firstRow: rowCount, firstNumber: number))
            prefixes.append(prefix)
        }
        let run = runs[runs.count - 1]
        gaps.append(number &- run.firstNumber &- UInt64(rowCount - run.firstRow))
        trailers.append(trailer)
        values.append(value)
        ends.append(UInt32(truncatingIfNeeded: values.count))
    }

    private func isLastPrefix(_ prefix: UnsafeRawBufferPointer) -> Bool {
        let last = UnsafeRawBufferPointer(
            start: prefixes.base + (prefixes.count - prefixBytes), count: prefixBytes)
        return OrderedKey.compare(last, prefix) == 0
    }

    /// Lets `body` have the content of a block of the first `count` rows; those behind stay.
    mutating func finish<Result, Failure: Error>(
        rows count: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let valuesEnd = Int(ends[count - 1])
        let base = trailers[..<count].min() ?? 0
        let runCount = runs.prefix { $0.firstRow < count }.count
        let tail = ColumnTail(
            trailerBase: base, valuesEnd: valuesEnd, prefixBytes: prefixBytes,
            gapWidth: Self.width(gaps[..<count].max() ?? 0, canBeNone: true),
            trailerWidth: Self.width((trailers[..<count].max() ?? 0) - base, canBeNone: false),
            endWidth: valuesEnd > Int(UInt16.max) ? 4 : 2, runCount: runCount, rowCount: count)
        finished.removeAll()
        finished.append(UnsafeRawBufferPointer(start: values.base, count: valuesEnd))
        for (place, run) in runs[..<runCount].enumerated() {
            finished.append(
                UnsafeRawBufferPointer(
                    start: prefixes.base + place * prefixBytes, count: prefixBytes))
            finished.append(fixed: UInt32(truncatingIfNeeded: run.firstRow))
            finished.append(fixed: run.firstNumber)
        }
        for gap in gaps[..<count] { finished.append(gap, width: tail.gapWidth) }
        for trailer in trailers[..<count] {
            finished.append(trailer - base, width: tail.trailerWidth)
        }
        for end in ends[..<count] { finished.append(UInt64(end), width: tail.endWidth) }
        tail.append(to: &finished)
        removeFirst(count)
        return try body(finished.bytes)
    }

    private mutating func removeFirst(_ count: Int) {
        let valuesEnd = ends[count - 1]
        values.removeFirst(Int(valuesEnd))
        removeRuns(before: count)
        gaps.removeFirst(count)
        trailers.removeFirst(count)
        ends.removeFirst(count)
        for row in ends.indices { ends[row] -= valuesEnd }
    }

    /// A run of which rows stay begins anew with the first of them.
    private mutating func removeRuns(before count: Int) {
        var first = runs.count
        if count < rowCount {
            while runs[first - 1].firstRow > count { first -= 1 }
            first -= 1
            let (run, gap) = (runs[first], gaps[count])
            let end = first + 1 < runs.count ? runs[first + 1].firstRow : rowCount
            for row in count..<end { gaps[row] -= gap }
            runs[first] = Run(
                firstRow: count,
                firstNumber: run.firstNumber &+ UInt64(count - run.firstRow) &+ gap)
        }
        runs.removeFirst(first)
        prefixes.removeFirst(first * prefixBytes)
        for place in runs.indices { runs[place].firstRow -= count }
    }

    /// Bytes that hold every number up to `largest`.
    private static func width(_ largest: UInt64, canBeNone: Bool) -> Int {
        switch largest {
        case 0 where canBeNone: 0
        case 0..<(1 << 8): 1
        case 0..<(1 << 16): 2
        case 0..<(1 << 32): 4
        default: 8
        }
    }
}

extension RawBuilder {
    /// Appends the low `width` bytes (0, 1, 2, 4 or 8) of a number, little endian.
    @inline(__always)
    mutating func append(_ value: UInt64, width: Int) {
        switch width {
        case 0: break
        case 1: append(byte: UInt8(truncatingIfNeeded: value))
        case 2: append(fixed: UInt16(truncatingIfNeeded: value))
        case 4: append(fixed: UInt32(truncatingIfNeeded: value))
        default: append(fixed: value)
        }
    }
}
