internal import Bytes

/// Where the columns of a checked column block stand, as offsets in its content; kept in memory
/// behind the content.
struct ColumnPlaces {
    var trailerBase: UInt64
    var runs: UInt32
    var gaps: UInt32
    var trailers: UInt32
    var ends: UInt32
    var runCount: UInt32
    var prefixBytes: UInt8
    var gapWidth: UInt8
    var trailerWidth: UInt8
    var endWidth: UInt8
}

/// A run of a column block: rows whose keys differ in their numbers only.
struct ColumnRun {
    var firstRow = 0
    /// The row behind the last one.
    var endRow = 0
    var firstNumber: UInt64 = 0
    var prefix = UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
}

extension TableBlock {
    @inline(__always)
    var columns: UnsafePointer<ColumnPlaces> {
        UnsafePointer(
            (base + Int(truncatingIfNeeded: header.pointee.headsStart))
                .assumingMemoryBound(to: ColumnPlaces.self))
    }

    @inline(__always)
    private func column(_ start: UInt32, _ row: Int, width: UInt8) -> UInt64 {
        let place = UnsafeRawPointer(base + Int(truncatingIfNeeded: start))
        switch width {
        case 0: return 0
        case 1: return UInt64(place.load(fromByteOffset: row, as: UInt8.self))
        case 2:
            return UInt64(
                UInt16(
                    littleEndian: place.loadUnaligned(fromByteOffset: row &* 2, as: UInt16.self)))
        case 4:
            return UInt64(
                UInt32(
                    littleEndian: place.loadUnaligned(fromByteOffset: row &* 4, as: UInt32.self)))
        default:
            return UInt64(
                littleEndian: place.loadUnaligned(fromByteOffset: row &* 8, as: UInt64.self))
        }
    }

    @inline(__always)
    func columnTrailer(_ row: Int) -> UInt64 {
        let places = columns.pointee
        return places.trailerBase &+ column(places.trailers, row, width: places.trailerWidth)
    }

    @inline(__always)
    func columnNumber(_ row: Int, in run: ColumnRun) -> UInt64 {
        let places = columns.pointee
        return run.firstNumber &+ UInt64(truncatingIfNeeded: row &- run.firstRow)
            &+ column(places.gaps, row, width: places.gapWidth)
    }

    @inline(__always)
    func columnValue(_ row: Int) -> UnsafeRawBufferPointer {
        let places = columns.pointee
        let start = row == 0 ? 0 : column(places.ends, row &- 1, width: places.endWidth)
        let end = column(places.ends, row, width: places.endWidth)
        return UnsafeRawBufferPointer(
            start: base + Int(truncatingIfNeeded: start),
            count: Int(truncatingIfNeeded: end &- start))
    }

    @inline(__always)
    func columnRun(_ number: Int) -> ColumnRun {
        let places = columns.pointee
        let prefixBytes = Int(places.prefixBytes)
        let bytes = prefixBytes &+ 12
        let run = UnsafeRawPointer(base + (Int(truncatingIfNeeded: places.runs) &+ number &* bytes))
        let isLast = number &+ 1 == Int(truncatingIfNeeded: places.runCount)
        return ColumnRun(
            firstRow: Int(
                UInt32(
                    littleEndian: run.loadUnaligned(fromByteOffset: prefixBytes, as: UInt32.self))),
            endRow: isLast
                ? rowCount
                : Int(
                    UInt32(
                        littleEndian: run.loadUnaligned(
                            fromByteOffset: bytes &+ prefixBytes, as: UInt32.self))),
            firstNumber: UInt64(
                littleEndian: run.loadUnaligned(
                    fromByteOffset: prefixBytes &+ 4, as: UInt64.self)),
            prefix: run)
    }

    /// The run of a row.
    func columnRun(ofRow row: Int) -> Int {
        var low = 0
        var high = Int(columns.pointee.runCount)
        while high &- low > 1 {
            let middle = (low &+ high) &>> 1
            if columnRun(middle).firstRow <= row { low = middle } else { high = middle }
        }
        return low
    }

