internal import Bytes

/// The rules of the format as code, checked one by one with a decoder of its own: for scrubbing,
/// for tests, and to say where a segment is wrong.
struct SegmentCheck {
    private let reader: SegmentReader
    private var previousTerm: [UInt8]?
    /// Documents of each sender and with each flag that no list was found for yet.
    private var unlisted: (senders: [Int], flags: [Int])

    private init(_ reader: SegmentReader) {
        self.reader = reader
        unlisted = (
            [Int](repeating: 0, count: reader.senderCount),
            [Int](repeating: 0, count: DocumentFlags.each.count)
        )
    }

    /// Throws at the first thing that is wrong.
    static func check(_ reader: SegmentReader) throws(SearchError) {
        var check = SegmentCheck(reader)
        do throws(Rot) {
            try check.checkDocuments()
        } catch {
            throw error.error(in: reader.path)
        }
        try check.checkTerms()
    }

    private func place(_ section: SegmentFormat.Section) -> UInt64 {
        reader.offset(reader.section(section).baseAddress ?? reader.blockEntries)
    }

    private func expect(
        _ holds: Bool, _ section: SegmentFormat.Section, _ expected: String,
        _ found: @autoclosure () -> String
    ) throws(Rot) {
        if !holds { throw Rot(place(section), expected, found()) }
    }

    private mutating func checkDocuments() throws(Rot) {
        var lastKey: DocumentKey?
        var words: UInt64 = 0
        var low = UInt64.max
        var high: UInt64 = 0
        for index in 1..<max(1, reader.senderCount) {
            let ascends = reader.sender(index - 1) < reader.sender(index)
            try expect(ascends, .senders, "ascending senders", "sender \(index)")
        }
        for document in 0..<UInt32(reader.documentCount) {
            let key = reader.key(document)
            let time = reader.time(document)
            try expect(
                lastKey.map { $0 < key } ?? true, .documents, "ascending documents", "\(document)")
            try expect(
                time >= reader.blockMinTime(of: document)
                    && time <= reader.blockMaxTime(of: document), .blocks,
                "times of document \(document) within its block", "\(time)")
            try expect(
                reader.senderIndex(document) < UInt64(reader.senderCount), .documents,
                "a sender of document \(document)", "\(reader.senderIndex(document))")
            try expect(
                reader.flags(document) & ~DocumentFlags.bits == 0, .documents,
                "flags of document \(document)", "\(reader.flags(document))")
            unlisted.senders[Int(reader.senderIndex(document))] += 1
            for (index, flag) in DocumentFlags.each.enumerated()
            where reader.flags(document) & flag.rawValue != 0 {
                unlisted.flags[index] += 1
            }
            words &+= UInt64(LengthCode.lengths[Int(reader.lengths[Int(document)])])
            low = min(low, time)
            high = max(high, time)
            lastKey = key
        }
        try expect(
            low == reader.summary.minTime && high == reader.summary.maxTime, .blocks,
            "times \(reader.summary.minTime)...\(reader.summary.maxTime)", "\(low)...\(high)")
        try expect(words == reader.words, .lengths, "\(reader.words) words", "\(words)")
    }

    private mutating func checkTerms() throws(SearchError) {
        var iterator = TermIterator(reader)
        var listEnd = reader.section(.postings).baseAddress ?? reader.termEntries
        while try iterator.advance() {
            let postings = iterator.postings
            let isFirst = iterator.next % SegmentFormat.dictionaryTerms == 1
            do throws(Rot) {
                if let before = previousTerm {
                    try expect(
                        before.lexicographicallyPrecedes(iterator.term), .dictionary,
                        "ascending terms", Hex.encode(iterator.term))
                    // `TermIterator.find` compares by what entries share.
                    let common = zip(before, iterator.term).prefix { $0 == $1 }.count
                    try expect(
                        iterator.shared == (isFirst ? 0 : common), .dictionary,
                        "all common bytes shared", Hex.encode(iterator.term))
                }
                try expect(
                    !iterator.term.isEmpty, .dictionary, "terms with bytes", "an empty one")
                if postings.documents > SegmentFormat.inlineDocumentsMax {
                    try expect(
                        postings.list == listEnd, .postings, "lists without gaps",
                        "one at \(reader.offset(postings.list))")
                    listEnd = postings.list + postings.bytes
                }
                if FilterTerm.isFilter(iterator.term) {
                    try checkFilter(iterator.term, postings)
                } else {
                    try ListCheck.check(postings, in: reader) { _ in true }
                }
            } catch {
                throw error.error(in: reader.path)
            }
            previousTerm = iterator.term
        }
        let left = unlisted.senders + unlisted.flags
        if left.contains(where: { $0 > 0 }) {
            throw Rot(place(.dictionary), "a list of each sender and flag", "one without")
                .error(in: reader.path)
        }
        let section = reader.section(.postings)
        if let base = section.baseAddress, listEnd != base + section.count {
            throw Rot(reader.offset(listEnd), "the end of the lists", "more bytes")
                .error(in: reader.path)
        }
    }

    /// A list says the same as the column when it has as many documents, all of them right.
    private mutating func checkFilter(
        _ term: [UInt8], _ postings: TermPostings
    ) throws(Rot) {
        let reader = reader
        var wanted = 0
        switch FilterTerm(term) {
        case .sender(let id):
            let index = reader.senderIndex(id)
            if let index { swap(&wanted, &unlisted.senders[index]) }
            try ListCheck.check(postings, in: reader) {
                reader.senderIndex($0) == index.map(UInt64.init)
            }
        case .flag(let flag):
            if let index = DocumentFlags.each.firstIndex(of: flag) {
                swap(&wanted, &unlisted.flags[index])
            }
            try ListCheck.check(postings, in: reader) {
                reader.flags($0) & flag.rawValue != 0
            }
        case nil:
            throw Rot(place(.dictionary), "a word, a sender or a flag", Hex.encode(term))
        }
        try expect(
            postings.documents == wanted, .dictionary, "a list of \(wanted) documents",
            "\(postings.documents)")
    }
}

