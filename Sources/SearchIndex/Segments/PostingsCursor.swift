/// Walks one list of postings in ascending order of documents.
///
/// A list of 128 or more has blocks, found through the skips without decoding those between, and a
/// tail; a shorter one is all tail. Documents are decoded with their block, frequencies and
/// positions only when somebody asks. Rotten bytes end the list and set ``isRotten``.
struct PostingsCursor {
    /// What ``document`` is behind the last.
    static let end = UInt32.max

    /// Documents in the list.
    let documents: Int
    /// The document it stands at.
    var document: UInt32 = 0
    /// True when its bytes are not what the format says.
    private(set) var isRotten = false
    /// Lists that were decoded, in postings: what the work cap counts.
    private(set) var work = 0

    /// The list: another in the same segment begins elsewhere.
    let list: UnsafeRawPointer
    private let bytes: Int
    /// False for a ``FilterTerm``.
    let hasPositions: Bool
    let limit: UInt32
    let blocks: Int
    let skips: UnsafeRawPointer
    private let memory: PostingsMemory
    let numbers: UnsafeMutablePointer<UInt32>
    /// Block it stands in; `blocks` is the tail.
    var block = 0
    var index = 0
    var filled = 0
    var blockLast: UInt32 = 0
    var hasFrequencies = false
    private var hasStarts = false
    private var tailPositions: UnsafeMutablePointer<UInt32>?
    /// Where frequencies of a block, or the postings of the tail, begin.
    private var details: UnsafeRawPointer
    private var detailBytes = 0
    /// The block that ``bound(at:)`` last looked at.
    var shallow = 0

    /// At the first document. The reader must outlive the cursor.
    init(_ postings: TermPostings, in reader: SegmentReader) {
        documents = postings.documents
        list = postings.list
        bytes = postings.bytes
        hasPositions = postings.hasPositions
        limit = UInt32(truncatingIfNeeded: reader.documentCount)
        let wanted = postings.documents / BitPacking.laneNumbers
        let head = SegmentFormat.listHeadBytes + wanted * SegmentFormat.skipBytes
        let isCut = wanted > 0 && head > postings.bytes
        blocks = isCut ? 0 : wanted
        skips = postings.list + SegmentFormat.listHeadBytes
        memory = PostingsMemory()
        numbers = memory.numbers
        details = postings.list
        if isCut { rot() } else { load(0) }
    }

    // MARK: Moving

    /// Moves to the next document.
    @inline(__always)
    mutating func next() {
        if document == Self.end { return }
        index &+= 1
        if index < filled {
            document = numbers[index]
        } else {
            load(block &+ 1)
        }
    }

    /// Moves to the first document at or above `target`; stays when it is there already.
    @inline(__always)
    mutating func advance(to target: UInt32) {
        if document >= target { return }
        if target > blockLast {
            seekBlock(target)
            if document >= target { return }
        } else {
            // Of the rarer of two words it is mostly the next.
            index &+= 1
            document = numbers[index]
            if document >= target { return }
        }
        search(target)
    }

    /// Goes back, or ahead, to the first document at or above `target`.
    mutating func rewind(to target: UInt32) {
        shallow = 0
        if isRotten { return }
        let wanted = firstBlock(from: 0, reaching: target)
        if wanted != block || filled == 0 {
            load(wanted)
        } else {
            index = 0
            document = numbers[0]
        }
        advance(to: target)
    }

    /// The target is in the block: at or below its last document.
    mutating func search(_ target: UInt32) {
        if filled == BitPacking.laneNumbers {
            index = BitPacking.countBelow(target, numbers)
        } else {
            var high = filled &- 1
            while index < high {
                let middle = (index &+ high) &>> 1
                if numbers[middle] < target { index = middle &+ 1 } else { high = middle }
            }
        }
        document = numbers[index]
    }

    private mutating func seekBlock(_ target: UInt32) {
        if block >= blocks {
            document = Self.end
            return
        }
        load(firstBlock(from: block &+ 1, reaching: target))
        if document < target, blockLast < target { document = Self.end }
    }

