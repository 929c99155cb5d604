// A list stretch by stretch: the blocks and the tail, each decoded at once.
extension PostingsCursor {
    /// The bound of the whole list.
    func bound() -> Bound { blocks == 0 ? Bound(last: limit) : Bound(last: limit, list) }

    /// The bound of the stretch that would hold `target`, without decoding it. Targets of later
    /// calls do not descend.
    @inline(__always)
    mutating func bound(at target: UInt32) -> Bound {
        if shallow < blocks, skipLast(shallow) < target {
            shallow = firstBlock(from: shallow &+ 1, reaching: target)
        }
        return bound(of: shallow)
    }

    /// How many there are.
    var stretches: Int { documents == blocks &* BitPacking.laneNumbers ? blocks : blocks &+ 1 }

    /// The bound of a stretch.
    @inline(__always)
    func bound(of stretch: Int) -> Bound {
        if stretch >= blocks { return bound() }
        return Bound(
            last: skipLast(stretch), skips + (stretch &* SegmentFormat.skipBytes &+ 10))
    }

    /// The lowest document that may be in a stretch.
    @inline(__always)
    func lowest(of stretch: Int) -> UInt32 { stretch == 0 ? 0 : skipLast(stretch &- 1) &+ 1 }

    /// The stretch that would hold `target`.
    func stretch(reaching target: UInt32) -> Int { firstBlock(from: 0, reaching: target) }

    /// Moves to the first document of a stretch.
    mutating func enter(_ stretch: Int) { if !isRotten { load(stretch) } }

    /// How often the term stands in each of the ``loaded`` documents.
    mutating func loadedFrequencies() -> UnsafePointer<UInt32> {
        if !hasFrequencies { loadFrequencies() }
        return UnsafePointer(numbers + 128 + index)
    }

    /// The documents of the loaded block from the current one on, for bulk work.
    @inline(__always)
    var loaded: UnsafeBufferPointer<UInt32> {
        UnsafeBufferPointer(
            start: numbers + index, count: document == Self.end ? 0 : filled &- index)
    }

    /// Moves behind the first of the ``loaded`` documents.
    mutating func skip(_ count: Int) {
        index &+= count
        if index < filled { document = numbers[index] } else { load(block &+ 1) }
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
