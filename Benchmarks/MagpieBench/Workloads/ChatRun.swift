import Bytes
import Platform
import Synchronization

/// Chat workloads on one store: messages are loaded, appended by writers, read as pages.
// `loadedBytes` changes between the workloads only; writers share atomics alone.
final class ChatRun<Engine: StorageEngine>: @unchecked Sendable {
    private let engine: Engine
    private let name: String
    private let directory: String
    private let scale: Scale
    private let seed: UInt64
    private let bodies: MessageBodies
    private let zipf: ZipfNumbers
    /// The last seq of each conversation.
    private let sequences: UnsafeMutablePointer<Atomic<UInt64>>
    /// Bytes of entries and dedup rows so far.
    private var liveBytes = 0

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
        var failure: EngineError?
    }

    /// Loads the messages that are there before the first row; not measured.
    func load() throws {
        let writer = try engine.makeWriter()
        var generator = SplitMix64(seed: seed &+ 10)
        for _ in 0..<scale.messages {
            let message = next(&generator)
            try writer.load(message)
            liveBytes += Self.lastingBytes(message)
        }
        try engine.drain()
        try engine.settle()
    }

    /// Performs one workload.
    func perform(_ workload: Workload) throws -> Measurement {
        workload == .chatPage ? try page() : try append(workload)
    }

    private func next(_ generator: inout SplitMix64) -> ChatMessage {
        let conversation = zipf.next(&generator)
        let seq = sequences[conversation].add(1, ordering: .relaxed).newValue
        return ChatMessage(
            conversation: ConversationName(number: conversation), seq: seq,
            user: generator.next() % 100_000, cid: generator.next(),
            timeMs: 1_700_000_000_000 &+ seq, body: bodies.body(generator.next()))
    }

    /// What a message adds for good: the head is overwritten by the next one.
    private static func lastingBytes(_ message: ChatMessage) -> Int {
        ChatRowBuilder.userBytes(message) - headRowBytes
    }

    private func append(_ workload: Workload) throws -> Measurement {
        let scheduler = ThreadScheduler()
        let lanes = (0..<workload.writers).map { scheduler.lane("writer-\($0)") }
        let shares = Mutex<[Share]>([])
        let latch = Latch(lanes.count)
        let meter = Meter(directory)
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
        }
        liveBytes += total.userBytes - total.messages * Self.headRowBytes
        return Measurement(
            workload: workload, operations: total.messages, seconds: seconds, total.latencies,
            meter,
            name, userBytes: total.userBytes,
            liveBytes: liveBytes + Self.headRowBytes * conversationsInUse, directory: directory)
    }

    /// A head's key and value.
    private static var headRowBytes: Int {
        ChatRowBuilder.headKeyBytes - 1 + ChatRowBuilder.headBytes
    }

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
            }
        } catch {
            share.failure = error as? EngineError ?? EngineError("\(name): \(error)")
        }
        return share
    }

    private func page() throws -> Measurement {
        var generator = SplitMix64(seed: seed &+ 11)
        var latencies = Latencies()
        let meter = Meter(directory)
        var last = Meter.now()
        var wrong = 0
        for _ in 0..<scale.pages {
            let conversation = zipf.next(&generator)
            let page = try engine.page(ConversationName(number: conversation), rows: 50)
            let there = sequences[conversation].load(ordering: .relaxed)
            if page.rows != Int(min(50, there)) { wrong += 1 }
            let now = Meter.now()
            latencies.record(now &- last)
            last = now
        }
        let seconds = meter.reading.seconds
        guard wrong == 0 else { throw EngineError("\(name): \(wrong) pages are not whole") }
        return Measurement(
            workload: .chatPage, operations: scale.pages, seconds: seconds, latencies, meter, name)
    }
}
