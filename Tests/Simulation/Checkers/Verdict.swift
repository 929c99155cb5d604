import Synchronization

/// A broken invariant of the design's list.
package struct Violation: Sendable, Codable, CustomStringConvertible {
    /// Its number there, or what else is promised.
    package let invariant: Invariant
    /// What was seen and what was expected.
    package let text: String

    /// A violation.
    package init(invariant: Invariant, text: String) {
        self.invariant = invariant
        self.text = text
    }

    /// One line.
    package var description: String { "\(invariant.rawValue): \(text)" }
}

/// What must always hold, as far as the simulator sees it.
package enum Invariant: String, Sendable, Codable, CaseIterable {
    case consensus = "I1 one leader per term, equal logs"
    case durability = "I2 what is acknowledged is durable and stays"
    case order = "I3 one entry per seq, dense, in real-time order"
    case once = "I4 one seq per client message id"
    case honesty = "I5 only what was sent is seen, nothing that was refused"
    case streams = "I6 streams without holes and repeats, reads never go back"
    case marks = "I7 marks never decrease, read ≤ delivered ≤ head"
    case search = "I9 a search shows what may be read now, and finds what stands"
    case recovery = "I12 equal positions have equal rows"
    case ownership = "I13 one owner per slot"
    case membership = "I14 nobody without membership reads anything"
    case traps = "I14 no input traps the process"
    case bounds = "I15 bounded memory"
    case liveness = "liveness: a majority finishes everything"
    case start = "a node starts on what a crash left"
    case replay = "one seed, one course of events"
}

/// Collects the first violation of a run.
package final class Verdict: Sendable {
    private let first = Mutex<Violation?>(nil)

    /// Nothing broken so far.
    package init() {}

    /// Something does not hold; the first one counts.
    package func fail(_ invariant: Invariant, _ text: @autoclosure () -> String) {
        if violation != nil { return }
        let found = Violation(invariant: invariant, text: text())
        first.withLock { if $0 == nil { $0 = found } }
    }

    /// What was broken first.
    package var violation: Violation? { first.withLock { $0 } }
}
