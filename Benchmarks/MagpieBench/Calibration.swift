#if canImport(CRocksDB)
    import Foundation
    import Glibc
    import Platform

    /// This program's driver beside `db_bench`, both on stock RocksDB with the same settings: what
    /// differs is the driver's own.
    struct Calibration {
        static let program = "/usr/bin/db_bench"
        private static let rows: [Workload] = [.fillseq, .readrandom, .seekrandom]
        /// Interleaved pairs; the median counts.
        private static let pairs = 3
        /// How far apart the two may be.
        static let tolerance = 0.05

        /// One row on one side.
        struct Reading {
            let rate: Double
            let cpuSecondsPerMillion: Double
        }

        let directory: String
        let scale: Scale
        let seed: UInt64

        /// Measures, and says how far apart the two are.
        func lines() throws -> [String] {
            guard FileManager.default.isExecutableFile(atPath: Self.program) else {
                throw UsageError("there is no \(Self.program): install rocksdb-tools")
            }
            defer { try? FileManager.default.removeItem(atPath: directory) }
            var (own, theirs): ([[Reading]], [[Reading]]) = ([], [])
            var progress = Progress(steps: 2 * Self.pairs, isQuiet: false)
            for pair in 1...Self.pairs {
                progress.step("db_bench, pair \(pair)")
                theirs.append(try runTheirs())
                progress.step("this driver, pair \(pair)")
                own.append(try runOwn())
            }
            progress.end()
            return table(own, theirs)
        }

        private func table(_ own: [[Reading]], _ theirs: [[Reading]]) -> [String] {
            var rows = [
                [
                    "row", "db_bench ops/s", "driver ops/s", "difference", "db_bench CPU s/M",
                    "driver CPU s/M", "difference", "verdict",
                ]
            ]
            for (place, row) in Self.rows.enumerated() {
                func median(_ side: [[Reading]], _ figure: (Reading) -> Double) -> Double {
                    BenchResult.median(side.map { figure($0[place]) })
                }
                let rates = (median(theirs, \.rate), median(own, \.rate))
                let costs = (
                    median(theirs, \.cpuSecondsPerMillion), median(own, \.cpuSecondsPerMillion)
                )
                let off = Self.difference(rates.0, rates.1)
                rows.append([
                    row.rawValue, ResultTable.number(rates.0), ResultTable.number(rates.1),
                    Self.percent(off), String(format: "%.2f", costs.0),
                    String(format: "%.2f", costs.1),
                    Self.percent(Self.difference(costs.0, costs.1)), Self.verdict(off),
                ])
            }
            return ["The driver of this program beside db_bench, stock RocksDB", ""]
                + ResultTable.aligned(rows) + [
                    "",
                    "Medians of \(Self.pairs) interleaved pairs, each side in fresh stores, read "
                        + "by a process or a handle that has",
                    "just opened them; processor seconds with opening, flush and compaction. Scale "
                        + "\(scale.name), \(Meter.processor), kernel \(BenchResult.kernel).",
                    "rocksdb: \(RocksEngine.version); \(EngineKind.rocksdb.settings).",
                ]
        }

        static func difference(_ theirs: Double, _ own: Double) -> Double {
            theirs > 0 ? own / theirs - 1 : 0
        }

        static func verdict(_ difference: Double) -> String {
            abs(difference) <= tolerance ? "within 5 %" : "MORE than 5 % apart"
        }

        private static func percent(_ share: Double) -> String {
            String(format: "%+.1f %%", share * 100)
        }

        // MARK: db_bench

        private func runTheirs() throws -> [Reading] {
            let (sequential, random) = (directory + "/theirs-seq", directory + "/theirs-random")
            defer {
                try? FileManager.default.removeItem(atPath: sequential)
                try? FileManager.default.removeItem(atPath: random)
            }
            let fill = try theirs("fillseq,flush,waitforcompaction", sequential, isFresh: true)
            _ = try theirs("fillrandom,flush,waitforcompaction", random, isFresh: true)
            let reads = try theirs("readrandom", random, reads: scale.reads)
            let seeks = try theirs("seekrandom", random, reads: scale.seeks)
            return [fill, reads, seeks]
        }

        private func theirs(
            _ benchmarks: String, _ place: String, isFresh: Bool = false, reads: Int = -1
        ) throws -> Reading {
            try LinuxFileSystem().makeDirectory(place)
            let budget = MemoryBudget.standard
            let log = place + ".log"
            let before = Self.childrenCPUSeconds
            let process = try ServerProcess(
                Self.program,
                [
                    "--benchmarks=\(benchmarks)", "--db=\(place)", "--num=\(scale.keys)",
                    "--reads=\(reads)", "--use_existing_db=\(isFresh ? 0 : 1)", "--key_size=16",
                    "--value_size=100", "--compression_ratio=0.5", "--compression_type=snappy",
                    "--write_buffer_size=\(budget.writeBufferBytes / 2)",
                    "--cache_size=\(budget.blockCacheBytes)", "--verify_checksum=1", "--threads=1",
                    "--histogram=1", "--seek_nexts=50", "--seed=\(seed)",
                    // As RocksDB's own default is, and not that of db_bench.
                    "--enable_pipelined_write=false",
                ], log: log)
            guard Pause.until(36_000, { !process.isRunning }) else {
                throw EngineError("db_bench does not end")
            }
            let name = String(benchmarks.prefix { $0 != "," })
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            guard let rate = Self.rate(of: name, in: text) else {
                throw EngineError("db_bench says nothing of \(name): \(process.lastWords)")
            }
            let operations = Double(reads > 0 ? reads : scale.keys)
            return Reading(
                rate: rate,
                cpuSecondsPerMillion: (Self.childrenCPUSeconds - before) * 1e6 / operations)
        }

        /// From "readrandom   :   2.345 micros/op 426000 ops/sec 0.7 seconds …".
        static func rate(of name: String, in text: String) -> Double? {
            for line in text.split(whereSeparator: \.isNewline) {
                let words = line.split(separator: " ")
                guard words.first.map(String.init) == name,
                    let place = words.firstIndex(of: "ops/sec"), place > 0
                else { continue }
                return Double(words[place - 1])
            }
            return nil
        }

        /// Of children that have ended.
        private static var childrenCPUSeconds: Double {
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
            return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        }

        // MARK: This driver

        private func runOwn() throws -> [Reading] {
            let (sequential, random) = (directory + "/own-seq", directory + "/own-random")
            defer {
                try? FileManager.default.removeItem(atPath: sequential)
                try? FileManager.default.removeItem(atPath: random)
            }
            let fill = try own(sequential) { try $1.perform(.fillseq) }
            var filled: PlainRun<RocksEngine>?
            _ = try own(random) { _, run in
                defer { filled = run }
                return try run.perform(.fillrandom)
            }
            let reads = try [Workload.readrandom, .seekrandom].map { workload in
                try own(random) { engine, fresh in
                    // It knows which keys are there.
                    var run = filled ?? fresh
                    run.engine = engine
                    return try run.perform(workload)
                }
            }
            return [fill] + reads
        }

        private func own(
            _ place: String,
            _ body: (RocksEngine, inout PlainRun<RocksEngine>) throws -> Measurement
        ) throws -> Reading {
            try LinuxFileSystem().makeDirectory(place)
            let before = Meter.cpuSeconds()
            let engine = try RocksEngine(
                EngineSetup(directory: place, layout: .plain), isTuned: false)
            var run = PlainRun(
                engine: engine, name: EngineKind.rocksdb.rawValue, directory: place, scale: scale,
                seed: seed)
            let measurement: Measurement
            do {
                defer { engine.close() }
                measurement = try body(engine, &run)
            }
            let cost = Meter.cpuSeconds() - before
            return Reading(
                rate: measurement.rate,
                cpuSecondsPerMillion: cost * 1e6 / Double(measurement.operations))
        }
    }
#endif
