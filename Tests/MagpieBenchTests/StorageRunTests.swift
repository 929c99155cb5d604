import Bytes
import Foundation
import Synchronization
import Testing

@testable import MagpieBench

/// Every workload on every engine that is linked, tiny: so that none of them rots unnoticed.
@Suite struct StorageRunTests {
    static let engines = EngineKind.allCases.filter { $0.missingAdvice == nil }

    @Test("Every workload of an engine is measured, and its reads are right", arguments: engines)
    func everyWorkload(of engine: EngineKind) throws {
        let directory = FileManager.default.temporaryDirectory.path + "/bench-\(UUID().uuidString)"
        var run = StorageRun(
            workloads: Workload.allCases, engines: [engine], scale: .smoke, directory: directory,
            bodies: try MessageBodies(corpus: nil, seed: 1), seed: 1, isQuiet: true)
        let results = try run.perform()
        let offered = Workload.allCases.filter { $0.isOffered(by: engine) }
        #expect(results.map(\.workload) == offered.map(\.rawValue))
        for result in results {
            #expect(result.value > 0, "\(result.workload)")
            #expect(result.p99Us >= result.p50Us, "\(result.workload)")
            #expect(result.peakRssBytes > 0, "\(result.workload)")
            #expect(result.maxUs >= result.p999Us, "\(result.workload)")
            let isDisk = result.workload == Workload.bareFdatasync.rawValue
            #expect(result.engine == (isDisk ? "disk" : engine.rawValue))
            let line = try result.jsonLine()
            let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(fields?["workload"] as? String == result.workload)
            #expect(!line.contains("\n"))
        }
        #expect(!FileManager.default.fileExists(atPath: directory))
    }

    @Test("Reads that are asked for alone get their rows first")
    func readsAlone() throws {
        let directory = FileManager.default.temporaryDirectory.path + "/bench-\(UUID().uuidString)"
        var run = StorageRun(
            workloads: [.readrandom, .chatPage], engines: [.magpie], scale: .smoke,
            directory: directory, bodies: try MessageBodies(corpus: nil, seed: 2), seed: 2,
            isQuiet: true)
        #expect(try run.perform().map(\.workload) == ["readrandom", "chat-page"])
    }

    @Test("Lists of workloads keep the order of the table and refuse what is not there")
    func lists() throws {
        #expect(try Workload.parse("all") == Workload.allCases)
        #expect(try Workload.parse("chat-page,fillseq") == [.fillseq, .chatPage])
        #expect(throws: UsageError.self) { try Workload.parse("fillseq,") }
        #expect(try EngineKind.parse("rocksdb,magpie") == [.magpie, .rocksdb, .rocksdbTuned])
        #expect(throws: UsageError.self) { try EngineKind.parse("sqlite") }
    }

    @Test("A ratio below one is called a loss")
    func lossesAreShown() throws {
        let lines = ResultTable(
            results: [
                Self.result(.readseq, .magpie, operations: 50),
                Self.result(.readseq, .leveldb, operations: 100),
            ], engines: [.magpie, .leveldb]
        ).lines
        #expect(lines.contains { $0.hasPrefix("| readseq") && $0.contains("0.50 loss") })
    }