    /// The first block from `start` on whose last document is at or above `target`, or the tail.
    func firstBlock(from start: Int, reaching target: UInt32) -> Int {
        var low = start
        var step = 1
        while low &+ step <= blocks, skipLast(low &+ step &- 1) < target {
            low &+= step
            step &*= 2
        }
        var high = min(blocks, low &+ step &- 1)
        while low < high {
            let middle = (low &+ high) &>> 1
            if skipLast(middle) < target { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    @inline(__always)
    func skipLast(_ block: Int) -> UInt32 {
        skips.loadUnaligned(fromByteOffset: block &* SegmentFormat.skipBytes, as: UInt32.self)
    }

    private func skipEnd(_ block: Int) -> Int {
        block < 0
            ? 0
            : Int(
                skips.loadUnaligned(
                    fromByteOffset: block * SegmentFormat.skipBytes + 4, as: UInt32.self))
    }

    func skipByte(_ block: Int, _ at: Int) -> UInt8 {
        skips.load(fromByteOffset: block * SegmentFormat.skipBytes + at, as: UInt8.self)
    }

    private mutating func rot() {
        isRotten = true
        document = Self.end
        filled = 0
        block = blocks
        blockLast = 0
    }

    // MARK: Decoding

    mutating func load(_ wanted: Int) {
        block = wanted
        index = 0
        hasFrequencies = false
        hasStarts = false
        if wanted < blocks {
            loadBlock(wanted)
        } else if wanted == blocks, documents > blocks &* BitPacking.laneNumbers {
            loadTail()
        } else {
            filled = 0
            document = Self.end
        }
    }

    private mutating func loadBlock(_ wanted: Int) {
        let area = bytes &- SegmentFormat.listHeadBytes &- blocks &* SegmentFormat.skipBytes
        let start = skipEnd(wanted - 1)
        let end = skipEnd(wanted)
        let last = skipLast(wanted)
        let width = Int(skipByte(wanted, 8))
        guard width <= 32, start <= end, end <= area, end - start >= width * 16, last < limit,
            wanted == 0 || skipLast(wanted - 1) < last
        else { return rot() }
        let base = skips + blocks &* SegmentFormat.skipBytes + start
        let before = wanted == 0 ? UInt32.max : skipLast(wanted - 1)
        let isSound = BitPacking.unpackAscending(
            base, width: width, after: before, last: last, into: numbers)
        guard isSound else { return rot() }
        details = base + width * 16
        detailBytes = end - start - width * 16
        filled = BitPacking.laneNumbers
        blockLast = last
        document = numbers[0]
        work &+= BitPacking.laneNumbers
    }

    private mutating func loadTail() {
        let head =
            blocks == 0
            ? 0
            : SegmentFormat.listHeadBytes + blocks * SegmentFormat.skipBytes + skipEnd(blocks - 1)
        guard head <= bytes else { return rot() }
        details = list + head
        detailBytes = bytes - head
        let count = documents - blocks * BitPacking.laneNumbers
        var scanner = VarintScanner(details, count: detailBytes)
        var before = blocks == 0 ? UInt64.max : UInt64(skipLast(blocks - 1))
        for place in 0..<count {
            let head = scanner.next()
            let (document, wraps) = (before &+ 1).addingReportingOverflow(head >> 1)
            var frequency: UInt64 = 1
            if head & 1 == 1 { frequency = min(scanner.next(), 1 << 32) + 2 }
            guard !wraps, document < UInt64(limit), !scanner.isRotten,
                frequency <= UInt64(SegmentFormat.documentWordsMax)
            else { return rot() }
            numbers[place] = UInt32(document)
            numbers[128 + place] = UInt32(frequency)
            if hasPositions { for _ in 0..<frequency { _ = scanner.next() } }
            before = document
        }
        guard !scanner.isRotten else { return rot() }
        filled = count
        hasFrequencies = true
        blockLast = numbers[count - 1]
        document = numbers[0]
        work += count
    }

    /// How often the term stands in the document.
    @inline(__always)
    mutating func frequency() -> UInt32 {
        if !hasFrequencies { loadFrequencies() }
        return numbers[128 &+ index]
    }

    mutating func loadFrequencies() {
        (numbers + 128).update(repeating: 1, count: BitPacking.laneNumbers)
        hasFrequencies = true
        if block >= blocks || skipByte(block, 10) <= 1 { return }
        var scanner = VarintScanner(details, count: detailBytes)
        let above = scanner.take(1)?.first ?? 0
        guard above > 0, above <= 128 else { return spoil() }
        for _ in 0..<above {
            let place = scanner.take(1)?.first ?? 128
            let more = scanner.next()
            guard place < 128, more > 0, more < UInt64(SegmentFormat.documentWordsMax) else {
                return spoil()
            }
            numbers[128 + Int(place)] = UInt32(more + 1)
        }
        detailBytes -= scanner.at - details
        details = scanner.at
    }

    /// Rot in the details of a block: what was decoded stays readable, and nothing follows.
    private mutating func spoil() {
        isRotten = true
        (numbers + 128).update(repeating: 1, count: BitPacking.laneNumbers)
        detailBytes = 0
    }

    /// Where the term stands in the document, nowhere when it is no word; valid until the next call
    /// or move.
    mutating func positions() -> UnsafeBufferPointer<UInt32> {
        if !hasPositions { return UnsafeBufferPointer(start: nil, count: 0) }
        if !hasStarts { loadStarts() }
        if index >= filled { return UnsafeBufferPointer(start: nil, count: 0) }
        let start = Int(numbers[256 + index])
        let count = Int(numbers[257 + index]) - start
        if let tailPositions {
            return UnsafeBufferPointer(start: tailPositions + start, count: count)
        }
        let target = memory.room(count)
        let width = Int(skipByte(block, 9))
        let bytes = BitPacking.runBytes(count: Int(numbers[256 + filled]), width: width)
        if width > 32 || bytes > detailBytes {
            isRotten = true
            target.update(repeating: 0, count: count)
        } else {
            var sum: UInt32 = 0
            for place in 0..<count {
                let step = BitPacking.read(details, start &+ place, width: width)
                sum &+= UInt32(truncatingIfNeeded: step)
                target[place] = sum
            }
        }
        return UnsafeBufferPointer(start: target, count: count)
    }

    private mutating func loadStarts() {
        if !hasFrequencies { loadFrequencies() }
        hasStarts = true
        tailPositions = nil
        var total: UInt32 = 0
        for place in 0..<filled {
            numbers[256 &+ place] = total
            total &+= numbers[128 &+ place]
        }
        numbers[256 + filled] = total
        if block >= blocks { loadTailPositions(Int(total)) }
    }

    private mutating func loadTailPositions(_ total: Int) {
        let target = memory.room(total)
        tailPositions = target
        var scanner = VarintScanner(details, count: detailBytes)
        var at = 0
        for _ in 0..<filled {
            let head = scanner.next()
            var frequency = 1
            if head & 1 == 1 { frequency = Int(truncatingIfNeeded: scanner.next()) &+ 2 }
            var sum: UInt32 = 0
            for _ in 0..<frequency where at < total {
                sum &+= UInt32(truncatingIfNeeded: scanner.next())
                target[at] = sum
                at += 1
            }
        }
    }
}
