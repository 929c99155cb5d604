import Bytes
import Foundation
import Platform
import Synchronization

/// Chat workloads on one store: messages are loaded, appended by writers, read as pages, looked up,
/// dropped.
// What changes between the workloads only is plain; threads share atomics alone.
final class ChatRun<Engine: StorageEngine>: @unchecked Sendable {
    /// A message that is there, for look-ups of its dedup row.
    struct Known {
        let conversation: Int
        let user: UInt64
        let cid: UInt64
    }

    let engine: Engine
    let name: String
    let directory: String
    let scale: Scale
    let seed: UInt64
    let zipf: ZipfNumbers
    /// The last seq of each conversation.
    let sequences: UnsafeMutablePointer<Atomic<UInt64>>
    /// Bytes of entries and dedup rows so far.
    let liveBytes = Atomic<Int>(0)
    /// Bytes of those that were loaded, by conversation.
    private(set) var loadedBytes: [Int]
    /// The messages that were loaded last.
    private(set) var known: [Known] = []
    /// What ``drop()`` did.
    var dropped: Dropped?
    private let bodies: MessageBodies

    init(
        engine: Engine, name: String, directory: String, scale: Scale, bodies: MessageBodies,
        seed: UInt64
    ) {
        self.engine = engine
        self.name = name
        self.directory = directory
        self.scale = scale
        self.bodies = bodies
        self.seed = seed
        zipf = ZipfNumbers(count: scale.conversations, seed: seed)
        loadedBytes = [Int](repeating: 0, count: scale.conversations)
        sequences = .allocate(capacity: scale.conversations)
        for place in 0..<scale.conversations { (sequences + place).initialize(to: Atomic(0)) }
    }

    deinit {
        sequences.deinitialize(count: scale.conversations)
        sequences.deallocate()
    }

    /// What one writer did.
    private struct Share: Sendable {
        var latencies = Latencies()
        var messages = 0
        var userBytes = 0
        var logBytes = 0
        var failure: EngineError?
    }

    /// Loads messages; not measured. The last of them is durable, and with it all others.
    func load(_ messages: Int) throws {
        let writer = try engine.makeWriter()
        try forEachLoaded(messages) { message, isLast in
            if isLast { try writer.commit(message) } else { try writer.load(message) }
        }
    }

    /// Knows of the messages that another process loaded.
    func noteLoaded(_ messages: Int) { forEachLoaded(messages) { _, _ in } }

    private func forEachLoaded(
        _ messages: Int, _ body: (_ message: ChatMessage, _ isLast: Bool) throws -> Void
    ) rethrows {
        var generator = SplitMix64(seed: seed &+ 10)
        for place in 0..<messages {
            let message = next(&generator)
            try body(message, place == messages - 1)
            let bytes = ChatRowBuilder.userBytes(message) - Self.headRowBytes
            loadedBytes[message.conversation.number] += bytes
            liveBytes.add(bytes, ordering: .relaxed)
            if place >= messages - 4_096 {
                known.append(
                    Known(
                        conversation: message.conversation.number, user: message.user,
                        cid: message.cid))
            }
        }
    }

    /// Performs one workload.
    func perform(_ workload: Workload) throws -> Measurement {
        switch workload {
        case .chatAppend1, .chatAppend8, .chatAppend64: try append(workload)
        case .chatPage: try page()
        case .chatDedup: try dedup()
        case .chatMixed: try mixed(workload, pagesPerSecond: scale.rates.pages)
        case .checkpoint: try checkpoint()
        case .chatPageCold: try coldPage()
        case .chatMixedCold: try coldMixed()
        case .chatExpiry: try scanDropped()
        case .chatExpirySpace: try awaitSpace()
        default: preconditionFailure("\(workload.rawValue) is no workload over chat rows")
        }
    }

    /// A message that nobody sent yet; any thread.
    func next(_ generator: inout SplitMix64) -> ChatMessage {
        let conversation = zipf.next(&generator)
        let seq = sequences[conversation].add(1, ordering: .relaxed).newValue
        return ChatMessage(
            conversation: ConversationName(number: conversation), seq: seq,
            user: generator.next() % 100_000, cid: generator.next(),
            timeMs: 1_700_000_000_000 &+ seq, body: bodies.body(generator.next()))
    }

