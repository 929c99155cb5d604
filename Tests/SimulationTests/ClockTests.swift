import Simulation
import Testing

@Suite struct MachineClockTests {
    @Test("A machine's clock drifts, jumps and is corrected; its monotonic reading never goes back")
    func drift() {
        let base = SimulatedClock()
        let clock = MachineClock(base: base, wallOffset: 5_000)
        #expect(clock.wallMilliseconds() == base.wallMilliseconds() + 5_000)
        clock.setDrift(partsPerMillion: -1_000)
        base.advance(nanoseconds: 10_000_000_000)
        #expect(clock.monotonicNanoseconds() == 9_990_000_000)
        clock.setDrift(partsPerMillion: 1_000)
        base.advance(nanoseconds: 10_000_000_000)
        #expect(clock.monotonicNanoseconds() == 20_000_000_000)
        clock.jump(milliseconds: -60_000)
        #expect(clock.wallMilliseconds() == base.wallMilliseconds() - 55_000)
        clock.correct()
        #expect(clock.wallMilliseconds() == base.wallMilliseconds())
    }
}
