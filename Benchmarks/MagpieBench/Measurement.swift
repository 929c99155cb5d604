import Histogram

/// What one workload came to on one engine in one run.
struct Measurement: Sendable {
    let workload: Workload
    let engine: String
    let operations: Int
    /// Wall seconds of the operations, without settling.
    let seconds: Double
    let latency: LatencySummary
    /// Seconds of processor, for writes until the store has settled.
    let cpuSeconds: Double
    let peakRssBytes: UInt64
    /// Bytes given to write calls until the store has settled, for each byte handed over.
    var writeAmplification: Double?
    /// The same when a replicated log under the store holds its rows too, which of Magpie's is
    /// the log: the bytes of the others' own logs are counted twice.
    var loggedAmplification: Double?
    /// As `writeAmplification` with the bytes that the device took, from the whole machine.
    var deviceAmplification: Double?
    /// Bytes of files after settling, for each byte that is live.
    var spaceAmplification: Double?
    /// The most bytes of files on the way, for each byte that is live at the end.
    var peakSpaceAmplification: Double?
    /// Blocks read from files for an operation, where the engine tells.
    var blockReadsPerOperation: Double?
    /// How writers waited, where there are some.
    var stalls: Stalls?
    /// Figures that only this row has, by name with unit.
    var details: [String: Double] = [:]

    init(
        _ workload: Workload, _ engine: String, operations: Int, seconds: Double,
        _ latencies: Latencies, cpuSeconds: Double,
        peakRssBytes: UInt64 = Meter.peakResidentBytes()
    ) {
        self.workload = workload
        self.engine = engine
        self.operations = operations
        self.seconds = seconds
        latency = latencies.summary
        self.cpuSeconds = cpuSeconds
        self.peakRssBytes = peakRssBytes
    }

    /// A write's, taken when the store has settled.
    ///
    /// - Parameters:
    ///   - userBytes: keys and values handed over.
    ///   - logBytes: what they take in the log of a peer; nil for Magpie.
    ///   - liveBytes: keys and values that are there now.
    mutating func addBytes(
        _ reading: Meter.Reading, userBytes: Int, logBytes: Int?, liveBytes: Int,
        diskBytes: UInt64, peakDiskBytes: UInt64, tableBytes: UInt64
    ) {
        if userBytes > 0 {
            writeAmplification = Double(reading.writtenBytes) / Double(userBytes)
            loggedAmplification =
                (Double(reading.writtenBytes) + Double(logBytes ?? 0)) / Double(userBytes)
            deviceAmplification = Double(reading.deviceBytes) / Double(userBytes)
        }
        if liveBytes > 0 {
            spaceAmplification = Double(diskBytes) / Double(liveBytes)
            details["bytes of tables per live byte"] = Double(tableBytes) / Double(liveBytes)
            peakSpaceAmplification = Double(max(peakDiskBytes, diskBytes)) / Double(liveBytes)
        }
    }

    /// Operations a second.
    var rate: Double { seconds > 0 ? Double(operations) / seconds : 0 }

    /// What the row compares.
    var value: Double {
        switch workload.measure {
        case .rate: rate
        case .p99: latency.p99Us
        case .milliseconds: seconds * 1_000
        case .megabytes: rate / 1e6
        }
    }
}

/// Latencies in microseconds.
struct LatencySummary: Codable, Equatable, Sendable {
    var p50Us: Double
    var p99Us: Double
    var p999Us: Double
    var maxUs: Double
}

/// How a row's writers waited.
struct Stalls: Codable, Equatable, Sendable {
    /// The longest gap of a writer.
    var longestMs: Double
    /// Gaps of more than 10 ms, of all writers.
    var gapsOver10Ms: Double
    /// Seconds spent in those.
    var seconds: Double
}

/// Latencies of operations: two digits, up to a minute.
struct Latencies: Sendable {
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .two)
    private var longest: UInt64 = 0
    private var gaps = 0
    private var gapNanoseconds: UInt64 = 0

    /// Notes nanoseconds.
    @inline(__always)
    mutating func record(_ nanoseconds: UInt64) {
        _ = histogram.record(nanoseconds)
        if nanoseconds > longest { longest = nanoseconds }
        if nanoseconds > 10_000_000 {
            gaps += 1
            gapNanoseconds &+= nanoseconds
        }
    }

    /// Takes another thread's in.
    mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
        longest = max(longest, other.longest)
        gaps += other.gaps
        gapNanoseconds &+= other.gapNanoseconds
    }

    /// Microseconds at a percentile.
    func microseconds(at percentile: Double) -> Double {
        Double(histogram.valueAtPercentile(percentile)) / 1_000
    }

    /// The usual percentiles. The highest of a bucket is never more than the longest recorded.
    var summary: LatencySummary {
        let most = Double(longest) / 1_000
        return LatencySummary(
            p50Us: min(microseconds(at: 50), most), p99Us: min(microseconds(at: 99), most),
            p999Us: min(microseconds(at: 99.9), most), maxUs: most)
    }

    /// The same as waits of writers.
    var stalls: Stalls {
        Stalls(
            longestMs: Double(longest) / 1e6, gapsOver10Ms: Double(gaps),
            seconds: Double(gapNanoseconds) / 1e9)
    }
}
