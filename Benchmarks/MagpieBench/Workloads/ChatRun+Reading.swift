import Bytes
import Platform
import Synchronization

/// Pages, and look-ups of dedup rows.
extension ChatRun {
    /// The newest 50 rows of Zipf conversations, one after the other, as many as the scale says.
    func page() throws -> Measurement {
        var count = 0
        return try page(.chatPage) {
            count += 1
            return count <= scale.pages
        }
    }

    /// The same for a time, while nothing stays in the page cache.
    func coldPage() throws -> Measurement {
        let dropper = PageCacheDropper(directory)
        defer { dropper.stop() }
        let end = Meter.now() &+ UInt64(scale.coldSeconds * 1e9)
        return try page(.chatPageCold) { Meter.now() < end }
    }

    private func page(_ workload: Workload, while goesOn: () -> Bool) throws -> Measurement {
        var generator = SplitMix64(seed: seed &+ 11)
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        var last = Meter.now()
        var (count, wrong) = (0, 0)
        while goesOn() {
            let conversation = zipf.next(&generator)
            let page = try engine.page(
                ConversationName(number: conversation), below: .max, rows: 50)
            let there = sequences[conversation].load(ordering: .relaxed)
            if page.rows != Int(min(50, there)) { wrong += 1 }
            count += 1
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let reading = meter.reading
        guard wrong == 0 else { throw EngineError("\(name): \(wrong) pages are not whole") }
        var measurement = Measurement(
            workload, name, operations: count, seconds: reading.seconds, latencies,
            cpuSeconds: reading.cpuSeconds)
        measurement.noteBlocks(from: blocks, to: engine.blockReads)
        return measurement
    }

    /// Look-ups of dedup rows by one thread in a closed loop: 99 of 100 are of messages that nobody
    /// sent, one is of a message that was loaded lately. Four threads append at a fixed rate.
    func dedup() throws -> Measurement {
        let appends = OpenLoop(streams: [appender], seconds: scale.openSeconds)
        let builder = ChatRowBuilder()
        var generator = SplitMix64(seed: seed &+ 12)
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        let background = OpenLoopRun(appends)
        let start = Meter.now()
        let end = start &+ UInt64(scale.openSeconds * 1e9)
        var (count, wrong, last) = (0, 0, start)
        while last < end {
            let isThere = count % 100 == 0
            let message =
                isThere
                ? known[Int(generator.next() % UInt64(known.count))]
                : Known(
                    conversation: zipf.next(&generator), user: generator.next() % 100_000,
                    cid: generator.next())
            let found = try builder.withDedupKey(
                ConversationName(number: message.conversation), user: message.user,
                cid: message.cid
            ) { try engine.containsChatRow($0) }
            if found != isThere { wrong += 1 }
            count += 1
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let seconds = Double(last &- start) / 1e9
        let outcome = try background.wait()[0]
        guard wrong == 0 else {
            throw EngineError("\(name): \(wrong) dedup look-ups answered wrongly")
        }
        var measurement = Measurement(
            .chatDedup, name, operations: count, seconds: seconds, latencies,
            cpuSeconds: meter.reading.cpuSeconds)
        measurement.noteBlocks(from: blocks, to: engine.blockReads)
        measurement.noteWriters(outcome)
        return measurement
    }

    /// Of 100 pages 80 are the newest of a Zipf conversation, 15 end at a drawn seq of one, five
    /// are the newest of any. Two threads ask for them at a fixed rate, four append.
    func mixed(_ workload: Workload, pagesPerSecond: Double) throws -> Measurement {
        let pages = OpenLoop.Stream(name: "page", rate: pagesPerSecond, threads: 2) {
            [self] thread in
            var generator = SplitMix64(seed: seed &+ 20 &+ UInt64(thread))
            return { [self] in try readMixed(&generator) }
        }
        let meter = Meter(directory)
        let outcomes = try OpenLoop(
            streams: [pages, appender],
            seconds: workload == .chatMixed
                ? scale.openSeconds : scale.coldSeconds
        ).run()
        let reading = meter.reading
        var measurement = Measurement(
            workload, name, operations: outcomes[0].done, seconds: reading.seconds,
            outcomes[0].latencies, cpuSeconds: reading.cpuSeconds)
        measurement.details["offered pages/s"] = pagesPerSecond
        measurement.details["share of pages served"] = outcomes[0].share
        measurement.noteWriters(outcomes[1])
        return measurement
    }

    /// The same while nothing stays in the page cache.
    func coldMixed() throws -> Measurement {
        let dropper = PageCacheDropper(directory)
        defer { dropper.stop() }
        return try mixed(.chatMixedCold, pagesPerSecond: scale.rates.coldPages)
    }

    private func readMixed(_ generator: inout SplitMix64) throws {
        let kind = generator.next() % 100
        let conversation =
            kind < 95 ? zipf.next(&generator) : Int(generator.next() % UInt64(scale.conversations))
        let there = sequences[conversation].load(ordering: .relaxed)
        let below =
            (80..<95).contains(kind) && there > 0 ? 1 + generator.next() % there : UInt64.max
        let page = try engine.page(
            ConversationName(number: conversation), below: below, rows: 50)
        // A writer draws its seq before it commits.
        let sure = min(there, below - 1)
        guard page.rows + 4 >= Int(min(50, sure)) else {
            throw EngineError("\(name): a page is not whole")
        }
    }

    /// Four threads that append messages, each commit synced.
    private var appender: OpenLoop.Stream {
        OpenLoop.Stream(name: "append", rate: scale.rates.appends, threads: 4) { [self] thread in
            let writer = try engine.makeWriter()
            var generator = SplitMix64(seed: SplitMix64.mix(seed &+ 30 &+ UInt64(thread)))
            return { [self] in
                let message = next(&generator)
                try writer.commit(message)
                liveBytes.add(
                    ChatRowBuilder.userBytes(message) - Self.headRowBytes, ordering: .relaxed)
            }
        }
    }
}

extension Measurement {
    /// Blocks read between two readings.
    mutating func noteBlocks(from start: UInt64?, to end: UInt64?) {
        guard let start, let end, operations > 0 else { return }
        blockReadsPerOperation = Double(end &- start) / Double(operations)
    }

    /// What the writers beside the readers met.
    mutating func noteWriters(_ outcome: OpenLoop.Outcome) {
        stalls = outcome.latencies.stalls
        let summary = outcome.latencies.summary
        details["write p50 us"] = summary.p50Us
        details["write p99 us"] = summary.p99Us
        details["share of writes taken"] = outcome.share
    }
}
