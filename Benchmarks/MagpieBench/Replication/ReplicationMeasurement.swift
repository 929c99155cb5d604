/// What one engine did at one number of messages under way, in one run.
struct LoadMeasurement: Sendable {
    let engine: ReplicationEngine
    let inFlight: Int
    let seconds: Double
    let acknowledged: Int
    let p50Us: Double
    let p99Us: Double
    let p999Us: Double
    /// All servers'.
    let cpuSeconds: Double
    /// The load generator's.
    let clientCPUSeconds: Double
    /// Everybody else's on the machine, the kernel's own included.
    let otherCPUSeconds: Double
    /// The whole machine's.
    let deviceBytes: UInt64
    let deviceFlushes: UInt64
    /// All servers' at the end.
    let residentBytes: UInt64
    let errors: Int
    let reason: String

    var rate: Double { seconds > 0 ? Double(acknowledged) / seconds : 0 }

    /// A cost for each of `unit` acknowledged messages.
    func cost(_ total: Double, per unit: Double = 1) -> Double {
        total / Double(max(1, acknowledged)) * unit
    }
}

/// What one engine did when its leader was killed.
struct KillMeasurement: Sendable {
    let engine: ReplicationEngine
    /// Seconds in which one of the slots got no acknowledgement: the longest of any slot.
    let slotGap: Double
    /// Seconds in which no slot got any.
    let allGap: Double
    let sent: Int
    /// Messages that were never acknowledged, though they were repeated for 30 seconds.
    let unanswered: Int
    let verdict: Verdict
}
