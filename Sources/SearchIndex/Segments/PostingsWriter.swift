internal import Bytes

/// Builds one list of postings after another, with reused buffers. A list is held whole until its
/// end is known, because its skips stand in front of it.
struct PostingsWriter {
    private var documents = [UInt32](repeating: 0, count: 128)
    private var frequencies = [UInt32](repeating: 0, count: 128)
    private var positions: [UInt32] = []
    private var held = 0
    private var count = 0
    private var previous: UInt32 = .max
    private var skips = ByteWriter()
    private var blocks: [UInt8] = []
    private var bound = PostingsBound()
    private var blockBound = PostingsBound()

    /// Documents in the list so far.
    var documentCount: Int { count }

    /// Adds the next posting; documents ascend, positions do not descend. Each posting of a word
    /// has one or more, those of other terms have none.
    @inline(__always)
    mutating func append(
        document: UInt32, lengthCode: UInt8, positions list: UnsafeBufferPointer<UInt32>
    ) {
        documents[held] = document
        frequencies[held] = UInt32(list.count)
        var before: UInt32 = 0
        for position in list {
            positions.append(position &- before)
            before = position
        }
        blockBound.include(frequency: list.count, lengthCode: lengthCode)
        held += 1
        count += 1
        if held == BitPacking.laneNumbers { closeBlock() }
    }

    private mutating func closeBlock() {
        var widest: UInt32 = 0
        for index in 0..<BitPacking.laneNumbers {
            let document = documents[index]
            documents[index] = document &- previous &- 1
            previous = document
            widest |= documents[index]
        }
        let documentWidth = BitPacking.width(of: widest)
        documents.withUnsafeBufferPointer { numbers in
            guard let base = numbers.baseAddress else { return }
            BitPacking.appendLanes(base, width: documentWidth, to: &blocks)
        }
        if blockBound.frequency > 1 { appendFrequencies() }
        let wide = positions.map(UInt64.init)
        let positionWidth = BitPacking.runWidth(of: wide.max() ?? 0)
        wide.withUnsafeBufferPointer {
            BitPacking.appendRun($0, width: positionWidth, to: &blocks)
        }
        skips.write(fixed: previous)
        skips.write(fixed: UInt32(blocks.count))
        skips.write(UInt8(documentWidth))
        skips.write(UInt8(positionWidth))
        for byte in blockBound.bytes { skips.write(byte) }
        startBlock()
    }

    private mutating func startBlock() {
        bound.include(blockBound)
        blockBound = PostingsBound()
        positions.removeAll(keepingCapacity: true)
        held = 0
    }

    private mutating func appendFrequencies() {
        let above = frequencies.reduce(0) { $0 + ($1 > 1 ? 1 : 0) }
        blocks.append(UInt8(above))
        for index in 0..<BitPacking.laneNumbers where frequencies[index] > 1 {
            blocks.append(UInt8(index))
            Self.append(varint: UInt64(frequencies[index] - 1), to: &blocks)
        }
    }

    /// The list, and makes ready for the next.
    mutating func finish() -> [UInt8] {
        let isLong = count >= BitPacking.laneNumbers
        var at = 0
        for index in 0..<held {
            let gap = UInt64(documents[index] &- previous &- 1)
            previous = documents[index]
            let frequency = frequencies[index]
            Self.append(varint: gap << 1 | (frequency > 1 ? 1 : 0), to: &blocks)
            if frequency > 1 { Self.append(varint: UInt64(frequency - 2), to: &blocks) }
            for _ in 0..<frequency {
                Self.append(varint: UInt64(positions[at]), to: &blocks)
                at += 1
            }
        }
        startBlock()
        var list: [UInt8] = []
        if isLong {
            list = bound.bytes + skips.bytes
        }
        list += blocks
        blocks.removeAll(keepingCapacity: true)
        skips.removeAll()
        count = 0
        previous = .max
        bound = PostingsBound()
        return list
    }

    @inline(__always)
    static func append(varint value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
