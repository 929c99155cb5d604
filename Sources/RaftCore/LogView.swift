/// What a replica knows of its log: the term of every entry since the base, and the entries
/// themselves for a tail only.
///
///     base        cachedFirst                  last
///      |  terms only   |   terms and payloads    |
///      +---------------+-------------------------+
///
/// Terms cost one run for each change of leader. Entries below ``cachedFirst`` are on disk; who
/// needs one asks the driver for it (``LogRead``). Entries at or below the base are gone.
package struct LogView: Sendable {
    /// Entries from `first` up to the next run have `term`.
    struct TermRun: Equatable, Sendable {
        let first: LogIndex
        let term: Term
    }

    /// A configuration and the entry that brought it.
    package struct Change: Equatable, Sendable {
        /// Where it stands.
        package let index: LogIndex
        /// What counts from there on.
        package let configuration: Configuration
    }

    /// The last entry that is no longer there.
    package private(set) var baseIndex: LogIndex
    /// Its term.
    package private(set) var baseTerm: Term
    /// The last entry; the base when there is none.
    package private(set) var lastIndex: LogIndex
    /// Bytes of cached entries, by ``Entry/cost``.
    private(set) var cachedBytes = 0
    /// The configurations above the base, ascending; they stay when their payloads go.
    package private(set) var changes: [Change] = []
    private var runs: [TermRun] = []
    /// Cached entries; those before `head` are released and wait to be squeezed out.
    private var cache: [Entry] = []
    private var head = 0

    /// An empty log after a base.
    package init(baseIndex: LogIndex = 0, baseTerm: Term = 0) {
        self.baseIndex = baseIndex
        self.baseTerm = baseTerm
        lastIndex = baseIndex
    }

    /// The term of the last entry.
    package var lastTerm: Term { runs.last?.term ?? baseTerm }

    /// The first entry whose payload is in memory; one past the last when none is.
    package var cachedFirst: LogIndex { lastIndex + 1 - LogIndex(cache.count - head) }

    /// The term at `index`; nil below the base and past the end. O(log of leader changes).
    package func term(at index: LogIndex) -> Term? {
        if index == baseIndex { return baseTerm }
        guard index > baseIndex, index <= lastIndex else { return nil }
        return runs[run(holding: index)].term
    }

    /// A cached entry.
    ///
    /// - Precondition: `cachedFirst` ≤ `index` ≤ `lastIndex`.
    package func entry(at index: LogIndex) -> Entry {
        precondition(index >= cachedFirst && index <= lastIndex, "the entry is not in memory")
        return cache[head + Int(index - cachedFirst)]
    }

    /// Cached entries from `first` on up to `last`, as many as fit into `bytesMax` by cost but at
    /// least one.
    func entries(from first: LogIndex, through last: LogIndex, bytesMax: Int) -> [Entry] {
        guard first <= last else { return [] }
        precondition(first >= cachedFirst && last <= lastIndex, "the entries are not in memory")
        let start = head + Int(first - cachedFirst)
        let limit = start + Int(last - first) + 1
        var end = start
        var bytes = 0
        while end < limit {
            bytes += cache[end].cost
            if bytes > bytesMax && end > start { break }
            end += 1
        }
        return Array(cache[start..<end])
    }

    /// Adds the next entry; its payload is kept unless `keepsPayload` is false (then no payload
    /// before it may be kept either: the cache is a tail).
    ///
    /// - Precondition: the index is the next one, the term does not go back, a configuration can
    ///   be decoded.
    package mutating func append(_ entry: Entry, keepsPayload: Bool = true) {
        precondition(entry.index == lastIndex + 1, "entries follow one another")
        precondition(entry.term >= lastTerm, "terms do not go back along the log")
        if runs.isEmpty || entry.term != lastTerm {
            runs.append(TermRun(first: entry.index, term: entry.term))
        }
        lastIndex = entry.index
        if entry.kind == .configuration {
            guard let configuration = Configuration.decode(entry.payload) else {
                preconditionFailure("a configuration entry holds a configuration")
            }
            changes.append(Change(index: entry.index, configuration: configuration))
        }
        if keepsPayload {
            cache.append(entry)
            cachedBytes += entry.cost
        } else {
            precondition(cache.count == head, "the cache must stay a tail")
        }
    }

    /// Removes every entry from `first` on.
    ///
    /// - Precondition: `first` lies above the base.
    package mutating func truncate(from first: LogIndex) {
        precondition(first > baseIndex, "the base cannot be cut")
        guard first <= lastIndex else { return }
        while let last = changes.last, last.index >= first { changes.removeLast() }
        while cache.count > head, lastIndex >= first {
            cachedBytes -= cache.removeLast().cost
            lastIndex -= 1
        }
        lastIndex = first - 1
        while let run = runs.last, run.first >= first { runs.removeLast() }
    }

    /// Lets go of the payloads up to `last`.
    package mutating func releasePayloads(through last: LogIndex) {
        while head < cache.count, cache[head].index <= last {
            cachedBytes -= cache[head].cost
            let entry = cache[head]
            cache[head] = Entry(index: entry.index, term: entry.term, kind: entry.kind, payload: [])
            head += 1
        }
        if head == cache.count {
            cache.removeAll(keepingCapacity: cache.capacity <= 256)
            head = 0
        } else if head > 64, head * 2 > cache.count {
            cache.removeFirst(head)
            head = 0
        }
    }

    /// Moves the base up to `index`: entries up to it are gone from the disk.
    ///
    /// - Precondition: the log holds `index`.
    package mutating func compact(through index: LogIndex) {
        guard index > baseIndex else { return }
        precondition(index <= lastIndex, "only what is there can be compacted")
        let holding = run(holding: index)
        let term = runs[holding].term
        releasePayloads(through: index)
        changes.removeAll { $0.index <= index }
        runs.removeFirst(holding)
        if index == lastIndex {
            runs.removeAll()
        } else if runs.count > 1, runs[1].first == index + 1 {
            runs.removeFirst()
        } else {
            runs[0] = TermRun(first: index + 1, term: term)
        }
        baseIndex = index
        baseTerm = term
    }

    /// Forgets everything: the log goes on after `base`.
    mutating func reset(to base: LogBase) {
        self = LogView(baseIndex: base.index, baseTerm: base.term)
    }

    /// The newest configuration at or below `index`; nil when it is that of the base.
    func change(at index: LogIndex) -> Change? {
        changes.last { $0.index <= index }
    }

    /// The highest index at or below `index` whose term is at most `term`, never below the base:
    /// where two logs may still agree.
    func lastIndex(atOrBelow index: LogIndex, withTermAtMost term: Term) -> LogIndex {
        var candidate = min(index, lastIndex)
        while candidate > baseIndex {
            let holding = runs[run(holding: candidate)]
            if holding.term <= term { return candidate }
            candidate = holding.first - 1
        }
        return candidate
    }

    /// The last run that starts at or before `index`.
    private func run(holding index: LogIndex) -> Int {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].first <= index { low = middle + 1 } else { high = middle }
        }
        precondition(low > 0, "an index above the base lies in a run")
        return low - 1
    }
}
