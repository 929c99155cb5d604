import Foundation
import Glibc
import Platform
import SearchIndex

/// Measures Magpie's index on given files and gives a record for each figure.
struct MagpieSearchDriver {
    let settings: DriverSettings
    let emit: (DriverRecord) throws -> Void
    /// Numbers of the documents: hits are told by them.
    private var numbers: [DocumentKey: UInt32] = [:]
    private var queries = QuerySet()

    static let tokens = TokenVersion(
        tokenizer: UInt32(Tokenizer.version), unicode: Tokenizer.unicodeVersion)

    init(_ settings: DriverSettings, emit: @escaping (DriverRecord) throws -> Void) {
        self.settings = settings
        self.emit = emit
    }

    /// All stages.
    mutating func perform() throws {
        var about = DriverRecord(.about)
        about.version = "magpie \(Versions.magpie)"
        about.settings =
            "\(DriverSettings.buildBytes >> 20) MiB to build in; every commit synced; merges on "
            + "the same thread; queries are prebuilt expressions, hits are identifiers"
        try emit(about)
        if settings.states.contains(.one) { try performOne() }
        if settings.states.contains(.natural) { try performNatural() }
        if settings.states.contains(.writing) { try performWriting() }
    }

    private func stage(_ name: String) throws {
        var record = DriverRecord(.stage)
        record.name = name
        try emit(record)
    }

    private func figure(_ state: IndexState, _ name: String, _ value: Double) throws {
        var record = DriverRecord(.figure, state: state)
        record.name = name
        record.value = value
        try emit(record)
    }

    private func open(_ directory: String) throws -> SearchStore {
        try SearchStore.open(
            files: LinuxFileSystem(), directory: directory, tokens: Self.tokens)
    }

    private mutating func loadQueries() throws {
        guard let data = FileManager.default.contents(atPath: settings.queries) else {
            throw UsageError("cannot read \(settings.queries)")
        }
        queries = try JSONDecoder().decode(QuerySet.self, from: data)
    }

    // MARK: One segment

    private mutating func performOne() throws {
        try stage("bulk")
        let directory = settings.directory + "/one"
        var store = try open(directory)
        let file = try TokenFile(settings.tokens)
        let meter = Meter(settings.directory)
        let before = Meter.peakResidentBytes()
        var builder = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
        var count = 0
        var nanoseconds: UInt64 = 0
        while true {
            let lines = try file.batch(10_000)
            if lines.isEmpty { break }
            let start = Meter.now()
            for line in lines {
                file.bytes.withUnsafeBytes { builder.put(line, $0) }
                if builder.isFull {
                    try store.commit(builder, cursor: [])
                    builder = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
                }
            }
            nanoseconds += Meter.now() - start
            count += lines.count
        }
        let start = Meter.now()
        try store.commit(builder, cursor: [])
        nanoseconds += Meter.now() - start
        try figure(.one, "bulk messages/s", Double(count) / (Double(nanoseconds) / 1e9))
        try figure(
            .one, "bulk CPU-s per million", meter.reading.cpuSeconds * 1e6 / Double(count))
        let peak = Meter.peakResidentBytes()
        try figure(.one, "bulk peak RSS growth MiB", Double(peak - min(before, peak)) / 1_048_576)
        builder = SegmentBuilder(memoryMax: 0)
        let merge = Meter.now()
        if let plan = store.planFullMerge() { try store.install(try plan.run()) }
        try figure(.one, "to one segment s", Double(Meter.now() - merge) / 1e9)
        try sizes(.one, directory, store.snapshot)
        let reopened = try coldOpen(directory)
        try search(.one, reopened.snapshot)
    }

    /// Opens anew what is not in memory any more, and searches once.
    private mutating func coldOpen(_ directory: String) throws -> SearchStore {
        try loadQueries()
        PageCacheDropper.drop(directory)
        let start = Meter.now()
        let store = try open(directory)
        if let query = queries.queries.first {
            _ = try store.snapshot.search(request(query, .newest10, filters()))
        }
        try figure(.one, "cold open ms", Double(Meter.now() - start) / 1e6)
        return store
    }

