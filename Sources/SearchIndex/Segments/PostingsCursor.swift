/// Memory that one cursor decodes into.
///
/// Used by one cursor, on one thread at a time.
final class PostingsMemory {
    /// 128 documents, 128 frequencies, 129 starts in `positions`.
    let numbers = UnsafeMutablePointer<UInt32>.allocate(capacity: 388)
    private(set) var positions = UnsafeMutablePointer<UInt32>.allocate(capacity: 256)
    private var room = 256

    init() { numbers.initialize(repeating: 0, count: 388) }

    deinit {
        numbers.deallocate()
        positions.deallocate()
    }

    /// Makes room for `count` positions; what was there is gone.
    func makeRoom(_ count: Int) {
        if count <= room { return }
        positions.deallocate()
        room = count
        positions = .allocate(capacity: count)
    }
}

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
    private(set) var document: UInt32 = 0
    /// True when its bytes are not what the format says.
    private(set) var isRotten = false
    /// Lists that were decoded, in postings: what the work cap counts.
    private(set) var work = 0

    private let list: UnsafeRawPointer
    private let bytes: Int
    private let limit: UInt32
    private let blocks: Int
    private let skips: UnsafeRawPointer
    private let memory: PostingsMemory
    private let numbers: UnsafeMutablePointer<UInt32>
    /// Block it stands in; `blocks` is the tail.
    private var block = 0
    private var index = 0
    private var filled = 0
    private var blockLast: UInt32 = 0
    private var hasFrequencies = false
    private var hasPositions = false
    /// Where frequencies of a block, or the postings of the tail, begin.
    private var details: UnsafeRawPointer
    private var detailBytes = 0
    /// The block that ``bound(at:)`` last looked at.
    private var shallow = 0

    /// At the first document. The reader must outlive the cursor.
    init(_ postings: TermPostings, in reader: SegmentReader) {
        documents = postings.documents
        list = postings.list
        bytes = postings.bytes
        limit = UInt32(truncatingIfNeeded: reader.documentCount)
        let blocks = postings.documents / BitPacking.laneNumbers
        self.blocks = blocks
        skips = postings.list + SegmentFormat.listHeadBytes
        memory = PostingsMemory()
        numbers = memory.numbers
        details = postings.list
        if blocks > 0 {
            let head = SegmentFormat.listHeadBytes + blocks * SegmentFormat.skipBytes
            if head > postings.bytes {
                rot()
                return
            }
        }
        load(0)
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

    private mutating func search(_ target: UInt32) {
        // The target is in the block: at or below its last document.
        var low = index &+ 1
        var step = 1
        while low &+ step < filled, numbers[low &+ step &- 1] < target {
            low &+= step
            step &*= 2
        }
        var high = min(filled &- 1, low &+ step &- 1)
        while low < high {
            let middle = (low &+ high) &>> 1
            if numbers[middle] < target { low = middle &+ 1 } else { high = middle }
        }
        index = low
        document = numbers[low]
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
    private func firstBlock(from start: Int, reaching target: UInt32) -> Int {
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
    private func skipLast(_ block: Int) -> UInt32 {
        skips.loadUnaligned(fromByteOffset: block &* SegmentFormat.skipBytes, as: UInt32.self)
    }

    private func skipEnd(_ block: Int) -> Int {
        block < 0
            ? 0
            : Int(
                skips.loadUnaligned(
                    fromByteOffset: block * SegmentFormat.skipBytes + 4, as: UInt32.self))
    }

    private func skipByte(_ block: Int, _ at: Int) -> UInt8 {
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

    private mutating func load(_ wanted: Int) {
        block = wanted
        index = 0
        hasFrequencies = false
        hasPositions = false
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
        guard width <= 32, start <= end, end <= area, end - start >= width * 16, last < limit else {
            return rot()
        }
        let base = skips + blocks &* SegmentFormat.skipBytes + start
        BitPacking.unpackLanes(base, width: width, into: numbers)
        var sum = wanted == 0 ? UInt64.max : UInt64(skipLast(wanted - 1))
        for place in 0..<BitPacking.laneNumbers {
            sum = sum &+ UInt64(numbers[place]) &+ 1
            numbers[place] = UInt32(truncatingIfNeeded: sum)
        }
        // The sum has 64 bits: when it ends at `last`, no document before it is above.
        guard sum == UInt64(last) else { return rot() }
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
            for _ in 0..<frequency { _ = scanner.next() }
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

    private mutating func loadFrequencies() {
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

    /// Where the term stands in the document; valid until the cursor moves.
    mutating func positions() -> UnsafeBufferPointer<UInt32> {
        if !hasPositions { loadPositions() }
        let start = Int(numbers[256 + index])
        return UnsafeBufferPointer(
            start: memory.positions + start, count: Int(numbers[257 + index]) - start)
    }

    private mutating func loadPositions() {
        if !hasFrequencies { loadFrequencies() }
        hasPositions = true
        var total = 0
        for place in 0..<filled {
            numbers[256 + place] = UInt32(total)
            total += Int(numbers[128 + place])
        }
        numbers[256 + filled] = UInt32(total)
        memory.makeRoom(total)
        let target = memory.positions
        if block >= blocks { return loadTailPositions(target, total) }
        let width = Int(skipByte(block, 9))
        guard width <= 32, BitPacking.runBytes(count: total, width: width) <= detailBytes else {
            target.initialize(repeating: 0, count: total)
            return spoil()
        }
        var at = 0
        for place in 0..<filled {
            var sum: UInt32 = 0
            for _ in 0..<numbers[128 + place] {
                let step = BitPacking.read(details, at, width: width)
                sum &+= UInt32(truncatingIfNeeded: step)
                target[at] = sum
                at += 1
            }
        }
    }

    private mutating func loadTailPositions(_ target: UnsafeMutablePointer<UInt32>, _ total: Int) {
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

    // MARK: Bounds

    /// What no document of a stretch of the list exceeds.
    struct Bound {
        /// The last document of the stretch.
        let last: UInt32
        /// Highest frequency; 255 stands for any.
        let frequency: UInt8
        /// Lowest LengthCode.
        let length: UInt8
    }

    /// The bound of the whole list.
    func bound() -> Bound {
        if blocks == 0 { return Bound(last: limit, frequency: 255, length: 0) }
        return Bound(
            last: limit, frequency: list.load(as: UInt8.self),
            length: list.load(fromByteOffset: 1, as: UInt8.self))
    }

    /// The bound of the stretch that would hold `target`, without decoding it. Targets of later
    /// calls do not descend.
    @inline(__always)
    mutating func bound(at target: UInt32) -> Bound {
        if shallow < blocks, skipLast(shallow) < target {
            shallow = firstBlock(from: shallow &+ 1, reaching: target)
        }
        if shallow >= blocks { return bound() }
        return Bound(
            last: skipLast(shallow), frequency: skipByte(shallow, 10),
            length: skipByte(shallow, 11))
    }

    /// True when all of the list was decoded at once, so that a bound can be counted exactly.
    var isShort: Bool { blocks == 0 }

    /// The documents of the loaded block from the current one on, for bulk work.
    @inline(__always)
    var loaded: UnsafeBufferPointer<UInt32> {
        UnsafeBufferPointer(
            start: numbers + index, count: document == Self.end ? 0 : filled &- index)
    }

    /// Calls `body` for each document from the current one on and below `limit`, with how often the
    /// term stands in it, and moves behind them.
    @inline(__always)
    mutating func drain(
        below limit: UInt32, _ body: (_ document: UInt32, _ frequency: UInt32) -> Void
    ) {
        while document < limit {
            var stop = filled
            if blockLast >= limit {
                stop = index &+ 1
                while numbers[stop] < limit { stop &+= 1 }
            }
            if block < blocks, skipByte(block, 10) <= 1 {
                for place in index..<stop { body(numbers[place], 1) }
            } else {
                if !hasFrequencies { loadFrequencies() }
                for place in index..<stop { body(numbers[place], numbers[128 &+ place]) }
            }
            if stop == filled {
                load(block &+ 1)
            } else {
                index = stop
                document = numbers[stop]
            }
        }
    }

    /// Moves behind the documents from the current one on and below `limit`; how many those were.
    mutating func pass(below limit: UInt32) -> Int {
        var count = 0
        while document < limit {
            let before = index
            if blockLast < limit {
                count &+= filled &- before
                load(block &+ 1)
            } else {
                search(limit)
                count &+= index &- before
            }
        }
        return count
    }

    /// Moves to the first document of the next block.
    @inline(__always)
    mutating func nextBlock() { load(block &+ 1) }
}
