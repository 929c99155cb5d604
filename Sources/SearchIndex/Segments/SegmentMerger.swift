internal import Bytes
package import Platform

/// Makes one segment of several, without their dead documents.
///
/// Documents and terms are read side by side in order and written as they come. Memory: the new
/// number of each old document (4 bytes), what the writer holds, and one decoded block per input.
/// Inputs are mapped, and the result is not read back.
package struct SegmentMerger {
    /// One input.
    package struct Input: Sendable {
        /// The segment.
        package let reader: SegmentReader
        /// Which of its documents are dead.
        package let dead: DeadDocuments

        /// A segment, and its dead documents at the time of the merge.
        package init(reader: SegmentReader, dead: DeadDocuments) {
            self.reader = reader
            self.dead = dead
        }
    }

    /// The new number of a document that is not in the result.
    static let gone = UInt32.max
    private let inputs: [Input]
    /// New numbers of the documents of each input.
    private var numbers: [[UInt32]]

    private init(_ inputs: [Input]) {
        self.inputs = inputs
        numbers = inputs.map { [UInt32](repeating: Self.gone, count: $0.reader.documentCount) }
    }

    /// Writes the merged segment and makes it durable; nil when every document is dead. Inputs are
    /// in the order of their age, oldest first: of two living documents with one key, which no
    /// store makes, the younger is kept.
    package static func merge(
        _ inputs: [Input], to file: any File, fileID: UInt64, tokens: TokenVersion
    ) throws(SearchError) -> SegmentSummary? {
        try mergeNumbered(inputs, to: file, fileID: fileID, tokens: tokens)?.summary
    }

    /// The same, with the new number of each document of each input.
    static func mergeNumbered(
        _ inputs: [Input], to file: any File, fileID: UInt64, tokens: TokenVersion
    ) throws(SearchError) -> (summary: SegmentSummary, numbers: [[UInt32]])? {
        guard inputs.contains(where: { $0.dead.count < $0.reader.documentCount }) else {
            return nil
        }
        var merger = SegmentMerger(inputs)
        let senders = merger.mergedSenders()
        var writer = SegmentWriter(
            file: file, fileID: fileID, tokens: tokens, timeUnit: merger.timeUnit(),
            senders: senders)
        try merger.writeDocuments(senders, to: &writer)
        try writer.finishDocuments()
        try merger.writeTerms(to: &writer)
        return (try writer.finish(), merger.numbers)
    }

    private func mergedSenders() -> [SearchID] {
        var all: [SearchID] = []
        for input in inputs {
            for index in 0..<input.reader.senderCount { all.append(input.reader.sender(index)) }
        }
        all.sort()
        return all.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    private func timeUnit() -> UInt64 {
        let base = inputs[0].reader.summary.minTime
        var unit: UInt64 = 0
        for input in inputs {
            let low = input.reader.summary.minTime
            unit = TimeUnit.divisor(unit, low > base ? low - base : base - low)
            if input.reader.summary.maxTime > low {
                unit = TimeUnit.divisor(unit, input.reader.timeUnit)
            }
        }
        return max(1, unit)
    }

    private mutating func writeDocuments(
        _ senders: [SearchID], to writer: inout SegmentWriter
    ) throws(SearchError) {
        let senderNumbers = inputs.map { input in
            (0..<input.reader.senderCount).map { index in
                Self.lowerBound(senders, input.reader.sender(index))
            }
        }
        var places = inputs.map { DocumentPlace($0) }
        var written: UInt32 = 0
        var lastKey: DocumentKey?
        while true {
            var best: Int?
            for index in places.indices {
                guard let key = places[index].key else { continue }
                if let chosen = best, let low = places[chosen].key {
                    if low < key { continue }
                    if low == key { places[chosen].advance() }
                }
                best = index
            }
            guard let input = best, let key = places[input].key else { break }
            let document = places[input].document
            let reader = inputs[input].reader
            let sender = Int(clamping: reader.senderIndex(document))
            guard sender < senderNumbers[input].count, lastKey.map({ $0 < key }) ?? true else {
                throw Rot(0, "documents in order, each with a sender", "document \(document)")
                    .error(in: reader.path)
            }
            try writer.append(
                key: key, time: reader.time(document), senderIndex: senderNumbers[input][sender],
                flags: reader.flags(document), lengthCode: reader.lengths[Int(document)])
            numbers[input][Int(document)] = written
            written += 1
            lastKey = key
            places[input].advance()
        }
    }

    private static func lowerBound(_ senders: [SearchID], _ id: SearchID) -> Int {
        var low = 0
        var high = senders.count
        while low < high {
            let middle = (low + high) / 2
            if senders[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func writeTerms(to writer: inout SegmentWriter) throws(SearchError) {
        var iterators = inputs.map { TermIterator($0.reader) }
        var isLive: [Bool] = []
        for index in iterators.indices { isLive.append(try iterators[index].advance()) }
        while true {
            var sharers: [Int] = []
            for index in iterators.indices where isLive[index] {
                guard let first = sharers.first else {
                    sharers = [index]
                    continue
                }
                let order = Self.compare(iterators[index].term, iterators[first].term)
                if order < 0 { sharers = [index] } else if order == 0 { sharers.append(index) }
            }
            guard let first = sharers.first else { return }
            try writePostings(sharers.map { ($0, iterators[$0].postings) }, to: &writer)
            let term = iterators[first].term
            let result = term.withUnsafeBytes { raw in
                Result { () throws(SearchError) in try writer.endTerm(raw) }
            }
            try result.get()
            for index in sharers {
                isLive[index] = try iterators[index].advance()
                guard !isLive[index] || Self.compare(term, iterators[index].term) < 0 else {
                    throw Rot(0, "ascending terms", "one out of order")
                        .error(in: inputs[index].reader.path)
                }
            }
        }
    }

    private static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBytes { a in right.withUnsafeBytes { b in Bytewise.compare(a, b) } }
    }

    /// Writes the postings of one term out of the inputs that have it.
    private func writePostings(
        _ lists: [(input: Int, postings: TermPostings)], to writer: inout SegmentWriter
    ) throws(SearchError) {
        var cursors = lists.map { list in
            MergeCursor(list.input, PostingsCursor(list.postings, in: inputs[list.input].reader))
        }
        for index in cursors.indices { cursors[index].settle(numbers) }
        while true {
            var best: Int?
            for index in cursors.indices where cursors[index].number != Self.gone {
                if let chosen = best, cursors[chosen].number < cursors[index].number { continue }
                best = index
            }
            guard let index = best else { break }
            writer.append(
                document: cursors[index].number, positions: cursors[index].cursor.positions())
            cursors[index].cursor.next()
            cursors[index].settle(numbers)
        }
        for cursor in cursors where cursor.cursor.isRotten {
            throw Rot(0, "lists as the format says", "a rotten one")
                .error(in: inputs[cursor.input].reader.path)
        }
    }

    /// A list of one input, at a document that lives on.
    private struct MergeCursor {
        let input: Int
        var cursor: PostingsCursor
        var number = SegmentMerger.gone

        init(_ input: Int, _ cursor: PostingsCursor) {
            self.input = input
            self.cursor = cursor
        }

        mutating func settle(_ numbers: [[UInt32]]) {
            while cursor.document != PostingsCursor.end {
                number = numbers[input][Int(cursor.document)]
                if number != SegmentMerger.gone { return }
                cursor.next()
            }
            number = SegmentMerger.gone
        }
    }
}

/// Walks the living documents of a segment with their keys.
private struct DocumentPlace {
    private let input: SegmentMerger.Input
    private var conversation = 0
    private(set) var document: UInt32 = 0
    /// The key of the document it stands at; nil at the end.
    private(set) var key: DocumentKey?

    init(_ input: SegmentMerger.Input) {
        self.input = input
        settle()
    }

    mutating func advance() {
        document += 1
        settle()
    }

    private mutating func settle() {
        let reader = input.reader
        while document < reader.documentCount, input.dead.contains(document) { document += 1 }
        guard document < reader.documentCount else {
            key = nil
            return
        }
        while reader.firstDocument(conversation + 1) <= Int(document) { conversation += 1 }
        key = DocumentKey(
            conversation: reader.conversation(conversation),
            seq: reader.seq(document, conversation: conversation))
    }
}
