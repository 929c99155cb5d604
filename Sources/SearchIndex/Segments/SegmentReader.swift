package import Platform

/// An open segment, mapped: its bytes are the kernel's to keep or to read again. Safe to use from
/// any number of threads.
///
/// Opening checks the checksums and the tables whose numbers are used as addresses. What a list or
/// a dictionary block says is checked as it is decoded: rotten bytes there end the search with an
/// error, never the process. Decoders read up to ``BitPacking/slack`` bytes beyond what they
/// decode: behind every section there is at least the footer, which is longer.
// Immutable after init, which owns the bytes that the pointers lead to.
package final class SegmentReader: @unchecked Sendable {
    /// What the manifest says of it.
    package let summary: SegmentSummary
    /// How its words were cut.
    package let tokens: TokenVersion
    /// Words of all its documents.
    package let words: UInt64
    /// Different words, senders and flags.
    package let termCount: Int
    let path: String
    let timeUnit: UInt64
    let documentCount: Int
    let conversationCount: Int
    let senderCount: Int
    private let mapped: MappedBytes
    private let memory: UnsafeRawPointer
    private let sections: [UnsafeRawBufferPointer]
    let documentRuns: UnsafeRawPointer
    let blockEntries: UnsafeRawPointer
    let conversations: UnsafeRawPointer
    let senders: UnsafeRawPointer
    /// LengthCode of each document.
    let lengths: UnsafePointer<UInt8>
    let termEntries: UnsafeRawPointer

    private init(
        mapped: MappedBytes, memory: UnsafeRawPointer, path: String, footer: SegmentFooter,
        bytes: UInt64
    ) {
        var start: UInt64 = 0
        var sections: [UnsafeRawBufferPointer] = []
        for end in footer.ends {
            sections.append(
                UnsafeRawBufferPointer(start: memory + Int(start), count: Int(end - start)))
            start = end
        }
        func base(_ section: SegmentFormat.Section) -> UnsafeRawPointer {
            sections[section.rawValue].baseAddress ?? memory
        }
        self.mapped = mapped
        self.memory = memory
        self.path = path
        self.sections = sections
        summary = SegmentSummary(
            fileID: footer.fileID, documents: footer.documents, bytes: bytes,
            minTime: footer.minTime, maxTime: footer.maxTime,
            conversations: ConversationSummary(
                table: sections[SegmentFormat.Section.conversations.rawValue]))
        tokens = footer.tokens
        words = footer.words
        timeUnit = footer.timeUnit
        termCount = Int(footer.terms)
        documentCount = Int(footer.documents)
        conversationCount =
            sections[SegmentFormat.Section.conversations.rawValue].count
            / SegmentFormat.conversationBytes
        senderCount =
            sections[SegmentFormat.Section.senders.rawValue].count / SegmentFormat.senderBytes
        documentRuns = base(.documents)
        blockEntries = base(.blocks)
        conversations = base(.conversations)
        senders = base(.senders)
        lengths = base(.lengths).assumingMemoryBound(to: UInt8.self)
        termEntries = base(.terms)
    }

    /// The bytes of a section.
    func section(_ section: SegmentFormat.Section) -> UnsafeRawBufferPointer {
        sections[section.rawValue]
    }

    /// Where in the file `pointer` leads.
    func offset(_ pointer: UnsafeRawPointer) -> UInt64 {
        UInt64(max(0, pointer - memory))
    }

    /// Reads the whole file, a piece at a time, and checks it; then maps it. The file may be closed
    /// and unlinked afterwards, and never changes.
    package static func open(
        file: any File, fileID: UInt64
    ) throws(SearchError) -> SegmentReader {
        let (footer, size) = try SegmentFile.check(file, fileID: fileID)
        let path = file.path
        let mapped = try SearchError.whileReading(path) { () throws(DiskError) in try file.map() }
        do throws(Rot) {
            let bytes = mapped.bytes
            guard bytes.count == Int(size), let memory = bytes.baseAddress else {
                throw Rot(0, "\(size) bytes", "\(bytes.count)")
            }
            try checkTables(bytes, footer)
            return SegmentReader(
                mapped: mapped, memory: memory, path: path, footer: footer, bytes: size)
        } catch {
            throw error.error(in: path)
        }
    }
}

