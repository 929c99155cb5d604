import Platform
import Simulation
import Synchronization
import Testing

@Suite struct SchedulerTests {
    @Test("A thread lane runs jobs in order, timed ones when due, and ends with what it has")
    func threadLane() {
        let lane = ThreadScheduler().lane("test-lane")
        let seen = Mutex<[Int]>([])
        let timed = Latch(2)
        lane.submit(after: .milliseconds(20)) {
            seen.withLock { $0.append(1001) }
            timed.countDown()
        }
        lane.submit(after: .milliseconds(5)) {
            seen.withLock { $0.append(1000) }
            timed.countDown()
        }
        timed.wait()
        for number in 0..<1000 { lane.submit { seen.withLock { $0.append(number) } } }
        lane.submit(after: .seconds(1000)) { seen.withLock { $0.append(-1) } }
        lane.stop()
        lane.submit { seen.withLock { $0.append(-2) } }
        #expect(seen.withLock { $0 } == [1000, 1001] + Array(0..<1000))
    }

    @Test("Jobs of one lane never overlap whoever submits them")
    func exclusive() {
        let lane = ThreadScheduler().lane("exclusive")
        let others = (0..<4).map { ThreadScheduler().lane("from-\($0)") }
        let inside = Atomic<Int>(0)
        let overlaps = Atomic<Int>(0)
        let done = Latch(400)
        for other in others {
            other.submit {
                for _ in 0..<100 {
                    lane.submit {
                        if inside.add(1, ordering: .relaxed).newValue != 1 {
                            overlaps.add(1, ordering: .relaxed)
                        }
                        inside.subtract(1, ordering: .relaxed)
                        done.countDown()
                    }
                }
            }
        }
        done.wait()
        for other in others { other.stop() }
        lane.stop()
        #expect(overlaps.load(ordering: .relaxed) == 0)
    }

    @Test("A job may stop its own lane")
    func stopInside() {
        let lane = ThreadScheduler().lane("self")
        let done = Latch()
        lane.submit {
            lane.stop()
            done.countDown()
        }
        done.wait()
    }

    @Test("A mailbox wakes its lane, keeps order, and refuses above its limit")
    func mailbox() {
        let scheduler = SimulatedScheduler(seed: 1)
        let seen = Mutex<[Int]>([])
        let box = Mailbox<Int>(limit: 3, lane: scheduler.lane("box")) { items in
            seen.withLock { $0 += items }
        }
        #expect(box.put(1) && box.put(2) && box.put(3))
        #expect(!box.put(4))
        #expect(box.putCompletion(5))
        scheduler.runUntilIdle()
        #expect(seen.withLock { $0 } == [1, 2, 3, 5])
        #expect(scheduler.stepCount == 1)
    }

    @Test("The simulated order depends on the seed alone, each lane in its order")
    func simulatedOrder() {
        func run(_ seed: UInt64) -> [Int] {
            let scheduler = SimulatedScheduler(seed: seed)
            let seen = Mutex<[Int]>([])
            for lane in 0..<4 {
                let made = scheduler.lane("lane \(lane)")
                for job in 0..<10 {
                    made.submit { seen.withLock { $0.append(lane * 100 + job) } }
                }
            }
            scheduler.runUntilIdle()
            return seen.withLock { $0 }
        }
        #expect(run(1) == run(1))
        #expect(run(1) != run(2))
        for lane in 0..<4 {
            let own = run(3).filter { $0 / 100 == lane }
            #expect(own == own.sorted())
        }
    }

    @Test("Simulated time stops at every deadline; a killed machine runs nothing more")
    func simulatedTime() {
        let scheduler = SimulatedScheduler(seed: 1)
        let machine = scheduler.group()
        let seen = Mutex<[UInt64]>([])
        let clock = scheduler.clock
        for lane in [scheduler.lane("a"), machine.lane("b")] {
            lane.submit(after: .milliseconds(10)) {
                seen.withLock { $0.append(clock.monotonicNanoseconds()) }
                lane.submit(after: .milliseconds(5)) {
                    seen.withLock { $0.append(clock.monotonicNanoseconds()) }
                }
            }
        }
        scheduler.advance(by: .milliseconds(12))
        #expect(seen.withLock { $0 } == [10_000_000, 10_000_000])
        machine.kill()
        scheduler.advance(by: .milliseconds(12))
        #expect(seen.withLock { $0 } == [10_000_000, 10_000_000, 15_000_000])
        #expect(clock.wallMilliseconds() == 1_700_000_000_024)
        let skewed = clock.skewed(wallOffset: -1000)
        #expect(skewed.wallMilliseconds() == 1_700_000_000_024 - 1000)
    }

    @Test("The kernel's clocks go on and its random bytes differ")
    func system() {
        let clock = LinuxClock()
        let first = clock.monotonicNanoseconds()
        #expect(clock.monotonicNanoseconds() >= first)
        #expect(clock.wallMilliseconds() > 1_600_000_000_000)
        let random = SystemRandom()
        #expect(random.bytes(0).isEmpty && random.bytes(1000).count == 1000)
        #expect(random.bytes(32) != random.bytes(32))
        #expect(SimulatedRandom(seed: 4).bytes(16) == SimulatedRandom(seed: 4).bytes(16))
    }
}