/// Reads one list with a plain reader, byte by byte.
private struct ListCheck {
    private let reader: SegmentReader
    private let hasPositions: Bool
    private let belongs: (UInt32) -> Bool
    private var before = -1
    private var listBound: [UInt8] = [0, .max, .max, .max]
    private var blockBound: [UInt8] = [0, .max, .max, .max]

    /// Throws when the list is not as the format says, or has a document that does not belong.
    static func check(
        _ postings: TermPostings, in reader: SegmentReader, _ belongs: @escaping (UInt32) -> Bool
    ) throws(Rot) {
        var check = ListCheck(reader, hasPositions: postings.hasPositions, belongs)
        let bytes = UnsafeRawBufferPointer(start: postings.list, count: postings.bytes)
        var input = ByteReader(bytes)
        do {
            try check.list(&input, postings)
            try input.expectEnd()
        } catch {
            throw Rot(
                reader.offset(postings.list) + UInt64(input.offset),
                "a list of \(postings.documents) documents", "\(error)")
        }
    }

    private init(
        _ reader: SegmentReader, hasPositions: Bool, _ belongs: @escaping (UInt32) -> Bool
    ) {
        self.reader = reader
        self.hasPositions = hasPositions
        self.belongs = belongs
    }

    private func require(_ holds: Bool, _ what: String, _ input: ByteReader) throws {
        if !holds { throw DecodeError.invalid(offset: input.offset, what: what) }
    }

    private mutating func list(_ input: inout ByteReader, _ postings: TermPostings) throws {
        let blocks = postings.documents / 128
        var head: [UInt8]?
        if blocks > 0 {
            head = Array(try input.readRaw(SegmentFormat.listHeadBytes))
            var skips = ByteReader(try input.readRaw(blocks * SegmentFormat.skipBytes))
            var start = 0
            for _ in 0..<blocks {
                let last = try skips.readFixed(UInt32.self)
                let end = Int(try skips.readFixed(UInt32.self))
                try require(end >= start, "end of a block", input)
                var block = ByteReader(try input.readRaw(end - start))
                try self.block(&block, &skips, last: Int(last))
                start = end
            }
        }
        for _ in 0..<(postings.documents % 128) {
            let gap = try input.readVarint()
            var frequency = hasPositions ? 1 : 0
            if gap & 1 == 1 {
                try require(hasPositions, "frequency", input)
                frequency = try input.readCount(max: SegmentFormat.documentWordsMax - 2) + 2
            }
            let document = try take(gap: gap >> 1, input)
            for _ in 0..<frequency { _ = try input.readVarint() }
            note(document, frequency)
        }
        if let head {
            try require(head == listBound, "bounds of the list", input)
        }
    }

    private mutating func take(gap: UInt64, _ input: ByteReader) throws -> Int {
        try require(gap < UInt64(reader.documentCount), "document", input)
        before += Int(gap) + 1
        try require(
            before < reader.documentCount && belongs(UInt32(before)), "document", input)
        return before
    }

    private mutating func note(_ document: Int, _ frequency: Int) {
        let length = reader.lengths[document]
        Self.widen(&listBound, frequency, length)
        Self.widen(&blockBound, frequency, length)
    }

    /// A bound: highest frequency, lowest length of those with frequency 1, 2, 3 or more.
    private static func widen(_ bound: inout [UInt8], _ frequency: Int, _ length: UInt8) {
        bound[0] = max(bound[0], UInt8(min(255, frequency)))
        let place = max(1, min(3, frequency))
        bound[place] = min(bound[place], length)
    }

    private mutating func block(
        _ input: inout ByteReader, _ skips: inout ByteReader, last: Int
    ) throws {
        let width = Int(try skips.readByte())
        let positionWidth = Int(try skips.readByte())
        let bound = Array(try skips.readRaw(4))
        blockBound = [0, .max, .max, .max]
        try require(width <= 32 && positionWidth <= 32, "widths", input)
        let lanes = try input.readRaw(width * 16)
        var frequencies = [Int](repeating: hasPositions ? 1 : 0, count: 128)
        if bound[0] > 1 {
            try require(hasPositions, "frequencies", input)
            let above = try input.readByte()
            try require(above > 0 && above <= 128, "frequencies", input)
            var lastPlace = -1
            for _ in 0..<above {
                let place = Int(try input.readByte())
                let more = try input.readCount(max: SegmentFormat.documentWordsMax - 1)
                try require(place > lastPlace && place < 128 && more > 0, "frequency", input)
                frequencies[place] = more + 1
                lastPlace = place
            }
        }
        for index in 0..<128 {
            let gap = (0..<width).reduce(UInt64(0)) { sum, bit in
                let at = (index / 4) * width + bit
                let byte = lanes[(at / 32) * 16 + (index % 4) * 4 + at % 32 / 8]
                return sum | UInt64(byte >> UInt8(at % 8) & 1) << UInt64(bit)
            }
            let document = try take(gap: gap, input)
            note(document, frequencies[index])
        }
        try require(before == last, "last document", input)
        try require(bound == blockBound, "bounds of the block", input)
        _ = try input.readRaw((frequencies.reduce(0, +) * positionWidth + 7) / 8)
        try input.expectEnd()
    }
}

extension SegmentReader {
    /// Reads all of it and throws at the first thing that is not as the format says.
    package func verify() throws(SearchError) { try SegmentCheck.check(self) }
}