    @Test("Less is better where the unit is time")
    func timesAreTurnedRound() {
        // Milliseconds: 10 of Magpie's against 30.
        let results = [
            Self.result(.restart, .magpie, operations: 1, seconds: 0.01),
            Self.result(.restart, .rocksdb, operations: 1, seconds: 0.03),
        ]
        let verdicts = GoalResults(results: results)
        #expect(verdicts.advantage(.restart) == 3)
        #expect(
            verdicts.of(.restart) == [
                GoalResult(
                    workload: "restart", goal: ">= 1.0x the best peer", reached: "3.0x",
                    isReached: true)
            ])
    }

    @Test("A goal says what was reached, and the best of the peers counts")
    func goals() {
        let results = [
            Self.result(.chatPage, .magpie, operations: 140),
            Self.result(.chatPage, .rocksdb, operations: 10),
            Self.result(.chatPage, .leveldb, operations: 100),
        ]
        let verdict = GoalResults(results: results).of(.chatPage).first
        #expect(verdict?.line == "goal >= 2.0x the best peer, reached 1.4x: not reached")
        let alone = GoalResults(results: [results[0]]).of(.chatPage).first
        #expect(alone?.line == "goal >= 2.0x the best peer, not measured")
        #expect(GoalResults(results: [results[1]]).of(.chatPage).isEmpty)
    }

    @Test("Several runs show their spread beside the median")
    func spread() {
        let runs = [300, 100, 200].map {
            Measurement(
                .chatPage, "magpie", operations: $0, seconds: 1, Latencies(), cpuSeconds: 1,
                peakRssBytes: 1)
        }
        let result = BenchResult(
            runs, scale: .smoke, version: "1", settings: "none", data: "none")
        let lines = ResultTable(results: [result], engines: [.magpie]).lines
        #expect(lines.contains { $0.contains("200.0") })
        #expect(lines.contains { $0.contains("100.0 .. 300.0") })
    }

    @Test("The page holds every row, each plot, and no bare markup of a name")
    func page() {
        let results = [
            Self.result(.chatPage, .magpie, operations: 140),
            Self.result(.chatPage, .leveldb, operations: 100),
            Self.result(.restart, .magpie, operations: 1),
        ]
        let page = ResultPage(
            table: ResultTable(results: results, engines: [.magpie, .leveldb]),
            command: ["magpie-bench", "<x>"]
        ).text
        #expect(page.contains("chat-page") && page.contains("restart"))
        #expect(page.contains("1.40") && page.contains("2.0 missed"))
        #expect(page.components(separatedBy: "<svg").count == 5)
        #expect(page.contains("&lt;x&gt;") && !page.contains("<x>"))
        #expect(!page.contains("http"))
    }

    /// A run whose latencies are 1 to 1,000 microseconds.
    private static func result(
        _ workload: Workload, _ engine: EngineKind, operations: Int, seconds: Double = 1
    ) -> BenchResult {
        var latencies = Latencies()
        for microseconds in 1...1_000 as ClosedRange<UInt64> {
            latencies.record(microseconds * 1_000)
        }
        return BenchResult(
            [
                Measurement(
                    workload, engine.rawValue, operations: operations, seconds: seconds, latencies,
                    cpuSeconds: 1, peakRssBytes: 1)
            ], scale: .smoke, version: "1", settings: "none", data: "none")
    }
}

@Suite struct MeasuringTests {
    @Test("Gaps of more than 10 ms are counted, and the longest is exact")
    func gaps() {
        var (one, other) = (Latencies(), Latencies())
        one.record(1_000)
        one.record(12_000_000)
        other.record(30_123_456)
        one.add(other)
        #expect(
            one.stalls
                == Stalls(longestMs: 30.123456, gapsOver10Ms: 2, seconds: 0.042123456))
        #expect(one.summary.maxUs == 30_123.456)
        #expect(one.summary.p999Us <= one.summary.maxUs)
        #expect(Latencies().summary.p99Us == 0)
    }

    @Test("The time left follows the weights of the rows")
    func timeLeft() {
        #expect(Progress.secondsLeft([1, 3, 6], done: 0, elapsed: 5) == nil)
        #expect(Progress.secondsLeft([1, 3, 6], done: 2, elapsed: 8) == 12)
        #expect(Progress.secondsLeft([1, 3, 6], done: 3, elapsed: 8) == 0)
    }

    @Test("Every row of a run has its weight", arguments: [Scale.smoke, .quick, .medium, .full])
    func weights(scale: Scale) {
        let all = StorageRun.weights(Workload.allCases, EngineKind.allCases, scale)
        // The bare disk has no engine, LevelDB no checkpoints.
        #expect(all.count == (4 * (Workload.allCases.count - 1) - 1 + 1) * scale.runs)
        #expect(all.allSatisfy { $0 > 0 })
    }

    @Test("At a fixed rate everything that comes is done, by all threads")
    func openLoop() throws {
        let done = Mutex<[Int: Int]>([:])
        let stream = OpenLoop.Stream(name: "note", rate: 2_000, threads: 2, burst: 4) { thread in
            { done.withLock { $0[thread, default: 0] += 4 } }
        }
        let outcome = try OpenLoop(streams: [stream], seconds: 0.1).run()[0]
        // What a busy machine does not begin in twice the time is given up and counted.
        #expect(outcome.offered == 200)
        #expect(outcome.done == done.withLock { $0.values.reduce(0, +) })
        #expect(done.withLock { $0.keys.sorted() } == [0, 1])
        #expect(outcome.latencies.summary.maxUs > 0)
    }

    @Test("What a request fails with ends the run")
    func openLoopFails() {
        let stream = OpenLoop.Stream(name: "fail", rate: 1_000, threads: 2) { _ in
            { throw EngineError("no") }
        }
        #expect(throws: EngineError.self) {
            try OpenLoop(streams: [stream], seconds: 10).run()
        }
    }

    @Test("Files are found in folders of folders, with the kind of their file system")
    func files() throws {
        let directory = FileManager.default.temporaryDirectory.path + "/files-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(
            atPath: directory + "/a/b", withIntermediateDirectories: true)
        for name in ["/x", "/a/y", "/a/b/z"] {
            try Data(repeating: 1, count: 5_000).write(to: URL(fileURLWithPath: directory + name))
        }
        let files = Meter.files(of: directory)
        #expect(
            files.map { String($0.path.dropFirst(directory.count)) }.sorted()
                == ["/a/b/z", "/a/y", "/x"])
        PageCacheDropper.drop(directory)
        #expect(try Data(contentsOf: URL(fileURLWithPath: directory + "/x")).count == 5_000)
        #expect(Meter.fileSystem(directory) != "unknown file system")
        #expect(Meter.files(of: directory + "/none").isEmpty)
    }

    @Test("A log record of the peers holds the batch and its heads")
    func peerLog() throws {
        let bodies = try MessageBodies(corpus: nil, seed: 1)
        for number in 0..<200 as Range<UInt64> {
            let message = ChatMessage(
                conversation: ConversationName(number: 1), seq: 1, user: 1, cid: 1, timeMs: 1,
                body: bodies.body(number))
            var bytes = 7 + 12
            ChatRowBuilder().rows(of: message) { key, value in
                bytes += 2 + key.count + (value.count < 128 ? 1 : 2) + value.count
            }
            #expect(ChatRowBuilder.peerLogBytes(message) == bytes)
        }
    }

    @Test("A dedup key is that of the message's row")
    func dedupKey() throws {
        let bodies = try MessageBodies(corpus: nil, seed: 1)
        let message = ChatMessage(
            conversation: ConversationName(number: 7), seq: 3, user: 11, cid: 13, timeMs: 1,
            body: bodies.body(0))
        var keys: [[UInt8]] = []
        ChatRowBuilder().rows(of: message) { key, _ in keys.append([UInt8](key)) }
        ChatRowBuilder().withDedupKey(message.conversation, user: 11, cid: 13) { key in
            #expect(keys[1] == [UInt8](key))
        }
    }
}

