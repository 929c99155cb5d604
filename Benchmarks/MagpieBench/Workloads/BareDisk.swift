import Platform

/// The disk without an engine: records of 300 bytes appended to a file that was filled before, each
/// followed by an fdatasync. What a writer that waits for every sync can reach at most.
enum BareDisk {
    /// Name of the column.
    static let name = "disk"
    private static let fileBytes = 32 << 20
    private static let recordBytes = 300

    /// Performs the workload in a directory, which exists.
    static func perform(directory: String, scale: Scale) throws -> Measurement {
        let file = try LinuxFileSystem().open(directory + "/bare", .create)
        defer { file.close() }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: fileBytes, by: zeros.count) {
            try file.write(zeros, at: UInt64(offset))
        }
        try file.sync()
        let record = [UInt8](repeating: 0x5a, count: recordBytes)
        var latencies = Latencies()
        let meter = Meter(directory)
        var last = Meter.now()
        let deadline = last &+ UInt64(scale.appendSeconds * 1e9)
        var (count, offset) = (0, 0)
        while count < scale.appendsMax, last < deadline {
            if offset + recordBytes > fileBytes { offset = 0 }
            try file.write(record, at: UInt64(offset))
            try file.sync()
            offset += recordBytes
            count += 1
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let reading = meter.reading
        var measurement = Measurement(
            .bareFdatasync, name, operations: count, seconds: reading.seconds, latencies,
            cpuSeconds: reading.cpuSeconds)
        measurement.addBytes(
            reading, userBytes: count * recordBytes, logBytes: nil, liveBytes: 0, diskBytes: 0,
            peakDiskBytes: 0, tableBytes: 0)
        measurement.stalls = latencies.stalls
        return measurement
    }
}
