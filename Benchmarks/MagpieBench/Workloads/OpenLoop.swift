import Glibc
import Platform
import Synchronization

/// Requests that arrive at a fixed rate, whether the store keeps up or not.
///
/// A closed loop asks less while the store is slow, so its percentiles hide the wait of everybody
/// who would have asked meanwhile. Here each request has its time, and its latency counts from that
/// time on, however late a thread gets to it.
struct OpenLoop: Sendable {
    /// One kind of request.
    struct Stream: Sendable {
        let name: String
        /// Operations a second, of all threads.
        let rate: Double
        let threads: Int
        /// Operations that come at the same moment: a thread cannot sleep for microseconds.
        var burst = 1
        /// Called on each thread, which then calls what it gives once a burst.
        let makeWorker: @Sendable (_ thread: Int) throws -> () throws -> Void
    }

    /// What became of a stream.
    struct Outcome: Sendable {
        var latencies = Latencies()
        var done = 0
        var offered = 0
        var failure: EngineError?

        /// Operations that were done of those that came.
        var share: Double { offered > 0 ? Double(done) / Double(offered) : 1 }
    }

    let streams: [Stream]
    let seconds: Double

    /// Runs all streams side by side; the outcomes in their order. What has not begun when twice
    /// the time has passed is given up.
    func run() throws -> [Outcome] {
        let background = OpenLoopRun(self)
        return try background.wait()
    }
}

/// Streams under way.
// Outcomes are behind a mutex; the rest is immutable.
final class OpenLoopRun: Sendable {
    private let loop: OpenLoop
    private let outcomes: Mutex<[OpenLoop.Outcome]>
    private let isStopped = Atomic<Bool>(false)
    private let latch: Latch
    private let lanes: [any Lane]

    /// Starts all threads.
    init(_ loop: OpenLoop) {
        self.loop = loop
        outcomes = Mutex(
            [OpenLoop.Outcome](repeating: OpenLoop.Outcome(), count: loop.streams.count))
        let scheduler = ThreadScheduler()
        lanes = loop.streams.flatMap { stream in
            (0..<stream.threads).map { scheduler.lane("\(stream.name)-\($0)") }
        }
        latch = Latch(lanes.count)
        // Threads get ready meanwhile.
        let start = Meter.now() &+ 10_000_000
        var lane = 0
        for (place, stream) in loop.streams.enumerated() {
            for thread in 0..<stream.threads {
                lanes[lane].submit { [self] in
                    let outcome = perform(stream, thread, start: start)
                    outcomes.withLock { Self.add(outcome, to: &$0[place]) }
                    latch.countDown()
                }
                lane += 1
            }
        }
    }

    /// Lets nothing more begin.
    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Returns when all threads have ended; throws what one of them failed with.
    func wait() throws -> [OpenLoop.Outcome] {
        latch.wait()
        for lane in lanes { lane.stop() }
        let all = outcomes.withLock { $0 }
        if let failure = all.compactMap(\.failure).first { throw failure }
        return all
    }

    private static func add(_ one: OpenLoop.Outcome, to all: inout OpenLoop.Outcome) {
        all.latencies.add(one.latencies)
        all.done += one.done
        all.offered += one.offered
        all.failure = all.failure ?? one.failure
    }

    private func perform(
        _ stream: OpenLoop.Stream, _ thread: Int, start: UInt64
    ) -> OpenLoop.Outcome {
        var outcome = OpenLoop.Outcome()
        let interval = Double(stream.burst) / stream.rate * 1e9
        let end = start &+ UInt64(loop.seconds * 1e9)
        let last = start &+ UInt64(loop.seconds * 2e9)
        do {
            let work = try stream.makeWorker(thread)
            for number in 0... {
                let place = number * stream.threads + thread
                let intended = start &+ UInt64(Double(place) * interval)
                if intended >= end || isStopped.load(ordering: .relaxed) { break }
                outcome.offered += stream.burst
                if Meter.now() >= last { continue }
                Self.sleep(until: intended)
                try work()
                outcome.latencies.record(Meter.now() &- intended)
                outcome.done += stream.burst
            }
        } catch {
            outcome.failure = error as? EngineError ?? EngineError("\(stream.name): \(error)")
        }
        return outcome
    }

    /// Sleeps until a reading of ``Meter/now()``.
    static func sleep(until moment: UInt64) {
        var time = timespec(
            tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        while Meter.now() < moment {
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil)
        }
    }
}

/// The kernel wakes sleepers up to 50 us late so that it can wake several at once; threads made
/// after ``remove()`` are woken when they asked for it.
enum TimerSlack {
    static func remove() {
        guard let file = fopen("/proc/self/timerslack_ns", "w") else { return }
        fputs("1", file)
        fclose(file)
    }
}
