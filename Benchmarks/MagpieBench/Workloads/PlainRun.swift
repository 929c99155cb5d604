import Bytes

/// Workloads of `db_bench` on one store: fills first, then reads over what they left.
struct PlainRun<Engine: StorageEngine> {
    /// Another one over the same files may take its place.
    var engine: Engine
    let name: String
    let directory: String
    let scale: Scale
    let seed: UInt64
    let values: PlainValues
    /// Which keys are there.
    private var isPresent: [Bool]
    private var presentCount = 0

    init(engine: Engine, name: String, directory: String, scale: Scale, seed: UInt64) {
        self.engine = engine
        self.name = name
        self.directory = directory
        self.scale = scale
        self.seed = seed
        values = PlainValues(seed: seed)
        isPresent = [Bool](repeating: false, count: scale.keys)
    }

    /// Performs one workload.
    mutating func perform(_ workload: Workload) throws -> Measurement {
        switch workload {
        case .fillseq: try fill(workload, isRandom: false, round: 0)
        case .fillrandom: try fill(workload, isRandom: true, round: 1)
        case .overwrite: try fill(workload, isRandom: true, round: 2)
        case .readrandom: try look(workload, isMissing: false)
        case .readmissing: try look(workload, isMissing: true)
        case .readseq: try walk(workload, isForward: true)
        case .readreverse: try walk(workload, isForward: false)
        case .seekrandom: try seek()
        case .readwhilewriting: try lookWhileWriting()
        case .seekrandomwhilewriting: try seekWhileWriting()
        default: preconditionFailure("\(workload.rawValue) is no workload over plain rows")
        }
    }

    private mutating func fill(
        _ workload: Workload, isRandom: Bool, round: UInt64
    ) throws -> Measurement {
        var keys = PlainKeys()
        var generator = SplitMix64(seed: seed &+ round)
        var latencies = Latencies()
        let meter = Meter(directory)
        let watch = DiskWatch(directory)
        var last = Meter.now()
        for index in 0..<scale.keys {
            let number = isRandom ? generator.next() % UInt64(scale.keys) : UInt64(index)
            try keys.with(number) { try engine.put($0, values.value(index)) }
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
            if !isPresent[Int(number)] {
                isPresent[Int(number)] = true
                presentCount += 1
            }
        }
        try engine.drain()
        let seconds = meter.reading.seconds
        try engine.settle()
        let peak = watch.stop()
        let reading = meter.reading
        var measurement = Measurement(
            workload, name, operations: scale.keys, seconds: seconds, latencies,
            cpuSeconds: reading.cpuSeconds)
        let rowBytes = PlainKeys.bytes + PlainValues.bytes
        // In the log of a peer a put takes 22 bytes more than its row: the record's head of 7, the
        // batch's of 12, kind and lengths.
        let logBytes = scale.keys * (rowBytes + 22)
        measurement.addBytes(
            reading, userBytes: scale.keys * rowBytes,
            logBytes: name == EngineKind.magpie.rawValue ? nil : logBytes,
            liveBytes: presentCount * rowBytes, diskBytes: Meter.diskBytes(directory),
            peakDiskBytes: peak, tableBytes: Meter.tableBytes(directory))
        measurement.stalls = latencies.stalls
        return measurement
    }

