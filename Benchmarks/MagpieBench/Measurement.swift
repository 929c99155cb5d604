import Histogram

/// What one workload came to on one engine in one run.
struct Measurement: Sendable {
    let workload: Workload
    let engine: String
    let operations: Int
    /// Wall seconds of the operations, without settling.
    let seconds: Double
    var p50Us: Double
    var p99Us: Double
    /// Seconds of processor, for writes until the store has settled.
    var cpuSeconds: Double
    /// Bytes given to write calls until the store has settled, for each byte handed over; nil for
    /// reads.
    var writeAmplification: Double?
    /// The same with the bytes that the device took, from the whole machine.
    var deviceAmplification: Double?
    /// Bytes of files after settling, for each byte that is live; nil for reads.
    var spaceAmplification: Double?
    var peakRssBytes: UInt64

    /// Operations a second.
    var rate: Double { seconds > 0 ? Double(operations) / seconds : 0 }
}

/// Latencies of operations: two digits, up to a minute.
struct Latencies: Sendable {
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .two)

    /// Notes nanoseconds.
    @inline(__always)
    mutating func record(_ nanoseconds: UInt64) {
        _ = histogram.record(nanoseconds)
    }

    /// Takes another thread's in.
    mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
    }

    /// Microseconds at a percentile.
    func microseconds(at percentile: Double) -> Double {
        Double(histogram.valueAtPercentile(percentile)) / 1_000
    }
}
