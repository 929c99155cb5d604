import Glibc
import Platform
import SearchIndex
import Synchronization

/// What comes while others search, in order: documents, and edits and removals among them.
struct LoadEvents: Sendable {
    enum Event: Sendable {
        /// Its tokens are in ``LoadEvents/documents``.
        case new(TokenLine)
        /// Its tokens are in ``LoadEvents/changes``.
        case change(ChangeLine)
    }

    private(set) var events: [Event] = []
    private(set) var documents: [UInt8] = []
    let changes: [UInt8]

    /// All that is left of both files, from the load's first commit on.
    init(_ file: TokenFile, _ batches: ChangeBatches, _ settings: DriverSettings) throws {
        changes = batches.bytes
        for batch in settings.load.firstBatch... {
            let lines = try file.batch(settings.batch)
            if lines.isEmpty { break }
            let start = documents.count
            for var line in lines {
                line.text = (start + line.text.lowerBound)..<(start + line.text.upperBound)
                events.append(.new(line))
            }
            documents += file.bytes
            events += batches.take(until: batch).map { .change($0) }
        }
    }
}

/// What became of a load.
struct LoadOutcome: Sendable {
    /// Nanoseconds from the moment when something was due until it could be found.
    var findable: [UInt64] = []
    var events = 0
    var seconds = 0.0
    var commits = 0
    var merges = 0
    /// What can be searched behind the load.
    var snapshot = SearchSnapshot.empty

    /// Everything was taken.
    var isWhole: Bool { findable.count == events }

    /// By name.
    var figures: [(name: String, value: Double)] {
        let sorted = findable.sorted()
        func milliseconds(_ share: Double) -> Double {
            let place = Int((Double(sorted.count) * share).rounded(.up)) - 1
            return sorted.isEmpty ? 0 : Double(sorted[max(0, place)]) / 1e6
        }
        return [
            ("events/s", seconds > 0 ? Double(findable.count) / seconds : 0),
            ("share of events taken", Double(findable.count) / Double(max(1, events))),
            ("findable ms p50", milliseconds(0.5)), ("findable ms p99", milliseconds(0.99)),
            ("findable ms max", milliseconds(1)), ("commits", Double(commits)),
            ("merges", Double(merges)), ("segments", Double(snapshot.segments)),
        ]
    }
}

/// Writes into an index at a fixed rate, as a node does: what came is looked for in memory at
/// once, and is committed when there is a batch of it; merges are on a thread of their own.
// The store and the tail are confined to the lane; the rest is behind mutexes or immutable.
final class LoadWriter: @unchecked Sendable {
    /// How often what came is made findable, at most.
    private static let turnNs: UInt64 = 5_000_000
    /// Changes in memory that become a part of their own, and stay one until the commit.
    private static let stageEvents = 128
    /// What is taken at once of a backlog.
    private static let turnEventsMax = 1_000

    private let load: LoadEvents
    private let settings: DriverSettings
    private var store: SearchStore
    private var tail = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
    /// The store and the tail's first `stagedEvents`.
    private var staged: SearchSnapshot
    private var stagedEvents = 0
    private var result = LoadOutcome()
    private var isMerging = false
    private let merged = Mutex<Result<MergedSegment, SearchError>?>(nil)
    private let published: Mutex<SearchSnapshot>
    private let isRunning = Atomic<Bool>(true)
    private let writer: any Lane
    private let merger: any Lane
    /// How it went, when it is over.
    let outcome = Promise<Result<LoadOutcome, EngineError>>()

    init(_ store: consuming SearchStore, _ load: LoadEvents, _ settings: DriverSettings) {
        self.load = load
        self.settings = settings
        let snapshot = store.snapshot
        self.store = store
        staged = snapshot
        published = Mutex(snapshot)
        let scheduler = ThreadScheduler()
        writer = scheduler.lane("load")
        merger = scheduler.lane("load-merge")
        result.events = load.events.count
    }

    /// What can be searched now.
    var snapshot: SearchSnapshot { published.withLock { $0 } }

    /// True until everything came, or took much too long.
    var isUnderWay: Bool { isRunning.load(ordering: .relaxed) }

