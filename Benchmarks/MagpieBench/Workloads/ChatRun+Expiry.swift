import Bytes
import Platform
import Synchronization

/// Three of ten conversations are dropped; what they leave behind.
extension ChatRun {
    /// What was dropped.
    struct Dropped {
        /// Conversations in the order of their keys.
        let order: [Int]
        /// Places in `order`.
        let places: [Int]
        let isDropped: [Bool]
        /// Bytes of their entries and dedup rows.
        let bytes: Int
        /// Bytes of tables before.
        let tableBytes: UInt64
        /// Bytes given to write calls before.
        let meter: Meter
        let seconds: Double
    }

    /// Drops conversations, once.
    private func drop() throws -> Dropped {
        if let dropped { return dropped }
        var generator = SplitMix64(seed: seed &+ 13)
        let prefixes = (0..<scale.conversations).map { ConversationName(number: $0).prefix }
        let order = prefixes.indices.sorted { prefixes[$0].lexicographicallyPrecedes(prefixes[$1]) }
        let places = order.indices.shuffled(using: &generator).prefix(order.count * 3 / 10)
        var isDropped = [Bool](repeating: false, count: order.count)
        let tableBytes = Meter.tableBytes(directory)
        let meter = Meter(directory)
        for place in places {
            isDropped[order[place]] = true
            try engine.drop(ConversationName(number: order[place]))
        }
        try engine.drain()
        let bytes = places.reduce(0) { $0 + loadedBytes[order[$1]] }
        liveBytes.subtract(bytes, ordering: .relaxed)
        let made = Dropped(
            order: order, places: Array(places), isDropped: isDropped, bytes: bytes,
            tableBytes: tableBytes, meter: meter, seconds: meter.reading.seconds)
        dropped = made
        return made
    }

    /// 50 rows forward from the first key of a conversation that is gone: they are its neighbours',
    /// and between lies what was dropped. Right after the drop, before anything is compacted.
    func scanDropped() throws -> Measurement {
        let dropped = try drop()
        var generator = SplitMix64(seed: seed &+ 14)
        for _ in 0..<min(100, dropped.places.count) {
            try verify(
                dropped, dropped.places[Int(generator.next() % UInt64(dropped.places.count))])
        }
        var latencies = Latencies()
        let meter = Meter(directory)
        let blocks = engine.blockReads
        var last = Meter.now()
        let scans = max(10, scale.pages / 8)
        var rows = 0
        for _ in 0..<scans {
            let place = dropped.places[Int(generator.next() % UInt64(dropped.places.count))]
            try engine.scan(from: ConversationName(number: dropped.order[place]), rows: 50) { _ in
                rows += 1
            }
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let reading = meter.reading
        var measurement = Measurement(
            .chatExpiry, name, operations: scans, seconds: reading.seconds, latencies,
            cpuSeconds: reading.cpuSeconds)
        measurement.noteBlocks(from: blocks, to: engine.blockReads)
        measurement.details["rows a page"] = Double(rows) / Double(scans)
        measurement.details["ms to drop"] = dropped.seconds * 1_000
        return measurement
    }

    /// The rows of a scan are those of the next conversations that are there, and no others.
    private func verify(_ dropped: Dropped, _ place: Int) throws {
        var expected: [[UInt8]] = []
        var next = place
        while expected.count < 50, next < dropped.order.count {
            let number = dropped.order[next]
            if !dropped.isDropped[number] {
                let count = min(
                    Int(sequences[number].load(ordering: .relaxed)), 50 - expected.count)
                expected += repeatElement(ConversationName(number: number).prefix, count: count)
            }
            next += 1
        }
        var found: [[UInt8]] = []
        try engine.scan(from: ConversationName(number: dropped.order[place]), rows: 50) { key in
            found.append([UInt8](key.prefix(ConversationName.bytes)))
        }
        guard found == expected else {
            throw EngineError("\(name): a scan beside dropped conversations has wrong rows")
        }
    }

    /// Waits until the tables are smaller by nine tenths of the share that was dropped: first on
    /// the store's own account, then asked to compact.
    func awaitSpace() throws -> Measurement {
        let dropped = try drop()
        let left = liveBytes.load(ordering: .relaxed)
        let share = Double(dropped.bytes) / Double(max(1, dropped.bytes + left))
        let target = UInt64(Double(dropped.tableBytes) * (1 - 0.9 * share))
        let start = Meter.now()
        try engine.flush()
        let isBackUnasked = isBelow(target, within: scale.spaceSeconds)
        let rest = Meter.tableBytes(directory)
        let shrunk = Double(dropped.tableBytes) - Double(rest)
        let due = Double(dropped.tableBytes) - Double(target)
        let unasked = due > 0 ? min(1, max(0, shrunk / due)) : 1
        var isBack = isBackUnasked
        if !isBack {
            try engine.compact()
            isBack = isBelow(target, within: scale.spaceSeconds)
        }
        let seconds = Double(Meter.now() &- start) / 1e9
        let reading = dropped.meter.reading
        var measurement = Measurement(
            .chatExpirySpace, name, operations: isBack ? dropped.bytes : 0, seconds: seconds,
            Latencies(), cpuSeconds: reading.cpuSeconds)
        if isBack { measurement.details["seconds until back"] = seconds }
        measurement.details["share back unasked"] = isBackUnasked ? 1 : unasked
        measurement.details["bytes written per byte dropped"] =
            Double(reading.writtenBytes) / Double(max(1, dropped.bytes))
        return measurement
    }

    private func isBelow(_ target: UInt64, within seconds: Double) -> Bool {
        let end = Meter.now() &+ UInt64(seconds * 1e9)
        while Meter.tableBytes(directory) > target {
            if Meter.now() >= end { return false }
            Pause.milliseconds(10)
        }
        return true
    }
}
