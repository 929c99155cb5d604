internal import Bytes

/// Where a term's postings are.
struct TermPostings {
    /// Documents that have the term, dead ones too.
    let documents: Int
    /// The list.
    let list: UnsafeRawPointer
    /// Bytes of the list.
    let bytes: Int
    /// False for a ``FilterTerm``.
    let hasPositions: Bool
}

/// Walks the dictionary of a segment in the order of terms. The reader must outlive it.
struct TermIterator {
    private let reader: SegmentReader
    private let dictionary: UnsafeRawBufferPointer
    private let lists: UnsafeRawBufferPointer
    private var scanner: VarintScanner
    private var listOffset: UInt64 = 0
    /// The number of the next term.
    private(set) var next = 0
    /// Bytes of the term of the last entry.
    private var length = 0
    /// Bytes that it took from the term before it.
    private(set) var shared = 0
    /// True when that term is a ``FilterTerm``.
    private var isFilter = false
    /// The term it stands at; empty terms exist only in rotten bytes and before the first.
    private(set) var term: [UInt8] = []
    /// The postings of the term it stands at.
    private(set) var postings: TermPostings

    /// Before the first term.
    init(_ reader: SegmentReader) {
        self.reader = reader
        dictionary = reader.section(.dictionary)
        lists = reader.section(.postings)
        let start = dictionary.baseAddress ?? reader.termEntries
        scanner = VarintScanner(start, count: dictionary.count)
        postings = TermPostings(documents: 0, list: start, bytes: 0, hasPositions: true)
    }

    /// Moves to the next term; false at the end.
    mutating func advance() throws(SearchError) -> Bool {
        if next >= reader.termCount { return false }
        let rest = try entry()
        term.removeLast(term.count - shared)
        term.append(contentsOf: rest)
        return true
    }

    /// Reads the next entry, and gives what its term has behind the bytes it shares.
    private mutating func entry() throws(SearchError) -> UnsafeRawBufferPointer {
        let isFirst = next % SegmentFormat.dictionaryTerms == 0
        if isFirst { enter(next / SegmentFormat.dictionaryTerms) }
        let place = scanner.at
        let shared = scanner.next()
        let rest = scanner.next()
        guard shared <= UInt64(length), !isFirst || shared == 0,
            rest <= UInt64(SegmentFormat.termBytesMax) - shared, let bytes = scanner.take(rest)
        else { throw rot(place, "a term") }
        self.shared = Int(shared)
        length = self.shared + bytes.count
        if shared == 0 { isFilter = FilterTerm.isFilter(bytes) }
        let documents = scanner.next()
        let listBytes = scanner.next()
        guard documents > 0, documents <= UInt64(reader.documentCount) else {
            throw rot(place, "a number of documents")
        }
        let list: UnsafeRawPointer
        if documents <= UInt64(SegmentFormat.inlineDocumentsMax) {
            guard let inlined = scanner.take(listBytes), let base = inlined.baseAddress else {
                throw rot(place, "a list")
            }
            list = base
        } else {
            guard let base = lists.baseAddress, listOffset <= UInt64(lists.count),
                listBytes <= UInt64(lists.count) - listOffset
            else { throw rot(place, "a list inside the postings") }
            list = base + Int(listOffset)
            listOffset += listBytes
        }
        if scanner.isRotten { throw rot(place, "an entry") }
        postings = TermPostings(
            documents: Int(documents), list: list, bytes: Int(listBytes),
            hasPositions: !isFilter)
        next += 1
        return bytes
    }

    /// Moves to the first term at or above `wanted`; false when there is none.
    mutating func seek(_ wanted: UnsafeRawBufferPointer) throws(SearchError) -> Bool {
        guard try startBlock(of: wanted) else { return false }
        while try advance() {
            if term.withUnsafeBytes({ Bytewise.compare($0, wanted) }) >= 0 { return true }
        }
        return false
    }

