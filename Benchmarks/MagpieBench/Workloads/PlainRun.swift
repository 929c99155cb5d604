import Bytes

/// Workloads of `db_bench` on one store: fills first, then reads over what they left.
struct PlainRun<Engine: StorageEngine> {
    let engine: Engine
    let name: String
    let directory: String
    let scale: Scale
    let seed: UInt64
    private let values: PlainValues
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
        let rowBytes = PlainKeys.bytes + PlainValues.bytes
        return Measurement(
            workload: workload, operations: scale.keys, seconds: seconds, latencies, meter, name,
            userBytes: scale.keys * rowBytes, liveBytes: presentCount * rowBytes,
            directory: directory)
    }

    private func look(_ workload: Workload, isMissing: Bool) throws -> Measurement {
        var keys = PlainKeys(isMissing: isMissing)
        var generator = SplitMix64(seed: seed &+ 3)
        var latencies = Latencies()
        let meter = Meter(directory)
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
        let seconds = meter.reading.seconds
        guard wrong == 0 else { throw EngineError("\(name): \(wrong) look-ups answered wrongly") }
        return Measurement(
            workload: workload, operations: scale.reads, seconds: seconds, latencies, meter, name)
    }

    /// Latencies are means over 1,000 rows: a row is cheaper than a look at the clock.
    private func walk(_ workload: Workload, isForward: Bool) throws -> Measurement {
        var latencies = Latencies()
        let meter = Meter(directory)
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
        let seconds = meter.reading.seconds
        guard count == presentCount, bytes == count * (PlainKeys.bytes + PlainValues.bytes) else {
            throw EngineError("\(name): walked \(count) rows of \(presentCount)")
        }
        return Measurement(
            workload: workload, operations: count, seconds: seconds, latencies, meter, name)
    }

    private func seek() throws -> Measurement {
        var keys = PlainKeys()
        var generator = SplitMix64(seed: seed &+ 4)
        var latencies = Latencies()
        let meter = Meter(directory)
        var last = Meter.now()
        var bytes = 0
        // One iterator for all seeks, as in db_bench.
        let rows = try engine.rows()
        for _ in 0..<scale.seeks {
            try keys.with(generator.next() % UInt64(scale.keys)) { try rows.seek($0) }
            var steps = 0
            while rows.isValid, steps < 50 {
                bytes += rows.rowBytes
                try rows.next()
                steps += 1
            }
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let seconds = meter.reading.seconds
        guard bytes > 0 else { throw EngineError("\(name): seeks found nothing") }
        return Measurement(
            workload: .seekrandom, operations: scale.seeks, seconds: seconds, latencies, meter, name
        )
    }
}

extension Measurement {
    /// A read's.
    init(
        workload: Workload, operations: Int, seconds: Double, _ latencies: Latencies,
        _ meter: Meter, _ engine: String
    ) {
        self.init(
            workload: workload, engine: engine, operations: operations, seconds: seconds,
            p50Us: latencies.microseconds(at: 50), p99Us: latencies.microseconds(at: 99),
            cpuSeconds: meter.reading.cpuSeconds, peakRssBytes: Meter.peakResidentBytes())
    }

    /// A write's, taken when the store has settled.
    init(
        workload: Workload, operations: Int, seconds: Double, _ latencies: Latencies,
        _ meter: Meter, _ engine: String, userBytes: Int, liveBytes: Int, directory: String
    ) {
        self.init(
            workload: workload, operations: operations, seconds: seconds, latencies, meter, engine)
        if userBytes > 0 {
            let reading = meter.reading
            writeAmplification = Double(reading.writtenBytes) / Double(userBytes)
            deviceAmplification = Double(reading.deviceBytes) / Double(userBytes)
        }
        if liveBytes > 0 {
            spaceAmplification = Double(Meter.diskBytes(directory)) / Double(liveBytes)
        }
    }
}