    private func append(_ workload: Workload) throws -> Measurement {
        let scheduler = ThreadScheduler()
        let lanes = (0..<workload.writers).map { scheduler.lane("writer-\($0)") }
        let shares = Mutex<[Share]>([])
        let latch = Latch(lanes.count)
        let meter = Meter(directory)
        let watch = DiskWatch(directory)
        let deadline = Meter.now() &+ UInt64(scale.appendSeconds * 1e9)
        for (place, lane) in lanes.enumerated() {
            let salt = UInt64(place) &* 1_000 &+ UInt64(workload.writers)
            lane.submit { [self] in
                let share = write(
                    SplitMix64(seed: SplitMix64.mix(seed ^ salt)), until: deadline,
                    max: scale.appendsMax / workload.writers)
                shares.withLock { $0.append(share) }
                latch.countDown()
            }
        }
        latch.wait()
        let seconds = meter.reading.seconds
        for lane in lanes { lane.stop() }
        try engine.settle()
        var total = Share()
        for share in shares.withLock({ $0 }) {
            if let failure = share.failure { throw failure }
            total.latencies.add(share.latencies)
            total.messages += share.messages
            total.userBytes += share.userBytes
            total.logBytes += share.logBytes
        }
        liveBytes.add(
            total.userBytes - total.messages * Self.headRowBytes, ordering: .relaxed)
        let peak = watch.stop()
        let reading = meter.reading
        var measurement = Measurement(
            workload, name, operations: total.messages, seconds: seconds, total.latencies,
            cpuSeconds: reading.cpuSeconds)
        measurement.addBytes(
            reading, userBytes: total.userBytes,
            logBytes: name == EngineKind.magpie.rawValue ? nil : total.logBytes,
            liveBytes: liveBytes.load(ordering: .relaxed) + Self.headRowBytes * conversationsInUse,
            diskBytes: Meter.diskBytes(directory), peakDiskBytes: peak,
            tableBytes: Meter.tableBytes(directory))
        measurement.stalls = total.latencies.stalls
        return measurement
    }

    /// A head's key and value.
    static var headRowBytes: Int { ChatRowBuilder.headKeyBytes - 1 + ChatRowBuilder.headBytes }

    private var conversationsInUse: Int {
        (0..<scale.conversations).count { sequences[$0].load(ordering: .relaxed) > 0 }
    }

    private func write(_ seed: SplitMix64, until deadline: UInt64, max: Int) -> Share {
        var share = Share()
        var generator = seed
        do {
            let writer = try engine.makeWriter()
            var last = Meter.now()
            while share.messages < max, last < deadline {
                let message = next(&generator)
                try writer.commit(message)
                let now = Meter.now()
                share.latencies.record(now &- last)
                last = now
                share.messages += 1
                share.userBytes += ChatRowBuilder.userBytes(message)
                share.logBytes += ChatRowBuilder.peerLogBytes(message)
            }
        } catch {
            share.failure = error as? EngineError ?? EngineError("\(name): \(error)")
        }
        return share
    }

    /// A twentieth of the messages comes again, so that there is something in memory.
    private func checkpoint() throws -> Measurement {
        let writer = try engine.makeWriter()
        var generator = SplitMix64(seed: seed &+ 15)
        for _ in 0..<(scale.messages / 20) { try writer.load(next(&generator)) }
        try engine.drain()
        let place = directory + "/checkpoint"
        let meter = Meter(directory)
        try engine.checkpoint(to: place)
        let reading = meter.reading
        defer { try? FileManager.default.removeItem(atPath: place) }
        let tables = Meter.tables(in: place)
        guard !tables.isEmpty else { throw EngineError("\(name): a checkpoint without tables") }
        var measurement = Measurement(
            .checkpoint, name, operations: tables.count, seconds: reading.seconds, Latencies(),
            cpuSeconds: reading.cpuSeconds)
        measurement.details["tables"] = Double(tables.count)
        measurement.details["MiB written"] = Double(reading.writtenBytes) / 0x1p20
        measurement.details["MiB linked"] =
            Double(tables.reduce(0) { $0 + $1.bytes }) / 0x1p20
        return measurement
    }
}