// What must hold for numbers of the file to be addresses.
extension SegmentReader {
    private static func checkTables(
        _ bytes: UnsafeRawBufferPointer, _ footer: SegmentFooter
    ) throws(Rot) {
        let documents = Int(footer.documents)
        guard documents > 0, documents <= SegmentFormat.documentsMax, footer.timeUnit > 0,
            footer.minTime <= footer.maxTime
        else { throw Rot(UInt64(bytes.count), "documents, times and a unit of time", "none") }
        var start = 0
        var tables: [UnsafeRawBufferPointer] = []
        for end in footer.ends {
            tables.append(UnsafeRawBufferPointer(rebasing: bytes[start..<Int(end)]))
            start = Int(end)
        }
        let blocks = (documents + 127) / SegmentFormat.blockDocuments
        let dictionaryBlocks =
            (Int(footer.terms) + SegmentFormat.dictionaryTerms - 1) / SegmentFormat.dictionaryTerms
        func place(_ section: SegmentFormat.Section) -> UInt64 {
            section.rawValue == 0 ? 0 : footer.ends[section.rawValue - 1]
        }
        func table(_ section: SegmentFormat.Section) -> UnsafeRawBufferPointer {
            tables[section.rawValue]
        }
        func expect(_ section: SegmentFormat.Section, _ size: Int) throws(Rot) {
            if table(section).count == size { return }
            throw Rot(place(section), "\(size) bytes of \(section)", "\(table(section).count)")
        }
        try expect(.blocks, blocks * SegmentFormat.blockEntryBytes)
        try expect(.lengths, documents)
        try expect(.terms, dictionaryBlocks * SegmentFormat.termEntryBytes)
        try expect(.senders, table(.senders).count / 16 * 16)
        let conversations = table(.conversations).count / SegmentFormat.conversationBytes
        try expect(.conversations, conversations * SegmentFormat.conversationBytes)
        guard conversations > 0, !table(.senders).isEmpty else {
            throw Rot(place(.conversations), "conversations and senders", "none")
        }
        try checkBlocks(table(.blocks), documents, table(.documents).count, place(.blocks))
        try checkConversations(table(.conversations), documents, place(.conversations))
        try checkTerms(
            table(.terms), table(.dictionary).count, table(.postings).count, place(.terms))
    }

    private static func checkBlocks(
        _ table: UnsafeRawBufferPointer, _ documents: Int, _ runBytes: Int, _ place: UInt64
    ) throws(Rot) {
        var expected = 0
        for at in stride(from: 0, to: table.count, by: SegmentFormat.blockEntryBytes) {
            let start = Int(table.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            guard start == expected else {
                throw Rot(place + UInt64(at), "runs at \(expected)", "\(start)")
            }
            let left = documents - at / SegmentFormat.blockEntryBytes * 128
            for column in 0..<4 {
                let width = Int(table[at + 4 + column])
                guard BitPacking.isRunWidth(width) else {
                    throw Rot(place + UInt64(at + 4), "a width", "\(width)")
                }
                expected += BitPacking.runBytes(count: min(128, left), width: width)
            }
        }
        guard expected == runBytes else {
            throw Rot(place, "\(runBytes) bytes of runs", "\(expected)")
        }
    }

    private static func checkConversations(
        _ table: UnsafeRawBufferPointer, _ documents: Int, _ place: UInt64
    ) throws(Rot) {
        var lastID: SearchID?
        var lastFirst = -1
        for at in stride(from: 0, to: table.count, by: SegmentFormat.conversationBytes) {
            let id = SearchID(
                high: table.loadUnaligned(fromByteOffset: at, as: UInt64.self),
                low: table.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
            let first = Int(table.loadUnaligned(fromByteOffset: at + 24, as: UInt32.self))
            guard lastID.map({ $0 < id }) ?? true, first > lastFirst, first < documents,
                at > 0 || first == 0
            else {
                throw Rot(
                    place + UInt64(at), "ascending conversations", "one out of order")
            }
            lastID = id
            lastFirst = first
        }
    }

    private static func checkTerms(
        _ table: UnsafeRawBufferPointer, _ dictionaryBytes: Int, _ postingsBytes: Int,
        _ place: UInt64
    ) throws(Rot) {
        var lastStart = -1
        var lastList: UInt64 = 0
        for at in stride(from: 0, to: table.count, by: SegmentFormat.termEntryBytes) {
            let start = Int(table.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            let list = table.loadUnaligned(fromByteOffset: at + 4, as: UInt64.self)
            guard start > lastStart, start < dictionaryBytes, at > 0 || start == 0,
                list >= lastList, list <= UInt64(postingsBytes)
            else { throw Rot(place + UInt64(at), "ascending terms", "one out of order") }
            lastStart = start
            lastList = list
        }
    }
}
