import RaftCore
import RecordLog

/// Where in the log the groups' live entries lie: it answers when a segment can go, and where an
/// entry can be read again for a peer that lags.
///
/// For each group a list of runs, ascending by index:
///
///     group 3:  (segment 7 at 4096: 101…180) (segment 8 at 512: 181…230)
///     group 4:  (segment 2 at 640: 12…12)          ← idle, pins segments 2…
///
/// With peers every record is a run of its own; a node that is alone never reads entries again, so
/// there consecutive records of one segment are one run and the list stays short.
struct LogExtents {
    /// Live entries `first…last` of one group lie in the record at `position`, or begin there.
    struct Run: Equatable {
        let position: LogPosition
        var first: LogIndex
        var last: LogIndex

        var segment: UInt64 { position.segment }
    }

    private var runs: [[Run]]
    private let isExact: Bool
    /// The newest segment anything was written to.
    private(set) var newestSegment: UInt64 = 0

    /// Extents of `groups` groups, addressed by position.
    ///
    /// - Parameter isExact: keep every record apart, so that ``run(_:holding:)`` leads to it.
    init(groups: Int, isExact: Bool) {
        runs = Array(repeating: [], count: groups)
        self.isExact = isExact
    }

    /// Notes that entries `first…last` were written as a record at `position`. With `replaces` the
    /// group holds nothing after them any more; without, what followed them stays where it is.
    mutating func note(
        _ group: Int, first: LogIndex, last: LogIndex, at position: LogPosition,
        replaces: Bool = true
    ) {
        note(segment: position.segment)
        if !isExact, let end = runs[group].indices.last,
            runs[group][end].segment == position.segment, runs[group][end].last + 1 == first
        {
            runs[group][end].last = last
            return
        }
        var after: [Run] = []
        while let run = runs[group].last, run.last >= first {
            runs[group].removeLast()
            if run.last > last, !replaces {
                let start = max(run.first, last + 1)
                after.append(Run(position: run.position, first: start, last: run.last))
            }
            if run.first < first {
                runs[group].append(
                    Run(position: run.position, first: run.first, last: first - 1))
            }
        }
        runs[group].append(Run(position: position, first: first, last: last))
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
    func oldestSegment(_ group: Int) -> UInt64? {
        // Copies made for the log's sake stand in later segments than what follows them.
        runs[group].lazy.map(\.segment).min()
    }

    /// The run that holds an entry; nil when no live record does.
    func run(_ group: Int, holding index: LogIndex) -> Run? {
        var low = 0
        var high = runs[group].count
        while low < high {
            let middle = (low + high) / 2
            if runs[group][middle].last < index { low = middle + 1 } else { high = middle }
        }
        guard low < runs[group].count, runs[group][low].first <= index else { return nil }
        return runs[group][low]
    }
}
