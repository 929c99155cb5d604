internal import Bytes

/// The last 32 bytes of a column block's content: how wide its columns are. See `TableFormat`.
struct ColumnTail {
    static let bytes = 32

    /// The lowest trailer.
    var trailerBase: UInt64
    /// Where the values end and the columns start.
    var valuesEnd: Int
    /// Bytes of each key before its number.
    var prefixBytes: Int
    /// Bytes of a gap: 0, 1, 2, 4 or 8.
    var gapWidth: Int
    /// Bytes of a trailer: 1, 2, 4 or 8.
    var trailerWidth: Int
    /// Bytes of a value's end: 2 or 4.
    var endWidth: Int
    var runCount: Int
    var rowCount: Int

    func append(to content: inout RawBuilder) {
        content.append(fixed: trailerBase)
        content.append(fixed: UInt32(truncatingIfNeeded: valuesEnd))
        content.append(fixed: UInt32(truncatingIfNeeded: runCount))
        content.append(fixed: UInt32(truncatingIfNeeded: rowCount))
        content.append(fixed: UInt32(0))
        content.append(fixed: UInt32(0))
        for width in [prefixBytes, gapWidth, trailerWidth, endWidth] {
            content.append(byte: UInt8(truncatingIfNeeded: width))
        }
    }
}

extension ColumnTail {
    /// Reads the tail of a content; nil when it cannot be one.
    init?(_ content: UnsafeRawBufferPointer) {
        guard content.count >= Self.bytes else { return nil }
        let start = content.count - Self.bytes
        func word(_ at: Int) -> Int {
            Int(
                UInt32(
                    littleEndian: content.loadUnaligned(
                        fromByteOffset: start + at, as: UInt32.self)))
        }
        trailerBase = UInt64(
            littleEndian: content.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        (valuesEnd, runCount, rowCount) = (word(8), word(12), word(16))
        prefixBytes = Int(content[start + 28])
        gapWidth = Int(content[start + 29])
        trailerWidth = Int(content[start + 30])
        endWidth = Int(content[start + 31])
        guard word(20) == 0, word(24) == 0, [0, 1, 2, 4, 8].contains(gapWidth),
            [1, 2, 4, 8].contains(trailerWidth), [2, 4].contains(endWidth), rowCount > 0,
            runCount > 0, runCount <= rowCount, rowCount <= content.count
        else { return nil }
        let columns =
            runCount * runBytes + rowCount * (gapWidth + trailerWidth + endWidth) + Self.bytes
        guard valuesEnd + columns == content.count else { return nil }
    }

    /// Bytes of a run: prefix, first row, first number.
    var runBytes: Int { prefixBytes + 12 }
    /// Where the runs start.
    var runsStart: Int { valuesEnd }
    var gapsStart: Int { runsStart + runCount * runBytes }
    var trailersStart: Int { gapsStart + rowCount * gapWidth }
    var endsStart: Int { trailersStart + rowCount * trailerWidth }
}
