/// A filter in the numbers of one segment.
struct DocumentFilter {
    private let reader: SegmentReader
    /// Stretches of documents that may pass, ascending; empty when `passesNone`.
    private var ranges: [Range<UInt32>] = []
    private var range = 0
    /// Numbers of senders, ascending, that a document is asked for; nil: anybody.
    private(set) var senders: [UInt64]?
    /// Flags that it is asked for.
    private(set) var flags: UInt8 = 0
    /// Times that pass. The lowest rises as better hits are known.
    private var low: UInt64 = 0
    private var high = UInt64.max
    /// The lowest time of the request: below it nothing counts.
    private var requestLow: UInt64 = 0
    /// True when documents were passed over only because better hits are known.
    private(set) var hasSkipped = false

    init(_ reader: SegmentReader) {
        self.reader = reader
        ranges = [0..<UInt32(reader.documentCount)]
    }

    /// True when no document can pass.
    var passesNone: Bool {
        ranges.isEmpty || senders?.isEmpty == true || low > high
            || low > reader.summary.maxTime || high < reader.summary.minTime
    }

    /// Narrows it.
    mutating func narrow(_ filter: SearchFilter) {
        requestLow = max(requestLow, filter.times.lowerBound)
        low = max(low, requestLow)
        high = min(high, filter.times.upperBound)
        flags |= filter.flags.rawValue
        if let wanted = filter.senders {
            let numbers = wanted.compactMap { reader.senderIndex($0).map { UInt64($0) } }
            senders = senders.map { $0.filter(numbers.contains) } ?? numbers
        }
        if let wanted = filter.conversations {
            let whole = wanted.map { SearchSpan(conversation: $0, seqs: 0...UInt64.max) }
            ranges = intersection(reader.ranges(of: whole))
        }
        if let wanted = filter.spans { ranges = intersection(reader.ranges(of: wanted)) }
    }

    /// Asks no document for its sender any more: a list sees to it.
    mutating func dropSenders() { senders = nil }

    /// Asks no document for a flag any more: a list sees to it.
    mutating func drop(_ flag: DocumentFlags) { flags &= ~flag.rawValue }

    private func intersection(_ other: [Range<UInt32>]) -> [Range<UInt32>] {
        var result: [Range<UInt32>] = []
        var (left, right) = (0, 0)
        while left < ranges.count, right < other.count {
            let common = ranges[left].clamped(to: other[right])
            if !common.isEmpty { result.append(common) }
            if ranges[left].upperBound < other[right].upperBound { left += 1 } else { right += 1 }
        }
        return result
    }

    /// Excludes documents older than `time`, because better hits are known.
    mutating func raise(to time: UInt64) { low = max(low, time) }

    /// Excludes documents newer than `time`, because they are on an earlier page.
    mutating func lower(to time: UInt64) { high = min(high, time) }

    /// Makes ready for documents from `document` on, which may be below those before.
    mutating func rewind(to document: UInt32) {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= document { low = middle + 1 } else { high = middle }
        }
        range = low
    }

    /// From the first document that may pass to the last.
    var hull: Range<UInt32> {
        (ranges.first?.lowerBound ?? 0)..<(ranges.last?.upperBound ?? 0)
    }

    /// True for one stretch that is not the whole segment, such as a conversation.
    var isOneStretch: Bool { ranges.count == 1 && ranges[0].count < reader.documentCount }

    /// Documents in the ranges.
    var span: Int { ranges.reduce(0) { $0 + $1.count } }

    /// The first document at or above `document` in a stretch whose times may pass.
    @inline(__always)
    mutating func candidate(from document: UInt32) -> UInt32 {
        var document = document
        while true {
            while range < ranges.count, ranges[range].upperBound <= document { range &+= 1 }
            if range >= ranges.count { return PostingsCursor.end }
            document = max(document, ranges[range].lowerBound)
            let highest = reader.blockMaxTime(of: document)
            let lowest = reader.blockMinTime(of: document)
            if highest >= low, lowest <= high { return document }
            if lowest <= high, highest >= requestLow { hasSkipped = true }
            document = (document | 127) &+ 1
        }
    }

    /// True when a document of a stretch passes.
    @inline(__always)
    mutating func passes(_ document: UInt32) -> Bool {
        if flags != 0, reader.flags(document) & flags != flags { return false }
        if low > reader.blockMinTime(of: document) || high < reader.blockMaxTime(of: document) {
            let time = reader.time(document)
            if time < low || time > high {
                if time <= high, time >= requestLow { hasSkipped = true }
                return false
            }
        }
        if let senders {
            let sender = reader.senderIndex(document)
            if senders.count == 1 { return senders[0] == sender }
            return Self.contains(senders, sender)
        }
        return true
    }

    private static func contains(_ sorted: [UInt64], _ number: UInt64) -> Bool {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low] == number
    }
}