    /// The first row at or above (user key, trailer), ``rowCount`` when all are below; and whether
    /// it has the user key.
    ///
    /// In a run the number tells the row: numbers ascend, so a row stands no further from the run's
    /// start than its number from the first, and nearer by at most the last row's gap.
    @inline(__always)
    func columnLowerBound(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64
    ) -> (row: Int, hasKey: Bool) {
        let places = columns.pointee
        let prefixBytes = Int(places.prefixBytes)
        let prefix = UnsafeRawBufferPointer(
            start: userKey.baseAddress, count: min(prefixBytes, userKey.count))
        var low = 0
        var high = Int(truncatingIfNeeded: places.runCount)
        while low < high {
            let middle = (low &+ high) &>> 1
            let other = UnsafeRawBufferPointer(
                start: columnRun(middle).prefix, count: prefixBytes)
            if OrderedKey.compare(other, prefix) < 0 { low = middle &+ 1 } else { high = middle }
        }
        guard low < Int(truncatingIfNeeded: places.runCount) else { return (rowCount, false) }
        let run = columnRun(low)
        let own = UnsafeRawBufferPointer(start: run.prefix, count: prefixBytes)
        guard prefix.count == prefixBytes, OrderedKey.compare(own, prefix) == 0 else {
            return (run.firstRow, false)
        }
        let tail = userKey.count &- prefixBytes
        if tail == 8 {
            let number = UInt64(
                bigEndian: userKey.loadUnaligned(fromByteOffset: prefixBytes, as: UInt64.self))
            return columnLowerBound(number, trailer, in: run)
        }
        return (oddLowerBound(userKey, run, prefixBytes), false)
    }

    @inline(__always)
    private func columnLowerBound(
        _ number: UInt64, _ trailer: UInt64, in run: ColumnRun
    ) -> (row: Int, hasKey: Bool) {
        if number < run.firstNumber { return (run.firstRow, false) }
        let places = columns.pointee
        let count = run.endRow &- run.firstRow
        let distance = number &- run.firstNumber
        let furthest = Int(truncatingIfNeeded: min(distance, UInt64(truncatingIfNeeded: count)))
        let slack = column(places.gaps, run.endRow &- 1, width: places.gapWidth)
        var low = run.firstRow
        if distance > slack {
            low &+= Int(
                truncatingIfNeeded: min(distance &- slack, UInt64(truncatingIfNeeded: count)))
        }
        var high = run.firstRow &+ furthest
        while low < high {
            let middle = (low &+ high) &>> 1
            if columnNumber(middle, in: run) < number { low = middle &+ 1 } else { high = middle }
        }
        guard low < run.endRow, columnNumber(low, in: run) == number else { return (low, false) }
        // The row's trailer must not be above the one that is looked for: newer rows come first.
        return columnTrailer(low) > trailer ? (low &+ 1, false) : (low, true)
    }