#if canImport(CRocksDB)
    @Suite struct CalibrationTests {
        @Test("A rate is read from what db_bench says")
        func rate() {
            let text = """
                DB path: [/tmp/x]
                fillseq      :       2.345 micros/op 426439 ops/sec 2.345 seconds
                readrandom   :       3.0 micros/op 333333 ops/sec 0.9 seconds (3 of 3 found)
                """
            #expect(Calibration.rate(of: "readrandom", in: text) == 333_333)
            #expect(Calibration.rate(of: "fillseq", in: text) == 426_439)
            #expect(Calibration.rate(of: "seekrandom", in: text) == nil)
        }

        @Test("Five of a hundred apart is within, more is not")
        func verdicts() {
            #expect(Calibration.verdict(Calibration.difference(100, 104)) == "within 5 %")
            #expect(Calibration.verdict(Calibration.difference(100, 94)) == "MORE than 5 % apart")
        }
    }
#endif

@Suite struct GeneratorsTests {
    @Test("Bodies have 36 to 300 bytes")
    func bodies() throws {
        let bodies = try MessageBodies(corpus: nil, seed: 3)
        for number in 0..<20_000 as Range<UInt64> {
            #expect(MessageBodies.bytes.contains(bodies.body(number).count))
        }
    }

    @Test("A corpus gives its texts, short ones joined, long ones cut")
    func corpus() throws {
        let path = FileManager.default.temporaryDirectory.path + "/corpus-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let long = String(repeating: "x", count: 400)
        let lines = ["short", "and another one that is longer than that", long]
            .map { "{\"text\": \"\($0)\"}\n" }
        try lines.joined().write(toFile: path, atomically: true, encoding: .utf8)
        let bodies = try MessageBodies(corpus: path, seed: 1)
        #expect(
            String(decoding: bodies.body(0), as: UTF8.self)
                == "short and another one that is longer than that")
        #expect(bodies.body(1).count == 300)
        #expect(throws: UsageError.self) { try MessageBodies(corpus: path + "x", seed: 1) }
    }

    @Test("The first rank is drawn as often as the law says")
    func zipf() {
        let zipf = ZipfNumbers(count: 1_000, seed: 4)
        var generator = SplitMix64(seed: 5)
        var counts = [Int](repeating: 0, count: 1_000)
        for _ in 0..<100_000 { counts[zipf.next(&generator)] += 1 }
        // 1 / sum of rank^-0.99 over 1,000 ranks is 0.1307.
        #expect((counts.max() ?? 0) > 12_000 && (counts.max() ?? 0) < 14_200)
    }
}