    private func sizes(
        _ state: IndexState, _ directory: String, _ snapshot: SearchSnapshot
    ) throws {
        var sizes: [String: UInt64] = [:]
        for file in Meter.files(of: directory) {
            guard let data = FileManager.default.contents(atPath: file.path) else { continue }
            if file.path.hasSuffix(".segment") {
                for (name, bytes) in SegmentSizes.of(data) { sizes[name, default: 0] += bytes }
            } else {
                sizes["manifest and dead", default: 0] += UInt64(data.count)
            }
        }
        for (name, bytes) in sizes.sorted(by: { $0.key < $1.key }) {
            var record = DriverRecord(.component, state: state)
            record.name = name
            record.value = Double(bytes)
            try emit(record)
        }
        try figure(
            state, "bytes/message",
            Double(sizes.values.reduce(0, +)) / Double(max(1, snapshot.documents)))
        try figure(state, "segments", Double(snapshot.segments))
    }

    // MARK: As naturally left

    private mutating func performNatural() throws {
        try stage("live")
        try loadQueries()
        let directory = settings.directory + "/natural"
        var store = try open(directory)
        let documents = try TokenFile(settings.tokens)
        let changes = try ChangeBatches(settings.changes)
        let filled = try fill(&store, documents, changes, until: .max)
        try figure(
            .natural, "live messages/s",
            Double(filled.count) / (Double(filled.nanoseconds) / 1e9))
        try sizes(.natural, directory, store.snapshot)
        try search(.natural, store.snapshot)
        try visible(&store)
    }

    /// Commits documents with the changes that fall among them, commit by commit, until one of a
    /// number or the end.
    private func fill(
        _ store: inout SearchStore, _ documents: TokenFile, _ changes: ChangeBatches,
        until end: Int
    ) throws -> (count: Int, nanoseconds: UInt64) {
        var filled = (count: 0, nanoseconds: UInt64(0))
        for batch in 0..<end {
            let lines = try documents.batch(settings.batch)
            if lines.isEmpty { break }
            let own = changes.take(until: batch)
            let start = Meter.now()
            var builder = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
            documents.bytes.withUnsafeBytes { for line in lines { builder.put(line, $0) } }
            changes.bytes.withUnsafeBytes { for change in own { builder.take(change, $0) } }
            try commit(builder, to: &store)
            filled.nanoseconds += Meter.now() - start
            filled.count += lines.count
        }
        return filled
    }

    // MARK: Beside a writer

    private mutating func performWriting() throws {
        try stage("fill writing")
        try loadQueries()
        let directory = settings.directory + "/writing"
        var store = try open(directory)
        let documents = try TokenFile(settings.tokens)
        let changes = try ChangeBatches(settings.changes)
        _ = try fill(&store, documents, changes, until: settings.load.firstBatch)
        try stage("writing")
        let filters = filters()
        var tasks: [SearchTask] = []
        for query in queries.queries where WriteLoad.filters.contains(query.filterKind) {
            for order in WriteLoad.orders {
                tasks.append(
                    SearchTask(
                        id: query.id, order: order, request: request(query, order, filters)))
            }
        }
        let writer = LoadWriter(
            consume store, try LoadEvents(documents, changes, settings), settings)
        let samples = try SearchTasks(tasks, settings: settings).measure(beside: writer)
        for (task, samples) in zip(tasks, samples) {
            var record = DriverRecord(.load, state: .writing)
            record.id = task.id
            record.order = task.order
            record.samples = samples
            try emit(record)
        }
        let outcome = try writer.outcome.wait().get()
        for (name, value) in outcome.figures { try figure(.writing, name, value) }
        try stage("check writing")
        try loadNumbers()
        // An engine that was too slow holds less than the scan knows.
        if outcome.isWhole { _ = try check(.writing, outcome.snapshot) }
        numbers = [:]
        try calls(.writing, outcome.snapshot)
    }

