// Looking up what a document is. Numbers of documents are below `documentCount`.
extension SegmentReader {
    /// One entry of the block table.
    struct Block {
        let runs: UnsafeRawPointer
        let timeWidth: Int
        let gapWidth: Int
        let senderWidth: Int
        let flagsWidth: Int
        let minTime: UInt64
        let lowGap: UInt64
        /// Documents in the block.
        let count: Int
    }

    @inline(__always)
    func block(of document: UInt32) -> Block {
        let index = Int(document &>> 7)
        let entry = blockEntries + index &* SegmentFormat.blockEntryBytes
        return Block(
            runs: documentRuns + Int(entry.loadUnaligned(as: UInt32.self)),
            timeWidth: Int(entry.load(fromByteOffset: 4, as: UInt8.self)),
            gapWidth: Int(entry.load(fromByteOffset: 5, as: UInt8.self)),
            senderWidth: Int(entry.load(fromByteOffset: 6, as: UInt8.self)),
            flagsWidth: Int(entry.load(fromByteOffset: 7, as: UInt8.self)),
            minTime: entry.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
            lowGap: entry.loadUnaligned(fromByteOffset: 24, as: UInt64.self),
            count: min(128, documentCount &- index &* 128))
    }

    /// The lowest time in the block of a document.
    @inline(__always)
    func blockMinTime(of document: UInt32) -> UInt64 {
        (blockEntries + Int(document &>> 7) &* SegmentFormat.blockEntryBytes)
            .loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    }

    /// The highest time in the block of a document.
    @inline(__always)
    func blockMaxTime(of document: UInt32) -> UInt64 {
        (blockEntries + Int(document &>> 7) &* SegmentFormat.blockEntryBytes)
            .loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    }

    /// When it was said.
    @inline(__always)
    func time(_ document: UInt32) -> UInt64 {
        let block = block(of: document)
        return block.minTime
            &+ BitPacking.read(block.runs, Int(document & 127), width: block.timeWidth) &* timeUnit
    }

    /// Which of the segment's senders said it; not below `senderCount` only in rotten bytes.
    @inline(__always)
    func senderIndex(_ document: UInt32) -> UInt64 {
        let block = block(of: document)
        let start =
            BitPacking.runBytes(count: block.count, width: block.timeWidth)
            &+ BitPacking.runBytes(count: block.count, width: block.gapWidth)
        return BitPacking.read(
            block.runs + start, Int(document & 127), width: block.senderWidth)
    }

    /// What it has.
    @inline(__always)
    func flags(_ document: UInt32) -> UInt8 {
        let block = block(of: document)
        let start =
            BitPacking.runBytes(count: block.count, width: block.timeWidth)
            &+ BitPacking.runBytes(count: block.count, width: block.gapWidth)
            &+ BitPacking.runBytes(count: block.count, width: block.senderWidth)
        return UInt8(
            truncatingIfNeeded: BitPacking.read(
                block.runs + start, Int(document & 127), width: block.flagsWidth))
    }

    /// Its place in its conversation, of which the number is known.
    @inline(__always)
    func seq(_ document: UInt32, conversation: Int) -> UInt64 {
        let block = block(of: document)
        let start = BitPacking.runBytes(count: block.count, width: block.timeWidth)
        let gap =
            block.lowGap
            &+ BitPacking.read(block.runs + start, Int(document & 127), width: block.gapWidth)
        return firstSeq(conversation) &+ gap
            &+ UInt64(document &- UInt32(truncatingIfNeeded: firstDocument(conversation)))
    }

    // MARK: Conversations and senders