    /// Begins; `processor` is left to those who search.
    func start(leaving processor: Int) {
        for lane in [writer, merger] { lane.submit { DriverProcess.leave(processor) } }
        writer.submit { [self] in
            do {
                try perform()
                outcome.fulfil(.success(result))
            } catch {
                outcome.fulfil(.failure(error as? EngineError ?? EngineError("load: \(error)")))
            }
            isRunning.store(false, ordering: .relaxed)
        }
    }

    /// Ends both threads; what is under way comes to its end.
    func stop() {
        writer.stop()
        merger.stop()
    }

    private func perform() throws {
        let start = Meter.now() &+ 10_000_000
        let interval = 1e9 / Double(settings.load.rate)
        func due(_ event: Int) -> UInt64 { start &+ UInt64(Double(event) * interval) }
        let last = due(3 * load.events.count)
        var next = 0
        while next < load.events.count {
            let turn = Meter.now()
            if turn > last { break }
            var end = next
            while end < min(load.events.count, next + Self.turnEventsMax), due(end) <= turn {
                put(load.events[end])
                end += 1
            }
            if end > next {
                try publish()
                try find(load.events[next..<end])
                let now = Meter.now()
                for event in next..<end { result.findable.append(now - due(event)) }
                next = end
            }
            try takeMerge()
            if tail.eventCount >= settings.batch { try commit() }
            if next < load.events.count {
                OpenLoopRun.sleep(until: max(due(next), turn &+ Self.turnNs))
            }
        }
        result.seconds = Double(Meter.now() - start) / 1e9
        if !tail.isEmpty { try commit() }
        while isMerging {
            OpenLoopRun.sleep(until: Meter.now() &+ Self.turnNs)
            try takeMerge()
        }
        result.snapshot = store.snapshot
    }

    private func put(_ event: LoadEvents.Event) {
        switch event {
        case .new(let line): load.documents.withUnsafeBytes { tail.put(line, $0) }
        case .change(let change): load.changes.withUnsafeBytes { tail.take(change, $0) }
        }
    }

    /// Makes everything findable that came.
    private func publish() throws {
        let made = try staged.preview(
            tail.suffix(from: stagedEvents), tokens: MagpieSearchDriver.tokens)
        if tail.eventCount - stagedEvents >= Self.stageEvents {
            (staged, stagedEvents) = (made, tail.eventCount)
        }
        published.withLock { $0 = made }
    }

    /// Looks for the newest of the new documents by its first word, in its conversation.
    private func find(_ events: ArraySlice<LoadEvents.Event>) throws {
        let changed = Set(
            events.compactMap { event in
                if case .change(let change) = event { change.line.document.key } else { nil }
            })
        for case .new(let line) in events.reversed()
        where !line.text.isEmpty && !changed.contains(line.document.key) {
            let word = load.documents[line.text].prefix { $0 != 0x20 }
            let request = SearchRequest(
                .word(Array(word)),
                filter: SearchFilter(conversations: [line.document.key.conversation]), limit: 10)
            guard
                try snapshot.search(request).hits.contains(where: {
                    $0.document.key == line.document.key
                })
            else { throw EngineError("a document is not found when it should be") }
            return
        }
    }

    private func commit() throws {
        try store.commit(tail, cursor: [])
        result.commits += 1
        tail = SegmentBuilder(memoryMax: DriverSettings.buildBytes)
        try restage()
        try beginMerge()
    }

    /// The store is another.
    private func restage() throws {
        (staged, stagedEvents) = (store.snapshot, 0)
        try publish()
    }

    private func beginMerge() throws {
        guard !isMerging, let plan = store.planMerge() else { return }
        isMerging = true
        merger.submit { [self] in
            let result = Result { () throws(SearchError) in try plan.run() }
            merged.withLock { $0 = result }
        }
    }

    private func takeMerge() throws {
        guard let result = merged.withLock({ $0.take() }) else { return }
        isMerging = false
        try store.install(try result.get())
        self.result.merges += 1
        try restage()
        try beginMerge()
    }
}
