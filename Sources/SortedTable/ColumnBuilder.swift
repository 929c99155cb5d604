internal import Bytes

/// Builds the content of a column block; see `TableFormat`. All keys are a prefix of one length and
/// a number of eight bytes, big endian; they must be added in order, each once.
struct ColumnBuilder: ~Copyable {
    private struct Run {
        var firstRow: Int
        var firstNumber: UInt64
    }

    private let prefixBytes: Int
    private var content: RawBuilder
    private var prefixes: RawBuilder
    private var runs: [Run] = []
    /// Of each row: its number, less the run's first and its place in the run.
    private var gaps: [UInt64] = []
    private var trailers: [UInt64] = []
    private var ends: [UInt32] = []

    init(prefixBytes: Int, capacity: Int) {
        self.prefixBytes = prefixBytes
        content = RawBuilder(capacity: capacity)
        prefixes = RawBuilder(capacity: 256)
    }

    var rowCount: Int { ends.count }
    var isEmpty: Bool { ends.isEmpty }
    /// Bytes of the content if it were finished now, with columns of middling width.
    var contentBytes: Int {
        content.count + rowCount * 6 + runs.count * (prefixBytes + 12) + ColumnTail.bytes
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
        content.append(value)
        ends.append(UInt32(truncatingIfNeeded: content.count))
    }

    private func isLastPrefix(_ prefix: UnsafeRawBufferPointer) -> Bool {
        let last = UnsafeRawBufferPointer(
            start: prefixes.base + (prefixes.count - prefixBytes), count: prefixBytes)
        return OrderedKey.compare(last, prefix) == 0
    }

    /// Adds the columns and lets `body` have the content; then the builder is empty.
    mutating func finish<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let base = trailers.min() ?? 0
        let tail = ColumnTail(
            trailerBase: base, valuesEnd: content.count, prefixBytes: prefixBytes,
            gapWidth: Self.width(gaps.max() ?? 0, canBeNone: true),
            trailerWidth: Self.width((trailers.max() ?? 0) - base, canBeNone: false),
            endWidth: content.count > Int(UInt16.max) ? 4 : 2, runCount: runs.count,
            rowCount: rowCount)
        for (place, run) in runs.enumerated() {
            content.append(
                UnsafeRawBufferPointer(
                    start: prefixes.base + place * prefixBytes, count: prefixBytes))
            content.append(fixed: UInt32(truncatingIfNeeded: run.firstRow))
            content.append(fixed: run.firstNumber)
        }
        for gap in gaps { content.append(gap, width: tail.gapWidth) }
        for trailer in trailers { content.append(trailer - base, width: tail.trailerWidth) }
        for end in ends { content.append(UInt64(end), width: tail.endWidth) }
        tail.append(to: &content)
        defer {
            content.removeAll()
            prefixes.removeAll()
            runs.removeAll(keepingCapacity: true)
            gaps.removeAll(keepingCapacity: true)
            trailers.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
        }
        return try body(content.bytes)
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