    @inline(__always)
    func conversation(_ index: Int) -> SearchID {
        let entry = conversations + index &* SegmentFormat.conversationBytes
        return SearchID(
            high: entry.loadUnaligned(as: UInt64.self),
            low: entry.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    @inline(__always)
    private func firstSeq(_ index: Int) -> UInt64 {
        (conversations + index &* SegmentFormat.conversationBytes)
            .loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    }

    /// The number of a conversation's first document; that of the one behind the last is the count
    /// of documents.
    @inline(__always)
    func firstDocument(_ index: Int) -> Int {
        index >= conversationCount
            ? documentCount
            : Int(
                (conversations + index &* SegmentFormat.conversationBytes)
                    .loadUnaligned(fromByteOffset: 24, as: UInt32.self))
    }

    /// The conversation of a document.
    func conversationIndex(of document: UInt32) -> Int {
        Self.lastIndex(conversationCount) { self.firstDocument($0) <= Int(document) }
    }

    /// The first conversation from `start` on that is not below `id`.
    func lowerConversation(_ id: SearchID, from start: Int = 0) -> Int {
        Self.lowerIndex(conversationCount, from: start) { self.conversation($0) < id }
    }

    /// The first index from `start` on for which `isBelow`, true up to some index, is not; `count`
    /// when there is none. Cheap when it is near.
    private static func lowerIndex(
        _ count: Int, from start: Int, _ isBelow: (Int) -> Bool
    ) -> Int {
        var step = 1
        var low = start
        while low + step <= count, isBelow(low + step - 1) {
            low += step
            step *= 2
        }
        var high = min(count, low + step)
        while low < high {
            let middle = (low + high) / 2
            if isBelow(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The documents of stretches of conversations, which ascend, joined where they touch. Whether
    /// the segment has fewer conversations or fewer are wanted: the fewer decide what it costs.
    func ranges(of wanted: [SearchSpan]) -> [Range<UInt32>] {
        var result: [Range<UInt32>] = []
        var (place, index) = (0, 0)
        while index < wanted.count {
            let span = wanted[index]
            place = lowerConversation(span.conversation, from: place)
            if place >= conversationCount { break }
            let id = conversation(place)
            guard id == span.conversation else {
                index = Self.lowerIndex(wanted.count, from: index) { wanted[$0].conversation < id }
                continue
            }
            index += 1
            let range = documents(of: place, seqs: span.seqs)
            if range.isEmpty { continue }
            if let last = result.last, last.upperBound == range.lowerBound {
                result[result.count - 1] = last.lowerBound..<range.upperBound
            } else {
                result.append(range)
            }
        }
        return result
    }

    func sender(_ index: Int) -> SearchID {
        let entry = senders + index &* SegmentFormat.senderBytes
        return SearchID(
            high: entry.loadUnaligned(as: UInt64.self),
            low: entry.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// The number of a sender, if the segment has one.
    func senderIndex(_ id: SearchID) -> Int? {
        if senderCount == 0 { return nil }
        let index = Self.lastIndex(senderCount) { !(id < self.sender($0)) }
        return sender(index) == id ? index : nil
    }

    /// The last index below `count` for which `holds`, which is true up to some index; 0 when none.
    private static func lastIndex(_ count: Int, _ holds: (Int) -> Bool) -> Int {
        var low = 0
        var high = count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if holds(middle) { low = middle } else { high = middle - 1 }
        }
        return low
    }

    // MARK: Keys

    /// What names a document.
    func key(_ document: UInt32) -> DocumentKey {
        let index = conversationIndex(of: document)
        return DocumentKey(
            conversation: conversation(index), seq: seq(document, conversation: index))
    }

    /// All that is known of a document.
    func document(_ document: UInt32) -> SearchDocument {
        let index = Int(clamping: senderIndex(document))
        return SearchDocument(
            key: key(document), time: time(document), sender: sender(min(index, senderCount - 1)),
            flags: DocumentFlags(rawValue: flags(document) & DocumentFlags.bits))
    }

    /// The document of a key, if the segment has one.
    func find(_ key: DocumentKey) -> UInt32? {
        let index = lowerConversation(key.conversation)
        guard index < conversationCount, conversation(index) == key.conversation else { return nil }
        let low = lowerDocument(key.seq, conversation: index)
        guard low < firstDocument(index + 1),
            seq(UInt32(low), conversation: index) == key.seq
        else { return nil }
        return UInt32(low)
    }

    /// The documents of a stretch of a conversation.
    func documents(of index: Int, seqs: ClosedRange<UInt64>) -> Range<UInt32> {
        let start =
            seqs.lowerBound == 0
            ? firstDocument(index) : lowerDocument(seqs.lowerBound, conversation: index)
        let end =
            seqs.upperBound == .max
            ? firstDocument(index + 1) : lowerDocument(seqs.upperBound + 1, conversation: index)
        return UInt32(start)..<UInt32(max(start, end))
    }

    /// The first document of a conversation that is not below `wanted`.
    private func lowerDocument(_ wanted: UInt64, conversation index: Int) -> Int {
        var low = firstDocument(index)
        var high = firstDocument(index + 1)
        while low < high {
            let middle = (low + high) / 2
            if seq(UInt32(middle), conversation: index) < wanted {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
