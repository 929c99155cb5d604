import Glibc
import Synchronization

/// Lets any number of threads look at memory that others take away, without a lock and without a
/// count per object: epoch-based reclamation (Fraser, "Practical lock-freedom", 2004).
///
/// A reader enters, follows pointers that were published with releasing stores, and leaves; it must
/// not keep them. Whoever takes something out of sight then calls ``closeEpoch()`` and gives the
/// memory back once ``isPassed(_:)`` says that everybody who could still see it has left. A reader
/// that stays long holds back memory, never another reader.
// Sendable: the slots are atomics, the counters of a slot belong to whoever stands in it.
package final class EpochGate: @unchecked Sendable {
    /// One reader's place in the gate, from ``EpochGate/enter()`` until ``EpochGate/leave(_:)``.
    package struct Stay {
        fileprivate let slot: UnsafeMutableRawPointer

        /// Counts in the place itself, so that readers share no counter; `number` is 0 or 1.
        @inline(__always)
        package func count(_ number: Int) {
            let counter = (slot + (8 &+ number &* 8)).assumingMemoryBound(to: Atomic<UInt64>.self)
            let value = counter.pointee.load(ordering: .relaxed)
            counter.pointee.store(value &+ 1, ordering: .relaxed)
        }
    }

    /// Readers that may stand in the gate at once; more of them wait, yielding the processor.
    package static let staysMax = 64
    /// Two cache lines, since processors fetch them in pairs.
    private static let slotBytes = 128

    private let slots: UnsafeMutableRawPointer
    private let epoch = Atomic<UInt64>(1)

    /// An empty gate.
    package init() {
        let bytes = Self.staysMax * Self.slotBytes
        slots = .allocate(byteCount: bytes, alignment: Self.slotBytes)
        slots.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    }

    deinit { slots.deallocate() }

    /// Enters. Everything that is in sight from now on stays until the place is left.
    @inline(__always)
    package func enter() -> Stay {
        let now = epoch.load(ordering: .relaxed)
        // Threads have different addresses for themselves, so each mostly finds its own place free.
        let home = Int(truncatingIfNeeded: (UInt64(pthread_self()) &* 0x9E37_79B9_7F4A_7C15) &>> 58)
        let slot = slots + home &* Self.slotBytes
        let word = slot.assumingMemoryBound(to: Atomic<UInt64>.self)
        let isTaken = word.pointee.compareExchange(
            expected: 0, desired: now, ordering: .sequentiallyConsistent
        ).exchanged
        return isTaken ? Stay(slot: slot) : enterElsewhere(home)
    }

    /// Leaves.
    @inline(__always)
    package func leave(_ stay: Stay) {
        let word = stay.slot.assumingMemoryBound(to: Atomic<UInt64>.self)
        word.pointee.store(0, ordering: .releasing)
    }

    @inline(never)
    private func enterElsewhere(_ home: Int) -> Stay {
        var place = home
        while true {
            place = (place &+ 1) % Self.staysMax
            let slot = slots + place &* Self.slotBytes
            let now = epoch.load(ordering: .relaxed)
            let word = slot.assumingMemoryBound(to: Atomic<UInt64>.self)
            let isTaken = word.pointee.compareExchange(
                expected: 0, desired: now, ordering: .sequentiallyConsistent
            ).exchanged
            if isTaken { return Stay(slot: slot) }
            if place == home { sched_yield() }
        }
    }

    /// Ends the epoch in which something was taken out of sight, and says which it was.
    package func closeEpoch() -> UInt64 {
        epoch.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue
    }

    /// The oldest epoch in which somebody entered who has not left; `UInt64.max` when nobody is in.
    package func oldest() -> UInt64 {
        var oldest = UInt64.max
        for place in 0..<Self.staysMax {
            let word = (slots + place &* Self.slotBytes).assumingMemoryBound(
                to: Atomic<UInt64>.self)
            let entered = word.pointee.load(ordering: .sequentiallyConsistent)
            if entered != 0 && entered < oldest { oldest = entered }
        }
        return oldest
    }

    /// True when everybody who entered in `epoch` or before has left.
    package func isPassed(_ epoch: UInt64) -> Bool { oldest() > epoch }

    /// What all places counted under a number.
    package func total(_ number: Int) -> UInt64 {
        (0..<Self.staysMax).reduce(0) { sum, place in
            let counter = (slots + (place * Self.slotBytes + 8 + number * 8))
                .assumingMemoryBound(to: Atomic<UInt64>.self)
            return sum &+ counter.pointee.load(ordering: .relaxed)
        }
    }
}
