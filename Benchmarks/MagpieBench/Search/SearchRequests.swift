import Bytes
import Foundation
import SearchIndex

/// Queries of the benchmark as requests to the index.
enum SearchRequests {
    /// The expression of words.
    static func expression(_ query: WordQuery) -> SearchExpression {
        let words = query.words.map { Array($0.utf8) }
        switch query.op {
        case .word: return .word(words[0])
        case .prefix: return .prefix(words[0])
        case .all: return .all(words.map { .word($0) })
        case .any: return .any(words.map { .word($0) })
        case .not: return .all([.word(words[0]), .not(.word(words[1]))])
        case .phrase:
            return .phrase(
                words.enumerated().map { PhraseWord($1, offset: UInt32($0)) })
        }
    }

    /// A filter in the index's identifiers.
    static func filter(_ filter: BenchFilter) -> SearchFilter {
        SearchFilter(
            conversations: filter.conversations.map { $0.map(SearchNames.conversation) },
            senders: filter.sender.map { [SearchNames.sender($0)] },
            times: (filter.low ?? 0)...(filter.high ?? .max),
            flags: DocumentFlags(rawValue: filter.flags ?? 0))
    }

    /// A query as it is asked in one order.
    static func request(
        _ query: BenchQuery, _ order: HitOrder, _ filters: [SearchFilter]
    ) -> SearchRequest {
        SearchRequest(
            expression(query.query), filter: filters[query.filter],
            order: order == .relevance10 ? .relevance : .newest,
            limit: order == .newest50 ? 50 : 10)
    }

    /// Hits that are compared one by one. A page of an index in the order of conversations looks
    /// at all matches, so that paging to the end would take time that grows with their square.
    static let listedMax = 10_000

    /// How many hits there are, the newest of them page by page, and the place behind the
    /// ninetieth.
    static func newest(
        _ query: BenchQuery, _ filter: SearchFilter, in snapshot: SearchSnapshot
    ) throws -> (count: Int, hits: [DocumentKey], ninetieth: SearchPosition?) {
        var request = SearchRequest(
            expression(query.query), filter: filter, limit: 0, workMax: .max / 2)
        let all = try snapshot.search(request)
        if all.isPartial || !all.isExact { throw EngineError("a count was not exact") }
        request.limit = SearchRequest.limitMax
        var hits: [DocumentKey] = []
        var ninetieth: SearchPosition?
        while hits.count < listedMax {
            let answer = try snapshot.search(request)
            if hits.isEmpty, answer.hits.count > 90 { ninetieth = answer.hits[89].position }
            hits += answer.hits.map(\.document.key)
            guard answer.hits.count == request.limit, let last = answer.hits.last else { break }
            request.after = last.position
        }
        return (all.atLeast, hits, ninetieth)
    }
}

/// One query in one order.
struct SearchTask {
    let id: Int
    let order: HitOrder
    let request: SearchRequest
}

/// Queries that are timed.
struct SearchTasks {
    private let tasks: [SearchTask]
    private let settings: DriverSettings

    init(_ tasks: [SearchTask], settings: DriverSettings) {
        self.tasks = tasks
        self.settings = settings
    }

    /// Runs all tasks shuffled, in a pass that is not counted and in `passes` that are, and gives
    /// the least time of each in microseconds. A task that has used up its budget is not repeated.
    func measure(
        _ snapshot: SearchSnapshot, _ report: (SearchTask, Double) throws -> Void
    ) throws {
        var best = [UInt64](repeating: .max, count: tasks.count)
        var spent = [UInt64](repeating: 0, count: tasks.count)
        let budget = UInt64(settings.budgetMs) * 1_000_000
        var generator = SplitMix64(seed: settings.seed)
        var order = Array(tasks.indices)
        for pass in 0...settings.passes {
            order.shuffle(using: &generator)
            for index in order where pass < 2 || spent[index] < budget {
                let start = Meter.now()
                let answer = try snapshot.search(tasks[index].request)
                let time = Meter.now() - start
                if answer.isPartial { throw EngineError("a search was partial") }
                spent[index] += time
                if pass > 0 { best[index] = min(best[index], time) }
            }
        }
        for (index, task) in tasks.enumerated() { try report(task, Double(best[index]) / 1_000) }
    }

    /// Runs all tasks shuffled, over and over, for as long as a writer writes, and gives every
    /// time of each in microseconds.
    func measure(beside writer: LoadWriter) throws -> [[Double]] {
        var samples = [[Double]](repeating: [], count: tasks.count)
        var generator = SplitMix64(seed: settings.seed)
        var order = Array(tasks.indices)
        writer.start(leaving: DriverProcess.processor)
        defer { writer.stop() }
        while writer.isUnderWay {
            order.shuffle(using: &generator)
            for index in order {
                if !writer.isUnderWay { break }
                let snapshot = writer.snapshot
                let start = Meter.now()
                let answer = try snapshot.search(tasks[index].request)
                samples[index].append(Double(Meter.now() - start) / 1_000)
                if answer.isPartial { throw EngineError("a search was partial") }
            }
        }
        return samples
    }

    /// The median of 1,000 searches for a word that no document has, in microseconds.
    static func call(_ order: HitOrder, _ snapshot: SearchSnapshot) throws -> Double {
        let request = SearchRequest(
            .word(Array("zqnothing".utf8)), order: order == .relevance10 ? .relevance : .newest,
            limit: 10)
        var times: [UInt64] = []
        for _ in 0..<1_000 {
            let start = Meter.now()
            _ = try snapshot.search(request)
            times.append(Meter.now() - start)
        }
        return Double(times.sorted()[500]) / 1_000
    }
}

/// Sizes of a segment's parts, from its last 160 bytes: docs/formats has the page.
enum SegmentSizes {
    static let sections = [
        "documents", "blocks", "conversations", "senders", "lengths", "postings", "dictionary",
        "terms",
    ]

    /// Bytes of each part of a segment file.
    static func of(_ file: Data) -> [(name: String, bytes: UInt64)] {
        guard file.count >= 160 else { return [] }
        let footer = Array(file.suffix(160))
        var sizes: [(String, UInt64)] = []
        var last: UInt64 = 0
        for (index, name) in sections.enumerated() {
            let end = (0..<8).reduce(UInt64(0)) { sum, byte in
                sum | UInt64(footer[index * 8 + byte]) << UInt64(byte * 8)
            }
            guard end >= last, end <= UInt64(file.count) else { return [] }
            sizes.append((name, end - last))
            last = end
        }
        sizes.append(("checksums and footer", UInt64(file.count) - last))
        return sizes
    }
}