    private func commit(_ builder: SegmentBuilder, to store: inout SearchStore) throws {
        try store.commit(builder, cursor: [])
        while let plan = store.planMerge() { try store.install(try plan.run()) }
    }

    /// How long it takes until a new message is found.
    private func visible(_ store: inout SearchStore) throws {
        try stage("visible")
        var times: [Double] = []
        for round in 0..<100 {
            let word = Array("zqvisible\(round)".utf8)
            let start = Meter.now()
            var builder = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
            let key = DocumentKey(
                conversation: SearchNames.conversation(1 << 40), seq: UInt64(round))
            let document = SearchDocument(
                key: key, time: 2_000_000_000_000 + UInt64(round), sender: SearchNames.sender(0),
                flags: [])
            builder.put(document) { give in word.withUnsafeBytes { give($0, 0) } }
            try commit(builder, to: &store)
            let answer = try store.snapshot.search(SearchRequest(.word(word), limit: 1))
            guard answer.hits.count == 1 else {
                throw EngineError("a message is not found after its commit")
            }
            times.append(Double(Meter.now() - start) / 1e6)
        }
        times.sort()
        try figure(.natural, "visible ms p50", times[49])
        try figure(.natural, "visible ms p99", times[98])
    }

    // MARK: Searching

    private func filters() -> [SearchFilter] { queries.filters.map(SearchRequests.filter) }

    private func request(
        _ query: BenchQuery, _ order: HitOrder, _ filters: [SearchFilter]
    ) -> SearchRequest {
        SearchRequests.request(query, order, filters)
    }

    private mutating func search(_ state: IndexState, _ snapshot: SearchSnapshot) throws {
        try stage("check \(state.rawValue)")
        try loadNumbers()
        let tasks = try check(state, snapshot)
        numbers = [:]
        try stage("measure \(state.rawValue)")
        try SearchTasks(tasks, settings: settings).measure(snapshot) { task, us in
            var record = DriverRecord(.time, state: state)
            record.id = task.id
            record.order = task.order
            record.us = us
            try emit(record)
        }
        try calls(state, snapshot)
    }

    /// Tells the hits of all queries that are compared, and gives the searches to be timed.
    private func check(_ state: IndexState, _ snapshot: SearchSnapshot) throws -> [SearchTask] {
        let filters = filters()
        var tasks: [SearchTask] = []
        for query in queries.queries {
            var ninetieth: SearchPosition?
            if query.isChecked {
                let all = try SearchRequests.newest(query, filters[query.filter], in: snapshot)
                ninetieth = all.hits.count > 90 ? all.ninetieth : nil
                var record = DriverRecord(.check, state: state)
                record.id = query.id
                record.count = all.count
                let hits = all.hits.map { numbers[$0] ?? .max }
                record.crc = HitChecksum(hits.prefix(1_000)).value
                record.crcListed = HitChecksum(hits).value
                try emit(record)
            }
            for order in query.orders {
                var request = request(query, order, filters)
                if order == .page10 {
                    guard let ninetieth else { continue }
                    request.after = ninetieth
                }
                if order == .relevance10, query.isChecked {
                    var ranked = DriverRecord(.ranked, state: state)
                    ranked.id = query.id
                    ranked.hits = try snapshot.search(request).hits
                        .map { numbers[$0.document.key] ?? .max }
                    try emit(ranked)
                }
                tasks.append(SearchTask(id: query.id, order: order, request: request))
            }
        }
        return tasks
    }

    private func calls(_ state: IndexState, _ snapshot: SearchSnapshot) throws {
        for order in [HitOrder.newest10, .relevance10] {
            var record = DriverRecord(.call, state: state)
            record.order = order
            record.us = try SearchTasks.call(order, snapshot)
            try emit(record)
        }
    }

    private mutating func loadNumbers() throws {
        let file = try TokenFile(settings.tokens)
        while true {
            let lines = try file.batch(10_000)
            if lines.isEmpty { break }
            for line in lines { numbers[line.document.key] = UInt32(line.number) }
        }
    }
}
