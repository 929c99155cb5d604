import Bytes
import Foundation
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
        #expect(results.map(\.workload) == Workload.allCases.map(\.rawValue))
        for result in results {
            #expect(result.value > 0, "\(result.workload)")
            #expect(result.p99Us >= result.p50Us, "\(result.workload)")
            #expect(result.peakRssBytes > 0, "\(result.workload)")
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
        func result(_ engine: EngineKind, _ operations: Int) -> BenchResult {
            BenchResult(
                [
                    Measurement(
                        workload: .readseq, engine: engine.rawValue, operations: operations,
                        seconds: 1, p50Us: 1, p99Us: 2, cpuSeconds: 1, peakRssBytes: 1)
                ], scale: .smoke, version: "1", settings: "none", data: "none")
        }
        let lines = ResultTable(
            results: [result(.magpie, 50), result(.leveldb, 100)], engines: [.magpie, .leveldb]
        ).lines
        #expect(lines.contains { $0.hasPrefix("| readseq") && $0.contains("0.50 loss") })
    }
}

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
