internal import Bytes
internal import Platform

/// Writes a segment: all documents in order, then all terms in order, each with its postings.
///
/// Holds the lengths of the documents, the dictionary, one list and one piece; everything else
/// goes to the file as it comes.
struct SegmentWriter {
    private let fileID: UInt64
    private let timeUnit: UInt64
    private let tokens: TokenVersion
    private let senders: [SearchID]
    private var output: SegmentOutput
    private var columns: DocumentColumnBuilder
    private var postings = PostingsWriter()
    private var ends: [UInt64] = []
    private var lengths: [UInt8] = []
    private var terms: UInt32 = 0
    private var dictionary: [UInt8] = []
    private var termEntries = ByteWriter()
    private var lastTerm: [UInt8] = []
    private var postingsStart: UInt64 = 0
    private var conversations = ConversationSummary.any

    /// A segment whose times are, from their lowest on, multiples of `timeUnit`; senders ascend.
    init(
        file: any File, fileID: UInt64, tokens: TokenVersion, timeUnit: UInt64,
        senders: [SearchID]
    ) {
        self.fileID = fileID
        self.timeUnit = timeUnit
        self.tokens = tokens
        self.senders = senders
        output = SegmentOutput(file: file, fileID: fileID)
        columns = DocumentColumnBuilder(timeUnit: timeUnit)
    }

    /// Adds the next document; its number is the count of those before.
    mutating func append(
        key: DocumentKey, time: UInt64, senderIndex: Int, flags: UInt8, lengthCode: UInt8
    ) throws(SearchError) {
        guard columns.documents < SegmentFormat.documentsMax else {
            throw .tooLarge(what: "documents", max: UInt64(SegmentFormat.documentsMax))
        }
        columns.append(
            key: key, time: time, senderIndex: senderIndex, flags: flags,
            lengthCode: lengthCode)
        if columns.waitingBytes >= SegmentFormat.pieceBytes {
            try output.append(columns.takeRuns())
        }
    }

    /// Ends the documents; terms follow.
    mutating func finishDocuments() throws(SearchError) {
        let rest = columns.finish()
        lengths = columns.lengths
        conversations = rest.conversations.withUnsafeBytes { ConversationSummary(table: $0) }
        try output.append(rest.runs)
        if output.count > UInt64(UInt32.max) {
            throw .tooLarge(what: "bytes of documents", max: UInt64(UInt32.max))
        }
        ends.append(output.count)
        var senderBytes = ByteWriter()
        for sender in senders {
            senderBytes.write(fixed: sender.high)
            senderBytes.write(fixed: sender.low)
        }
        for section in [rest.blocks, rest.conversations, senderBytes.bytes, lengths] {
            try output.append(section)
            ends.append(output.count)
        }
        postingsStart = output.count
    }

    /// Adds a posting to the term that ``endTerm(_:)`` will name.
    @inline(__always)
    mutating func append(document: UInt32, positions: UnsafeBufferPointer<UInt32>) {
        postings.append(
            document: document, lengthCode: lengths[Int(document)], positions: positions)
    }

    /// Adds a document to the list of the ``FilterTerm`` that ``endTerm(_:)-(FilterTerm)`` will
    /// name.
    mutating func append(document: UInt32) {
        append(document: document, positions: UnsafeBufferPointer(start: nil, count: 0))
    }

    /// Ends the list of `term`, which is above every term before it.
    mutating func endTerm(_ term: FilterTerm) throws(SearchError) {
        let result = term.bytes.withUnsafeBytes { raw in
            Result { () throws(SearchError) in try endTerm(raw) }
        }
        try result.get()
    }

    /// Ends the postings of `term`, which is above every term before it.
    mutating func endTerm(_ term: UnsafeRawBufferPointer) throws(SearchError) {
        precondition(term.count <= SegmentFormat.termBytesMax, "a term of bounded length")
        let count = postings.documentCount
        if count == 0 { return }
        let list = postings.finish()
        var shared = 0
        if Int(terms) % SegmentFormat.dictionaryTerms == 0 {
            guard let start = UInt32(exactly: dictionary.count) else {
                throw .tooLarge(what: "bytes of the dictionary", max: UInt64(UInt32.max))
            }
            termEntries.write(fixed: start)
            termEntries.write(fixed: output.count - postingsStart)
        } else {
            let most = min(term.count, lastTerm.count)
            while shared < most, term[shared] == lastTerm[shared] { shared += 1 }
        }
        PostingsWriter.append(varint: UInt64(shared), to: &dictionary)
        PostingsWriter.append(varint: UInt64(term.count - shared), to: &dictionary)
        dictionary.append(contentsOf: term[shared...])
        PostingsWriter.append(varint: UInt64(count), to: &dictionary)
        PostingsWriter.append(varint: UInt64(list.count), to: &dictionary)
        if count <= SegmentFormat.inlineDocumentsMax {
            dictionary.append(contentsOf: list)
        } else {
            try output.append(list)
        }
        lastTerm.removeAll(keepingCapacity: true)
        lastTerm.append(contentsOf: term)
        terms += 1
    }

    /// Makes the segment durable; its name in the directory is the caller's to make durable.
    mutating func finish() throws(SearchError) -> SegmentSummary {
        ends.append(output.count)
        for section in [dictionary, termEntries.bytes] {
            try output.append(section)
            ends.append(output.count)
        }
        let footer = SegmentFooter(
            ends: ends, fileID: fileID, documents: UInt32(columns.documents), terms: terms,
            words: columns.words, minTime: columns.minTime, maxTime: columns.maxTime,
            timeUnit: timeUnit, tokens: tokens, tableChecksum: 0)
        let bytes = try output.finish(footer)
        return SegmentSummary(
            fileID: fileID, documents: footer.documents, bytes: bytes, minTime: footer.minTime,
            maxTime: footer.maxTime, conversations: conversations)
    }
}

/// What the manifest says of a segment.
package struct SegmentSummary: Equatable, Sendable {
    /// The id in its name.
    package var fileID: UInt64
    /// Documents in it, dead ones too; at least one.
    package var documents: UInt32
    /// Bytes of its file.
    package var bytes: UInt64
    /// The earliest time of a document.
    package var minTime: UInt64
    /// The latest.
    package var maxTime: UInt64
    /// Of which conversations its documents may be.
    package var conversations = ConversationSummary.any
}
