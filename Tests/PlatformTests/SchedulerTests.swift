import Platform
import Simulation
import Synchronization
import Testing

@Suite struct SchedulerTests {
    /// A lane of its own thread, or one that shares threads.
    private static func lane(_ scheduler: ThreadScheduler, _ name: String, isHot: Bool) -> any Lane
    {
        isHot ? scheduler.hotLane(name) : scheduler.lane(name)
    }

    @Test(
        "A thread lane runs jobs in order, timed ones when due, and ends with what it has",
        arguments: [false, true])
    func threadLane(isHot: Bool) {
        let lane = Self.lane(ThreadScheduler(), "test-lane", isHot: isHot)
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

    @Test("Jobs of one lane never overlap whoever submits them", arguments: [false, true])
    func exclusive(isHot: Bool) {
        let scheduler = ThreadScheduler()
        let lane = Self.lane(scheduler, "exclusive", isHot: isHot)
        let others = (0..<4).map { Self.lane(scheduler, "from-\($0)", isHot: isHot) }
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

    @Test("A job may stop its own lane", arguments: [false, true])
    func stopInside(isHot: Bool) {
        let lane = Self.lane(ThreadScheduler(), "self", isHot: isHot)
        let done = Latch()
        lane.submit {
            lane.stop()
            done.countDown()
        }
        done.wait()
    }

    @Test("What is handed over runs, whatever else the lanes do", arguments: 0..<4)
    func handOver(round: Int) {
        let scheduler = ThreadScheduler()
        let lanes = (0..<4).map { scheduler.hotLane("hot-\($0)") }
        let done = Latch(4000)
        // Each chain wanders over the lanes; every step has a neighbour that just runs.
        @Sendable func step(_ left: Int, _ place: Int) {
            done.countDown()
            if left == 0 { return }
            let next = (place + 1 + left % 3) % lanes.count
            if left % 5 == 0 { lanes[place].submit {} }
            lanes[next].handOver { step(left - 1, next) }
            if left % 7 == 0 { lanes[(next + 1) % lanes.count].handOver {} }
        }
        for chain in 0..<4 { lanes[chain].submit { step(999, chain) } }
        done.wait()
        for lane in lanes { lane.stop() }
        let late = Latch()
        lanes[0].submit { late.countDown() }
        #expect(!late.wait(.milliseconds(1)))
    }

    @Test("A job that hands over and then waits for the outcome gets it")
    func handOverAndWait() {
        let scheduler = ThreadScheduler()
        let lanes = (0..<2).map { scheduler.hotLane("hot-\($0)") }
        let done = Latch(100)
        for _ in 0..<100 {
            lanes[0].submit {
                let answered = Latch()
                lanes[1].handOver { answered.countDown() }
                answered.wait()
                done.countDown()
            }
        }
        done.wait()
        for lane in lanes { lane.stop() }
    }

    @Test("What comes for a lane while its job hands over waits for no other lane's job")
    func handOverAndMore() {
        let scheduler = ThreadScheduler()
        let lanes = (0..<3).map { scheduler.hotLane("hot-\($0)") }
        let gate = Latch()
        let second = Latch()
        lanes[0].submit {
            lanes[1].handOver { gate.wait() }
            lanes[0].submit { second.countDown() }
        }
        second.wait()
        gate.countDown()
        for lane in lanes { lane.stop() }
    }

    @Test("A job that hands over and then stops the other lane finds it done")
    func handOverAndStop() {
        let scheduler = ThreadScheduler()
        let (first, second) = (scheduler.hotLane("first"), scheduler.hotLane("second"))
        let seen = Mutex(0)
        let done = Latch()
        first.submit {
            second.handOver { seen.withLock { $0 += 1 } }
            second.stop()
            seen.withLock { $0 += 10 }
            done.countDown()
        }
        done.wait()
        first.stop()
        #expect(seen.withLock { $0 } == 11)
    }

    @Test("A hot lane that blocks holds up no other")
    func blockedLane() {
        let scheduler = ThreadScheduler()
        let lanes = (0..<3).map { scheduler.hotLane("hot-\($0)") }
        let gates = (0..<2).map { _ in Latch() }
        for (lane, gate) in zip(lanes, gates) { lane.submit { gate.wait() } }
        let passed = Latch()
        lanes[2].submit { passed.countDown() }
        passed.wait()
        for gate in gates { gate.countDown() }
        for lane in lanes { lane.stop() }
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
