import NIOCore

/// Keeps a number of messages under way and notes when each is acknowledged: a closed loop of
/// *slots*, each of which sends its next message when its last one stands. The same for every
/// engine; slots are dealt to the connections in turn.
///
/// A message is numbered, and is repeated under its number when its connection breaks, when it
/// is refused, and when nothing was heard of it for a while.
///
/// All stored variables are touched on `loop` only; the constants are not changed.
final class LoadGenerator: @unchecked Sendable {
    /// How it behaves.
    struct Options {
        var connections: Int
        /// After which silence a message is sent again.
        var resendAfter: Duration
    }

    /// What a window of time saw.
    struct Window: Sendable {
        var acknowledged = 0
        var latencies = Latencies()
        /// Refusals and breaks of connections, and one of the reasons.
        var errors = 0
        var reason = ""
    }

    /// How long nothing was acknowledged, in nanoseconds.
    struct Gaps: Sendable {
        /// The longest wait of any one slot.
        var slot: UInt64 = 0
        /// The longest time in which no slot at all was served.
        var all: UInt64 = 0
    }

    private struct Message {
        let slot: Int
        let firstSent: UInt64
        var lastSent: UInt64
    }

    private struct Line {
        var link: Link?
        var isOpen = false
        var attempt = 0
    }

    private let cluster: any ReplicaCluster
    private let loop: any EventLoop
    private let options: Options
    private var lines: [Line]
    private var messages: [UInt64: Message] = [:]
    private var isIssuing = false
    private var isClosed = false
    private var window: Window?
    private var resending: RepeatedTask?
    private var waitingForLines: EventLoopPromise<Void>?
    private var waitingForAnswers: EventLoopPromise<Void>?
    private var gaps: Gaps?
    private var lastOfSlot: [UInt64] = []
    private var lastOfAll: UInt64 = 0
    /// The number of the last message that was made.
    private(set) var lastNumber: UInt64

    /// `firstNumber` is that of the first message: numbers are not used twice in a cluster's life.
    init(
        _ cluster: any ReplicaCluster, on loop: any EventLoop, options: Options,
        after lastNumber: UInt64
    ) {
        self.cluster = cluster
        self.loop = loop
        self.options = options
        self.lastNumber = lastNumber
        lines = [Line](repeating: Line(), count: options.connections)
    }

    // MARK: What a run asks for

    /// Connects; done when every connection may send.
    func open() -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        waitingForLines = promise
        for index in lines.indices { dial(index) }
        resending = loop.scheduleRepeatedTask(
            initialDelay: .milliseconds(50), delay: .milliseconds(50)
        ) { _ in self.resendSilent() }
        return promise.futureResult
    }

    /// Starts sending.
    func start(inFlight: Int) {
        isIssuing = true
        lastOfSlot = [UInt64](repeating: Meter.now(), count: inFlight)
        for slot in 0..<inFlight { issue(slot) }
    }

    /// A window begins.
    func beginWindow() { window = Window() }

    /// The window ends.
    func endWindow() -> Window {
        defer { window = nil }
        return window ?? Window()
    }

    /// Watches for gaps from now on.
    func watchGaps() {
        let now = Meter.now()
        gaps = Gaps()
        lastOfAll = now
    }

    /// The longest gaps since they are watched, those that last included.
    func readGaps() -> Gaps {
        let now = Meter.now()
        var result = gaps ?? Gaps()
        for last in lastOfSlot { result.slot = max(result.slot, now &- last) }
        result.all = max(result.all, now &- lastOfAll)
        gaps = nil
        return result
    }

    /// Whether every slot was served within the last half second.
    var isServing: Bool {
        let now = Meter.now()
        return lastOfSlot.allSatisfy { now &- $0 < 500_000_000 }
    }

    /// Sends nothing new; done when everything is acknowledged.
    func drain() -> EventLoopFuture<Void> {
        isIssuing = false
        let promise = loop.makePromise(of: Void.self)
        waitingForAnswers = promise
        answerIfDrained()
        return promise.futureResult
    }

    /// Messages that nothing was heard of.
    var unanswered: Set<UInt64> { Set(messages.keys) }

    /// Ends all connections.
    func close() {
        isClosed = true
        resending?.cancel()
        for line in lines { line.link?.close() }
        waitingForLines?.fail(ProtocolError("closed"))
        waitingForAnswers?.fail(ProtocolError("closed"))
        waitingForLines = nil
        waitingForAnswers = nil
    }

    // MARK: Messages

    private func line(of slot: Int) -> Int { slot % lines.count }

    private func issue(_ slot: Int) {
        lastNumber += 1
        let now = Meter.now()
        messages[lastNumber] = Message(slot: slot, firstSent: now, lastSent: now)
        let line = lines[line(of: slot)]
        if line.isOpen { line.link?.send(lastNumber) }
    }

    private func acknowledge(_ number: UInt64) {
        // A repeat's second answer finds nothing.
        guard let message = messages.removeValue(forKey: number) else { return }
        let now = Meter.now()
        if var longest = gaps {
            longest.slot = max(longest.slot, now &- lastOfSlot[message.slot])
            longest.all = max(longest.all, now &- lastOfAll)
            gaps = longest
        }
        lastOfSlot[message.slot] = now
        lastOfAll = now
        if window != nil {
            window?.acknowledged += 1
            window?.latencies.record(now &- message.firstSent)
        }
        if isIssuing { issue(message.slot) } else { answerIfDrained() }
    }

    private func answerIfDrained() {
        guard messages.isEmpty, let promise = waitingForAnswers else { return }
        waitingForAnswers = nil
        promise.succeed()
    }

    private func note(_ reason: String) {
        window?.errors += 1
        window?.reason = reason
    }

    private func resend(_ number: UInt64) {
        guard let message = messages[number], !isClosed else { return }
        let line = lines[line(of: message.slot)]
        // A line that is not open sends what it owes when it opens.
        guard line.isOpen else { return }
        messages[number]?.lastSent = Meter.now()
        line.link?.send(number)
    }

    private func resendSilent() {
        let now = Meter.now()
        let limit = UInt64(options.resendAfter / .nanoseconds(1))
        let silent = messages.filter { now &- $0.value.lastSent > limit }.map(\.key)
        for number in silent.sorted() { resend(number) }
    }

    // MARK: Connections

    private func dial(_ index: Int) {
        guard !isClosed else { return }
        let attempt = lines[index].attempt
        lines[index].link = cluster.makeLink(index, attempt: attempt, on: loop) { event in
            self.heard(event, index)
        }
    }

    private func heard(_ event: LinkEvent, _ index: Int) {
        switch event {
        case .acknowledged(let number): acknowledge(number)
        case .refused(let number, let reason):
            note(reason)
            loop.assumeIsolated().scheduleTask(in: .milliseconds(20)) { self.resend(number) }
        case .opened:
            lines[index].isOpen = true
            for number in messages.filter({ line(of: $0.value.slot) == index }).keys.sorted() {
                resend(number)
            }
            if let promise = waitingForLines, lines.allSatisfy(\.isOpen) {
                waitingForLines = nil
                promise.succeed()
            }
        case .closed(let reason):
            note(reason)
            lines[index].isOpen = false
            lines[index].link = nil
            lines[index].attempt += 1
            // The first two other servers at once, then with a pause.
            let pause: TimeAmount = lines[index].attempt < 3 ? .zero : .milliseconds(50)
            loop.assumeIsolated().scheduleTask(in: pause) { self.dial(index) }
        }
    }
}