    private func look(_ workload: Workload, isMissing: Bool) throws -> Measurement {
        var keys = PlainKeys(isMissing: isMissing)
        var generator = SplitMix64(seed: seed &+ 3)
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        var last = Meter.now()
        var wrong = 0
        for _ in 0..<scale.reads {
            let number = generator.next() % UInt64(scale.keys)
            let found = try keys.with(number) { try engine.get($0) }
            if (found != nil) != (isPresent[Int(number)] && !isMissing) { wrong += 1 }
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let reading = meter.reading
        guard wrong == 0 else { throw EngineError("\(name): \(wrong) look-ups answered wrongly") }
        return measurement(workload, scale.reads, reading, latencies, blocks)
    }

    /// Latencies are means over 1,000 rows: a row is cheaper than a look at the clock.
    private func walk(_ workload: Workload, isForward: Bool) throws -> Measurement {
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        var last = Meter.now()
        var (count, bytes) = (0, 0)
        let rows = try engine.rows()
        if isForward { try rows.seekToFirst() } else { try rows.seekToLast() }
        while rows.isValid {
            count += 1
            bytes += rows.rowBytes
            if isForward { try rows.next() } else { try rows.previous() }
            if count % 1_000 == 0 {
                let now = Meter.now()
                latencies.record((now &- last) / 1_000)
                last = now
            }
        }
        let reading = meter.reading
        guard count == presentCount, bytes == count * (PlainKeys.bytes + PlainValues.bytes) else {
            throw EngineError("\(name): walked \(count) rows of \(presentCount)")
        }
        return measurement(workload, count, reading, latencies, blocks)
    }

    private func seek() throws -> Measurement {
        var keys = PlainKeys()
        var generator = SplitMix64(seed: seed &+ 4)
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        var last = Meter.now()
        var bytes = 0
        for _ in 0..<scale.seeks {
            bytes += try seekOnce(&keys, generator.next() % UInt64(scale.keys))
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let reading = meter.reading
        guard bytes > 0 else { throw EngineError("\(name): seeks found nothing") }
        return measurement(.seekrandom, scale.seeks, reading, latencies, blocks)
    }

    /// A seek and 50 steps; bytes of the rows. An iterator for each seek, as in `db_bench`.
    private func seekOnce(_ keys: inout PlainKeys, _ number: UInt64) throws -> Int {
        let rows = try engine.rows()
        try keys.with(number) { try rows.seek($0) }
        var (steps, bytes) = (0, 0)
        while rows.isValid, steps < 50 {
            bytes += rows.rowBytes
            try rows.next()
            steps += 1
        }
        return bytes
    }

    private func measurement(
        _ workload: Workload, _ operations: Int, _ reading: Meter.Reading,
        _ latencies: Latencies, _ blocks: UInt64?
    ) -> Measurement {
        var measurement = Measurement(
            workload, name, operations: operations, seconds: reading.seconds, latencies,
            cpuSeconds: reading.cpuSeconds)
        measurement.noteBlocks(from: blocks, to: engine.blockReads)
        return measurement
    }

    // MARK: At a fixed rate

    private func lookWhileWriting() throws -> Measurement {
        let (engine, keyCount, seed) = (engine, UInt64(scale.keys), seed)
        return try whileWriting(
            .readwhilewriting,
            OpenLoop.Stream(name: "read", rate: scale.rates.reads, threads: 2) { thread in
                var keys = PlainKeys()
                var generator = SplitMix64(seed: seed &+ 40 &+ UInt64(thread))
                return { try keys.with(generator.next() % keyCount) { _ = try engine.get($0) } }
            })
    }

    private func seekWhileWriting() throws -> Measurement {
        let run = self
        let (keyCount, seed) = (UInt64(scale.keys), seed)
        return try whileWriting(
            .seekrandomwhilewriting,
            OpenLoop.Stream(name: "seek", rate: scale.rates.seeks, threads: 2) { thread in
                var keys = PlainKeys()
                var generator = SplitMix64(seed: seed &+ 50 &+ UInt64(thread))
                return { _ = try run.seekOnce(&keys, generator.next() % keyCount) }
            })
    }

    /// One thread puts drawn keys, 16 at a time, as nobody waits for them.
    private func whileWriting(
        _ workload: Workload, _ readers: OpenLoop.Stream
    ) throws -> Measurement {
        let (engine, keyCount, seed, values) = (engine, UInt64(scale.keys), seed, values)
        let burst = 16
        let writer = OpenLoop.Stream(
            name: "write", rate: scale.rates.writes, threads: 1, burst: burst
        ) { _ in
            var keys = PlainKeys()
            var generator = SplitMix64(seed: seed &+ 60)
            var index = 0
            return {
                for _ in 0..<burst {
                    try keys.with(generator.next() % keyCount) {
                        try engine.put($0, values.value(index))
                    }
                    index += 1
                }
            }
        }
        let meter = Meter(directory)
        let outcomes = try OpenLoop(streams: [readers, writer], seconds: scale.openSeconds).run()
        let reading = meter.reading
        try engine.drain()
        var measurement = Measurement(
            workload, name, operations: outcomes[0].done, seconds: reading.seconds,
            outcomes[0].latencies, cpuSeconds: reading.cpuSeconds)
        measurement.details["offered reads/s"] = readers.rate
        measurement.details["share of reads served"] = outcomes[0].share
        measurement.noteWriters(outcomes[1])
        return measurement
    }
}
