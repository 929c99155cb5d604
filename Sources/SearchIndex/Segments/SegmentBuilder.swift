internal import Bytes
package import Platform

/// Collects what happened to documents since the last commit, in memory, and writes it as a
/// segment.
///
/// It keeps the words of each document in the order they came (8 bytes each). When the segment is
/// written, documents are sorted by key and the words are dealt to their terms by counting: that is
/// faster than growing a list per term, and a later version of a document or its removal simply
/// wins over an earlier one.
package struct SegmentBuilder: Sendable {
    /// One version of a document, or its removal.
    private struct Event: Sendable {
        let document: SearchDocument
        let isRemoval: Bool
        let firstWord: Int
        let words: Int
    }

    private var terms = TermTable()
    private var events: [Event] = []
    /// term number << 32 | position.
    private var words: [UInt64] = []
    private let memoryMax: Int

    /// Takes documents until it holds about `memoryMax` bytes.
    package init(memoryMax: Int) {
        self.memoryMax = memoryMax
    }

    /// Versions and removals so far, several of one document included.
    package var eventCount: Int { events.count }

    /// True when nothing happened.
    package var isEmpty: Bool { events.isEmpty }

    /// Bytes of memory, also those that writing will take.
    package var memoryBytes: Int { terms.memoryBytes + words.count * 16 + events.count * 128 }

    /// True when it should be committed before more is added.
    package var isFull: Bool { memoryBytes >= memoryMax || words.count >= 1 << 28 }

    /// Adds a document, or a new version of one; `feed` calls its argument for each word with the
    /// word's bytes and its position. Bytes of a word beyond 255 and words of a document beyond
    /// 65,535 are not indexed, nor words that begin with a zero byte, which no tokenizer gives.
    package mutating func put(
        _ document: SearchDocument,
        feed: ((_ word: UnsafeRawBufferPointer, _ position: UInt32) -> Void) -> Void
    ) {
        let first = words.count
        feed { word, position in
            if word.isEmpty || FilterTerm.isFilter(word)
                || words.count - first >= SegmentFormat.documentWordsMax
            {
                return
            }
            let end = min(word.count, SegmentFormat.termBytesMax)
            let number = terms.number(of: UnsafeRawBufferPointer(rebasing: word[..<end]))
            words.append(UInt64(number) << 32 | UInt64(position))
        }
        events.append(
            Event(
                document: document, isRemoval: false, firstWord: first,
                words: words.count - first))
    }

    /// Removes a document, which need not be there.
    package mutating func remove(_ key: DocumentKey) {
        let document = SearchDocument(
            key: key, time: 0, sender: SearchID(high: 0, low: 0), flags: [])
        events.append(Event(document: document, isRemoval: true, firstWord: words.count, words: 0))
    }

    /// What happened from one version or removal on, numbered as ``eventCount`` counts them.
    package func suffix(from first: Int) -> SegmentBuilder {
        var suffix = SegmentBuilder(memoryMax: memoryMax)
        suffix.events.reserveCapacity(events.count - first)
        for event in events[first...] {
            let start = suffix.words.count
            for word in words[event.firstWord..<(event.firstWord + event.words)] {
                let number = terms.withBytes(UInt32(word >> 32)) { suffix.terms.number(of: $0) }
                suffix.words.append(UInt64(number) << 32 | word & UInt64(UInt32.max))
            }
            suffix.events.append(
                Event(
                    document: event.document, isRemoval: event.isRemoval, firstWord: start,
                    words: event.words))
        }
        return suffix
    }

    /// Indexes of the last event of each key, by key.
    private func lastEvents() -> [Int] {
        var order = Array(events.indices)
        order.sort {
            let (left, right) = (events[$0].document.key, events[$1].document.key)
            return left == right ? $0 < $1 : left < right
        }
        var last: [Int] = []
        last.reserveCapacity(order.count)
        for index in order {
            if let before = last.last, events[before].document.key == events[index].document.key {
                last.removeLast()
            }
            last.append(index)
        }
        return last
    }

    /// Documents whose versions in older segments are void.
    func touched() -> TouchedDocuments {
        var touched = TouchedDocuments()
        for index in lastEvents() {
            let event = events[index]
            touched.append(
                event.document.key, time: event.isRemoval ? nil : event.document.time)
        }
        return touched
    }

    /// Writes the segment and makes it durable; nil when no document is left to write.
    package func write(
        to file: any File, fileID: UInt64, tokens: TokenVersion
    ) throws(SearchError) -> SegmentSummary? {
        let kept = lastEvents().filter { !events[$0].isRemoval }
        if kept.isEmpty { return nil }
        var senders = kept.map { events[$0].document.sender }
        senders.sort()
        senders = senders.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
        let times = kept.map { events[$0].document.time }
        var writer = SegmentWriter(
            file: file, fileID: fileID, tokens: tokens, timeUnit: TimeUnit.of(times),
            senders: senders)
        var numbers: [SearchID: Int] = [:]
        for (index, sender) in senders.enumerated() { numbers[sender] = index }
        for index in kept {
            let event = events[index]
            try writer.append(
                key: event.document.key, time: event.document.time,
                senderIndex: numbers[event.document.sender] ?? 0,
                flags: event.document.flags.rawValue,
                lengthCode: LengthCode.encode(event.words))
        }
        try writer.finishDocuments()
        try writeFlags(kept, to: &writer)
        try writeSenders(
            kept.map { numbers[events[$0].document.sender] ?? 0 }, senders, to: &writer)
        try writeTerms(kept, to: &writer)
        return try writer.finish()
    }

    private func writeFlags(
        _ kept: [Int], to writer: inout SegmentWriter
    ) throws(SearchError) {
        for flag in DocumentFlags.each {
            for (document, index) in kept.enumerated()
            where events[index].document.flags.contains(flag) {
                writer.append(document: UInt32(document))
            }
            try writer.endTerm(.flag(flag))
        }
    }

    /// The list of each sender, out of the number of each document's.
    private func writeSenders(
        _ numbers: [Int], _ senders: [SearchID], to writer: inout SegmentWriter
    ) throws(SearchError) {
        var next = [Int](repeating: 0, count: senders.count + 1)
        for number in numbers { next[number + 1] += 1 }
        for number in senders.indices { next[number + 1] += next[number] }
        var dealt = [UInt32](repeating: 0, count: numbers.count)
        for (document, number) in numbers.enumerated() {
            dealt[next[number]] = UInt32(document)
            next[number] += 1
        }
        var start = 0
        for (number, sender) in senders.enumerated() {
            for document in dealt[start..<next[number]] { writer.append(document: document) }
            try writer.endTerm(.sender(sender))
            start = next[number]
        }
    }

    private func writeTerms(
        _ kept: [Int], to writer: inout SegmentWriter
    ) throws(SearchError) {
        let (dealt, starts) = deal(kept)
        var positions: [UInt32] = []
        for term in terms.sorted() {
            var at = starts[Int(term)]
            let end = starts[Int(term) + 1]
            if at == end { continue }
            while at < end {
                let document = dealt[at] >> 32
                positions.removeAll(keepingCapacity: true)
                var isAscending = true
                while at < end, dealt[at] >> 32 == document {
                    let position = UInt32(truncatingIfNeeded: dealt[at])
                    isAscending = isAscending && (positions.last ?? 0) <= position
                    positions.append(position)
                    at += 1
                }
                if !isAscending { positions.sort() }
                positions.withUnsafeBufferPointer {
                    writer.append(document: UInt32(document), positions: $0)
                }
            }
            let result = terms.withBytes(term) { word in
                Result { () throws(SearchError) in try writer.endTerm(word) }
            }
            try result.get()
        }
    }

    /// All words as document << 32 | position, term by term, and where each term's begin.
    private func deal(_ kept: [Int]) -> (dealt: [UInt64], starts: [Int]) {
        var starts = [Int](repeating: 0, count: terms.count + 1)
        for index in kept {
            let event = events[index]
            for at in event.firstWord..<(event.firstWord + event.words) {
                starts[Int(words[at] >> 32) + 1] += 1
            }
        }
        for term in 0..<terms.count { starts[term + 1] += starts[term] }
        let total = starts[terms.count]
        var next = starts
        let dealt = [UInt64](unsafeUninitializedCapacity: total) { target, count in
            for (document, index) in kept.enumerated() {
                let event = events[index]
                let head = UInt64(document) << 32
                for at in event.firstWord..<(event.firstWord + event.words) {
                    let word = words[at]
                    let term = Int(word >> 32)
                    target.initializeElement(
                        at: next[term], to: head | (word & UInt64(UInt32.max)))
                    next[term] += 1
                }
            }
            count = total
        }
        return (dealt, starts)
    }
}

/// The largest number of which all distances between times are multiples.
enum TimeUnit {
    static func of(_ times: [UInt64]) -> UInt64 {
        guard let first = times.first else { return 1 }
        return max(1, times.reduce(0) { divisor($0, $1 > first ? $1 - first : first - $1) })
    }

    static func divisor(_ left: UInt64, _ right: UInt64) -> UInt64 {
        var (left, right) = (left, right)
        if left == 1 { return 1 }
        while right != 0 { (left, right) = (right, left % right) }
        return left
    }
}
