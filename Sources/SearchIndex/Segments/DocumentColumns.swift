internal import Bytes

/// Builds the columns of documents, block by block.
struct DocumentColumnBuilder {
    private let timeUnit: UInt64
    private var times: [UInt64] = []
    private var gaps: [UInt64] = []
    private var senders: [UInt64] = []
    private var flags: [UInt64] = []
    private var last: DocumentKey?
    private var firstSeq: UInt64 = 0
    private var firstDocument = 0
    /// Bytes of finished blocks that were not taken yet.
    private var runs: [UInt8] = []
    private var runsTaken = 0
    private var blocks = ByteWriter()
    private var conversations = ByteWriter()
    private(set) var lengths: [UInt8] = []
    /// As the codes say, so that merging does not change it.
    private(set) var words: UInt64 = 0
    private(set) var minTime = UInt64.max
    private(set) var maxTime: UInt64 = 0

    init(timeUnit: UInt64) {
        precondition(timeUnit > 0, "a unit of time")
        self.timeUnit = timeUnit
    }

    var documents: Int { lengths.count }

    /// Adds the next document; keys ascend.
    mutating func append(
        key: DocumentKey, time: UInt64, senderIndex: Int, flags documentFlags: UInt8,
        lengthCode: UInt8
    ) {
        precondition(last.map { $0 < key } ?? true, "documents ascend by key")
        if last?.conversation != key.conversation {
            firstSeq = key.seq
            firstDocument = documents
            conversations.write(fixed: key.conversation.high)
            conversations.write(fixed: key.conversation.low)
            conversations.write(fixed: key.seq)
            conversations.write(fixed: UInt32(documents))
        }
        times.append(time)
        gaps.append(key.seq - firstSeq - UInt64(documents - firstDocument))
        senders.append(UInt64(senderIndex))
        flags.append(UInt64(documentFlags & DocumentFlags.bits))
        lengths.append(lengthCode)
        words += UInt64(LengthCode.lengths[Int(lengthCode)])
        minTime = min(minTime, time)
        maxTime = max(maxTime, time)
        last = key
        if times.count == SegmentFormat.blockDocuments { closeBlock() }
    }

    private mutating func closeBlock() {
        guard let low = times.min(), let high = times.max(), let lowGap = gaps.min() else { return }
        let start = runsTaken + runs.count
        for index in times.indices {
            times[index] = (times[index] - low) / timeUnit
            gaps[index] -= lowGap
        }
        blocks.write(fixed: UInt32(start))
        for column in [times, gaps, senders, flags] {
            let width = BitPacking.runWidth(of: column.max() ?? 0)
            column.withUnsafeBufferPointer {
                BitPacking.appendRun($0, width: width, to: &runs)
            }
            blocks.write(UInt8(width))
        }
        blocks.write(fixed: low)
        blocks.write(fixed: high)
        blocks.write(fixed: lowGap)
        times.removeAll(keepingCapacity: true)
        gaps.removeAll(keepingCapacity: true)
        senders.removeAll(keepingCapacity: true)
        flags.removeAll(keepingCapacity: true)
    }

    /// The runs of blocks that were closed since the last call.
    mutating func takeRuns() -> [UInt8] {
        let taken = runs
        runsTaken += taken.count
        runs.removeAll(keepingCapacity: true)
        return taken
    }

    /// Bytes of runs that wait to be taken.
    var waitingBytes: Int { runs.count }

    /// Closes the last block; what is left of the runs, and the sections of blocks and
    /// conversations.
    mutating func finish() -> (runs: [UInt8], blocks: [UInt8], conversations: [UInt8]) {
        closeBlock()
        return (takeRuns(), blocks.bytes, conversations.bytes)
    }
}