    /// The postings of a term. What an entry takes from the one before says most of how it compares
    /// with the wanted term, so that no term is put together.
    mutating func find(_ wanted: UnsafeRawBufferPointer) throws(SearchError) -> TermPostings? {
        guard try startBlock(of: wanted) else { return nil }
        // Bytes that the term before, which is below the wanted, has in common with it.
        var common = 0
        for _ in 0..<min(SegmentFormat.dictionaryTerms, reader.termCount - next) {
            let rest = try entry()
            if shared > common { continue }
            if shared < common { return nil }
            var at = 0
            while at < rest.count, common < wanted.count, rest[at] == wanted[common] {
                at &+= 1
                common &+= 1
            }
            if at == rest.count {
                if common == wanted.count { return postings }
            } else if common == wanted.count || rest[at] > wanted[common] {
                return nil
            }
        }
        return nil
    }

    /// Goes before the first term of the block that would hold `wanted`; false when there is none.
    private mutating func startBlock(
        of wanted: UnsafeRawBufferPointer
    ) throws(SearchError) -> Bool {
        let blocks =
            (reader.termCount + SegmentFormat.dictionaryTerms - 1) / SegmentFormat.dictionaryTerms
        if blocks == 0 { return false }
        var low = 0
        var high = blocks - 1
        while low < high {
            let middle = (low + high + 1) / 2
            let isAbove = try Bytewise.compare(firstTerm(middle), wanted) > 0
            if isAbove { high = middle - 1 } else { low = middle }
        }
        next = low * SegmentFormat.dictionaryTerms
        return true
    }

    private mutating func enter(_ block: Int) {
        let start = startOfBlock(block)
        if let base = dictionary.baseAddress {
            scanner = VarintScanner(base + start, count: dictionary.count - start)
        }
        listOffset =
            (reader.termEntries + block * SegmentFormat.termEntryBytes)
            .loadUnaligned(fromByteOffset: 4, as: UInt64.self)
    }

    private func startOfBlock(_ block: Int) -> Int {
        Int(
            (reader.termEntries + block * SegmentFormat.termEntryBytes)
                .loadUnaligned(as: UInt32.self))
    }

    private func firstTerm(_ block: Int) throws(SearchError) -> UnsafeRawBufferPointer {
        let start = startOfBlock(block)
        let base = (dictionary.baseAddress ?? reader.termEntries) + start
        var scanner = VarintScanner(base, count: dictionary.count - start)
        let shared = scanner.next()
        guard shared == 0, let bytes = scanner.take(scanner.next()), !scanner.isRotten else {
            throw rot(base, "a first term")
        }
        return bytes
    }

    private func rot(_ place: UnsafeRawPointer, _ expected: String) -> SearchError {
        Rot(reader.offset(place), expected, "rotten bytes").error(in: reader.path)
    }
}

/// Order of terms.
enum Bytewise {
    @inline(__always)
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        OrderedKey.compare(left, right)
    }

    static func isPrefix(_ prefix: [UInt8], of term: some Collection<UInt8>) -> Bool {
        term.count >= prefix.count && term.starts(with: prefix)
    }
}

extension SegmentReader {
    /// The postings of a word, if the segment has it.
    func find(term word: [UInt8]) throws(SearchError) -> TermPostings? {
        FilterTerm.isFilter(word) ? nil : try find(entry: word)
    }

    /// The documents of a sender or with a flag, if the segment has any.
    func find(_ filter: FilterTerm) throws(SearchError) -> TermPostings? {
        try find(entry: filter.bytes)
    }

    /// The postings of a word or of the bytes of a ``FilterTerm``.
    func find(entry term: [UInt8]) throws(SearchError) -> TermPostings? {
        var iterator = TermIterator(self)
        let result = term.withUnsafeBytes { raw in
            Result { () throws(SearchError) in try iterator.find(raw) }
        }
        return try result.get()
    }

    /// Moves to the first term at or above `term`.
    static func seek(
        _ iterator: inout TermIterator, _ term: [UInt8]
    ) throws(SearchError) -> Bool {
        let result = term.withUnsafeBytes { raw in
            Result { () throws(SearchError) in try iterator.seek(raw) }
        }
        return try result.get()
    }
}
