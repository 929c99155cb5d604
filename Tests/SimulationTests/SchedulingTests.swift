import Bytes
import Platform
import Simulation
import Synchronization
import Testing

@Suite struct SchedulingTests {

    @Test("A paused machine runs nothing, and then everything that came due")
    func pause() {
        let scheduler = SimulatedScheduler(seed: 1)
        let machine = scheduler.group()
        let seen = Seen()
        let lane = machine.lane("work")
        lane.submit(after: .milliseconds(5)) { seen.add("timed") }
        machine.pause()
        lane.submit { seen.add("submitted") }
        scheduler.advance(by: .milliseconds(50))
        #expect(seen.all.isEmpty && machine.isPaused)
        machine.resume()
        scheduler.runUntilIdle()
        #expect(seen.all == ["submitted", "timed"])
    }

    @Test("A lane that waits for the disk runs its jobs later, in order, and not during a stall")
    func disk() {
        let scheduler = SimulatedScheduler(seed: 2)
        let machine = scheduler.group()
        machine.waitsForDisk(
            lanes: ["log"],
            LaneDelay(minimumNanoseconds: 1_000_000, meanNanoseconds: 2_000_000))
        let seen = Seen()
        let clock = scheduler.clock
        let log = machine.lane("log")
        let other = machine.lane("apply")
        for number in 0..<3 { log.submit { seen.add("log \(number)") } }
        other.submit { seen.add("apply") }
        scheduler.runUntilIdle()
        #expect(seen.all == ["apply"])
        scheduler.advance(by: .seconds(1))
        #expect(seen.all == ["apply", "log 0", "log 1", "log 2"])
        let until = clock.monotonicNanoseconds() + 5_000_000_000
        machine.stallDisk(until: until)
        log.submit { seen.add("late at \(clock.monotonicNanoseconds() >= until)") }
        scheduler.advance(by: .seconds(4))
        #expect(seen.all.count == 4)
        scheduler.advance(by: .seconds(2))
        #expect(seen.all.last == "late at true")
    }

    @Test("Timers come in the order of their deadlines, whoever submitted them")
    func timers() {
        let scheduler = SimulatedScheduler(seed: 3)
        let seen = Seen()
        let lane = scheduler.lane("timers")
        for number in [7, 3, 9, 1, 5, 8, 2, 6, 4, 0] {
            lane.submit(after: .milliseconds(number)) { seen.add("\(number)") }
        }
        scheduler.advance(by: .milliseconds(4))
        #expect(seen.all == ["0", "1", "2", "3", "4"])
        scheduler.advance(by: .milliseconds(5))
        #expect(seen.all.count == 10 && seen.all == seen.all.sorted())
    }

    @Test("Exponential delays have the mean that was asked for")
    func exponential() {
        var generator = SplitMix64(seed: 4)
        let count: UInt64 = 20_000
        let sum = (0..<count).reduce(UInt64(0)) { sum, _ in
            sum + LaneDelay.exponential(mean: 1_000_000, &generator)
        }
        let mean = sum / count
        #expect(mean > 950_000 && mean < 1_050_000, "seed 4: mean \(mean)")
    }
}

/// What jobs put down, in order.
final class Seen: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.withLock { $0 } }
}
