import RaftCore

/// Which segments hold which groups' live entries: it answers when a segment can go.
///
/// For each group a list of runs, ascending by index:
///
///     group 3:  (segment 7: 101…180) (segment 8: 181…230)
///     group 4:  (segment 2: 12…12)          ← idle, pins segments 2…
///
/// The number of runs of a group is about the number of segments it is spread over: small.
struct LogExtents {
    /// Live entries `first…last` of one group lie in `segment`.
    struct Run: Equatable {
        let segment: UInt64
        var first: LogIndex
        var last: LogIndex
    }

    private var runs: [[Run]]
    /// The newest segment anything was written to.
    private(set) var newestSegment: UInt64 = 0

    /// Extents of `groups` groups, addressed by position.
    init(groups: Int) {
        runs = Array(repeating: [], count: groups)
    }

    /// Notes that entries `first…last` were written into `segment`. With `replaces` the group
    /// holds nothing after them any more; without, what followed them stays where it is.
    mutating func note(
        _ group: Int, first: LogIndex, last: LogIndex, segment: UInt64, replaces: Bool = true
    ) {
        note(segment: segment)
        if let end = runs[group].indices.last, runs[group][end].segment == segment,
            runs[group][end].last + 1 == first
        {
            runs[group][end].last = last
            return
        }
        var after: [Run] = []
        while let run = runs[group].last, run.last >= first {
            runs[group].removeLast()
            if run.last > last, !replaces {
                let start = max(run.first, last + 1)
                after.append(Run(segment: run.segment, first: start, last: run.last))
            }
            if run.first < first {
                runs[group].append(Run(segment: run.segment, first: run.first, last: first - 1))
            }
        }
        runs[group].append(Run(segment: segment, first: first, last: last))
        runs[group].append(contentsOf: after.reversed())
    }

    /// Notes that something was written into `segment`.
    mutating func note(segment: UInt64) {
        newestSegment = max(newestSegment, segment)
    }

    /// Notes that the group's entries up to `index` are no longer needed.
    mutating func release(_ group: Int, through index: LogIndex) {
        let dead = runs[group].prefix { $0.last <= index }.count
        runs[group].removeFirst(dead)
        if let run = runs[group].first, run.first <= index { runs[group][0].first = index + 1 }
    }

    /// The oldest segment with a live entry of the group; nil when it has none.
    func oldestSegment(_ group: Int) -> UInt64? { runs[group].map(\.segment).min() }
}