    /// The same for a key that is longer or shorter than those of the block.
    @inline(never)
    private func oddLowerBound(
        _ userKey: UnsafeRawBufferPointer, _ run: ColumnRun, _ prefixBytes: Int
    ) -> Int {
        var low = run.firstRow
        var high = run.endRow
        let tail = UnsafeRawBufferPointer(rebasing: userKey[prefixBytes...])
        while low < high {
            let middle = (low &+ high) &>> 1
            let number = columnNumber(middle, in: run).bigEndian
            let isBelow = withUnsafeBytes(of: number) { OrderedKey.compare($0, tail) < 0 }
            if isBelow { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// A copy of a row's internal key, for reports and checks.
    func copyColumnKey(_ row: Int) -> [UInt8] {
        let run = columnRun(columnRun(ofRow: row))
        var key = [UInt8](
            UnsafeRawBufferPointer(start: run.prefix, count: Int(columns.pointee.prefixBytes)))
        withUnsafeBytes(of: columnNumber(row, in: run).bigEndian) { key.append(contentsOf: $0) }
        withUnsafeBytes(of: columnTrailer(row).littleEndian) { key.append(contentsOf: $0) }
        return key
    }

    // MARK: Check

    /// Walks the columns once and makes the block readable; the answer says what is wrong, or nil.
    func checkColumns() -> BlockProblem? {
        guard let tail = ColumnTail(content) else {
            return BlockProblem(
                offset: max(0, count - ColumnTail.bytes), expected: "the tail of a column block",
                found: "something else")
        }
        header.pointee.isColumnar = true
        header.pointee.rowCount = UInt32(truncatingIfNeeded: tail.rowCount)
        header.pointee.rowsEnd = UInt32(truncatingIfNeeded: tail.valuesEnd)
        header.pointee.keyBytesMax = UInt32(tail.prefixBytes + 16)
        header.pointee.totalBytes += UInt32(MemoryLayout<ColumnPlaces>.size)
        UnsafeMutablePointer(mutating: columns).initialize(
            to: ColumnPlaces(
                trailerBase: tail.trailerBase, runs: UInt32(truncatingIfNeeded: tail.runsStart),
                gaps: UInt32(truncatingIfNeeded: tail.gapsStart),
                trailers: UInt32(truncatingIfNeeded: tail.trailersStart),
                ends: UInt32(truncatingIfNeeded: tail.endsStart),
                runCount: UInt32(truncatingIfNeeded: tail.runCount),
                prefixBytes: UInt8(tail.prefixBytes), gapWidth: UInt8(tail.gapWidth),
                trailerWidth: UInt8(tail.trailerWidth), endWidth: UInt8(tail.endWidth)))
        return checkRuns(tail) ?? checkRows(tail)
    }

    private func checkRuns(_ tail: ColumnTail) -> BlockProblem? {
        for number in 0..<tail.runCount {
            let run = columnRun(number)
            let place = tail.runsStart + number * tail.runBytes
            guard run.firstRow < run.endRow, run.endRow <= tail.rowCount,
                number > 0 || run.firstRow == 0
            else {
                return BlockProblem(
                    offset: place, expected: "a run of rows", found: "one from \(run.firstRow)")
            }
            if number > 0 {
                let order = OrderedKey.compare(
                    UnsafeRawBufferPointer(
                        start: columnRun(number - 1).prefix, count: tail.prefixBytes),
                    UnsafeRawBufferPointer(start: run.prefix, count: tail.prefixBytes))
                if order >= 0 {
                    return BlockProblem(
                        offset: place, expected: "ascending prefixes", found: "another order")
                }
            }
            // Gaps must not descend, and no number may pass 2^64.
            var last: UInt64 = 0
            for row in run.firstRow..<run.endRow {
                let gap = column(columns.pointee.gaps, row, width: columns.pointee.gapWidth)
                let (far, isPast) = gap.addingReportingOverflow(UInt64(row - run.firstRow))
                guard gap >= last, !isPast, !far.addingReportingOverflow(run.firstNumber).overflow,
                    row > run.firstRow || gap == 0
                else {
                    return BlockProblem(
                        offset: tail.gapsStart + row * tail.gapWidth, expected: "a gap that fits",
                        found: "\(gap)")
                }
                last = gap
            }
        }
        return nil
    }

    private func checkRows(_ tail: ColumnTail) -> BlockProblem? {
        var last: UInt64 = 0
        for row in 0..<tail.rowCount {
            let trailer = columnTrailer(row)
            let kind = UInt8(truncatingIfNeeded: trailer)
            guard kind == RowKind.put.rawValue || kind == RowKind.delete.rawValue,
                trailer >= tail.trailerBase
            else {
                return BlockProblem(
                    offset: tail.trailersStart + row * tail.trailerWidth, expected: "a row's kind",
                    found: "\(kind)")
            }
            let end = column(columns.pointee.ends, row, width: columns.pointee.endWidth)
            guard end >= last, end <= UInt64(tail.valuesEnd) else {
                return BlockProblem(
                    offset: tail.endsStart + row * tail.endWidth,
                    expected: "an end of \(last) to \(tail.valuesEnd)", found: "\(end)")
            }
            last = end
        }
        guard last == UInt64(tail.valuesEnd) else {
            return BlockProblem(
                offset: tail.endsStart, expected: "values up to \(tail.valuesEnd)",
                found: "up to \(last)")
        }
        return nil
    }
}
