import RaftCore
import Replication

/// Which entries of a group a log holds, found by reading its records in order as recovery does.
struct LogCoverage {
    /// Entries of one term that follow each other.
    struct TermRun: Equatable {
        let term: Term
        var first: LogIndex
        var last: LogIndex
    }

    /// Entries that a record left out.
    struct Hole: Equatable {
        let first: LogIndex
        let last: LogIndex
        /// The record that speaks of later ones.
        let segment: String
        let offset: UInt64
    }

    /// The replica that the last record speaks of.
    private(set) var replica: ReplicaID = 0
    private(set) var hardState = HardState()
    /// The highest base that a segment's header or a reset states: the tables have had everything
    /// up to here.
    private(set) var base = LogBase(index: 0, term: 0)
    /// The voters of the last header, for people.
    private(set) var voters: [ReplicaID] = []
    /// The entries at the end of the log that follow each other without a hole, by term.
    private(set) var runs: [TermRun] = []
    /// In the order of the log. Holes before copies of the whole tail are normal.
    private(set) var holes: [Hole] = []
    /// Entries that a later record replaced or repeated.
    private(set) var replaced = 0

    /// The first and last entry of ``runs``.
    var entries: ClosedRange<LogIndex>? {
        guard let first = runs.first?.first, let last = runs.last?.last else { return nil }
        return first...last
    }

    /// Takes a run of entries; `replaces` is false for copies.
    mutating func take(
        _ replica: ReplicaID, _ entries: [Entry], replaces: Bool, segment: String, offset: UInt64
    ) {
        begin(replica)
        guard let first = entries.first?.index else { return }
        if let known = self.entries {
            if first > known.upperBound + 1 {
                holes.append(
                    Hole(
                        first: known.upperBound + 1, last: first - 1, segment: segment,
                        offset: offset))
                runs = []
            } else if first < known.lowerBound {
                replaced += Int(clamping: known.count)
                runs = []
            }
        }
        for entry in entries {
            if let known = self.entries, known.contains(entry.index) {
                replaced += 1
                if !replaces, term(at: entry.index) == entry.term { continue }
                truncate(from: entry.index)
            }
            append(entry)
        }
    }

    /// Takes a term and vote.
    mutating func take(_ replica: ReplicaID, _ state: HardState) {
        begin(replica)
        hardState = state
    }

    /// Takes a log that begins anew.
    mutating func reset(_ replica: ReplicaID, _ base: LogBase) {
        begin(replica)
        runs = []
        self.base = base
    }

    /// Takes what a segment's header says.
    mutating func take(_ state: GroupState) {
        begin(state.replica)
        hardState = state.hardState
        voters = state.voters
        if state.baseIndex >= base.index {
            base = LogBase(index: state.baseIndex, term: state.baseTerm)
        }
    }

    /// Entries above `applied` that the log should hold and does not: those before its first one.
    /// Nil when its entries join on to `applied`, or end at or before it.
    func missing(above applied: LogIndex) -> ClosedRange<LogIndex>? {
        guard let entries, entries.upperBound > applied, entries.lowerBound > applied + 1 else {
            return nil
        }
        return (applied + 1)...(entries.lowerBound - 1)
    }

    private mutating func begin(_ replica: ReplicaID) {
        if self.replica != replica { self = LogCoverage() }
        self.replica = replica
    }

    private func term(at index: LogIndex) -> Term? {
        runs.last { $0.first <= index && index <= $0.last }?.term
    }

    private mutating func truncate(from index: LogIndex) {
        while let last = runs.last, last.last >= index {
            runs.removeLast()
            if last.first < index {
                runs.append(TermRun(term: last.term, first: last.first, last: index - 1))
            }
        }
    }

    private mutating func append(_ entry: Entry) {
        if let last = runs.indices.last, runs[last].term == entry.term {
            runs[last].last = entry.index
        } else {
            runs.append(TermRun(term: entry.term, first: entry.index, last: entry.index))
        }
    }
}
