import Platform
import SortedTable
import Synchronization

/// What a round of the scrub saw.
package struct ScrubRound: Equatable, Sendable {
    /// When it began, in wall milliseconds.
    package var startedMs: UInt64 = 0
    /// When it ended.
    package var finishedMs: UInt64 = 0
    /// Tables that were checked to the end.
    package var tables = 0
    /// Bytes of theirs.
    package var bytes: UInt64 = 0
    /// Tables in which the scrub found damage.
    package var findings = 0
    /// Tables that the disk did not let it read.
    package var unread = 0
}

/// How far the scrub is.
package struct ScrubStatistics: Equatable, Sendable {
    /// Rounds finished since the tree was opened.
    package var rounds: UInt64 = 0
    /// The last of them.
    package var lastRound: ScrubRound?
    /// The round under way; nil between rounds.
    package var round: ScrubRound?
    /// Bytes checked since the tree was opened.
    package var bytes: UInt64 = 0
    /// Times that it gave way to a flush or a compaction.
    package var yields: UInt64 = 0
}

// The scrub: every table is read again from the disk, past the cache, and checked as a whole, so
// that damage is found while other copies of the rows are still sound.
//
// It works on the compaction lane, in slices, and has the lowest priority: it gives way while a
// flush or a compaction is under way, but for ten seconds at most at a time, since a store that is
// always written to is never without work. A round takes the tables by file id, up to the newest
// that there was when it began; what compaction replaces meanwhile need not be checked, since it
// was just read and written. A restart begins a new round.
//
// The tree has no clock and plans nothing by itself: the owner calls ``Tree/scrub(nowMs:)``.
extension Tree {
    /// Has the tree check as many bytes as its rate allows for the time since the call before. To
    /// be called every second or so; returns at once. Any thread.
    ///
    /// - Parameter nowMs: the wall clock. Jumps do no harm.
    package func scrub(nowMs: UInt64) {
        if options.scrubBytesPerSecond <= 0 { return }
        let mustSubmit = state.withLock { state in
            if state.failure != nil || state.isClosed || state.isScrubPlanned { return false }
            state.isScrubPlanned = true
            return true
        }
        guard mustSubmit else { return }
        compactionLane.submit { [weak self] in self?.scrubSlice(nowMs) }
    }

    private func scrubSlice(_ nowMs: UInt64) {
        state.withLock { $0.isScrubPlanned = false }
        if isStopping { return scrubber.discard() }
        scrubber.earn(options.scrubBytesPerSecond, nowMs: nowMs)
        let first = state.withLock { $0.scrub.round == nil }
        if first, !beginRound(nowMs) { return scrubber.spendAll() }
        while scrubber.hasCredit {
            if isStopping { return scrubber.discard() }
            if !scrubber.isOverdue, givesWay() { return }
            guard scrubPiece() else { return finishRound(nowMs) }
        }
    }

    private func givesWay() -> Bool {
        state.withLock { state in
            let isBusy =
                state.isCompacting || state.mustLook || !state.view.frozen.isEmpty
            if isBusy { state.scrub.yields += 1 }
            return isBusy
        }
    }

    private func beginRound(_ nowMs: UInt64) -> Bool {
        state.withLock { state in
            if let last = state.scrub.lastRound {
                // After a clock that was set back a round comes early.
                let isRecent =
                    nowMs >= last.startedMs
                    && nowMs - last.startedMs < options.scrubIntervalMs
                if isRecent { return false }
            }
            state.scrub.round = ScrubRound(startedMs: nowMs)
            scrubber.begin(before: store.nextFileID)
            return true
        }
    }

    private func finishRound(_ nowMs: UInt64) {
        scrubber.spendAll()
        state.withLock { state in
            state.scrub.round?.finishedMs = nowMs
            state.scrub.lastRound = state.scrub.round
            state.scrub.round = nil
            state.scrub.rounds += 1
        }
    }

    /// Checks the next piece of the table under way, or of the one that comes next. False when the
    /// round has no more tables.
    private func scrubPiece() -> Bool {
        let view = state.withLock { $0.view }
        guard let table = scrubber.table(in: view) else { return false }
        do throws(TableError) {
            let bytes = try scrubber.step()
            state.withLock { state in
                state.scrub.bytes += bytes ?? 0
                state.scrub.round?.bytes += bytes ?? 0
                if bytes == nil { state.scrub.round?.tables += 1 }
            }
        } catch {
            scrubber.leaveTable()
            if case .disk = error {
                state.withLock { $0.scrub.round?.unread += 1 }
            } else {
                state.withLock { $0.scrub.round?.findings += 1 }
                table.health.condemn(error)
            }
        }
        return true
    }
}

/// Where the scrub stands.
// Sendable: only jobs of the compaction lane touch it, and `close` when that lane has ended.
final class Scrubber: @unchecked Sendable {
    /// The longest time whose bytes are made up for at once.
    private static let arrearsMsMax: UInt64 = 10_000

    private var walk: (table: TableHandle, walk: TableWalk)?
    /// The id of the table that was checked last.
    private var lastID: UInt64 = 0
    private var endID: UInt64 = 0
    private var credit = 0
    /// Credit from which on it has waited for as long as it does; see ``isOverdue``.
    private var overdueCredit = Int.max
    private var earnedMs: UInt64?

    var hasCredit: Bool { credit > 0 }

    /// It has given way for almost the longest time whose bytes are made up for.
    var isOverdue: Bool { credit > overdueCredit }

    /// Takes up the bytes that `rate` allows since the last call; the first stands for a second.
    func earn(_ rate: Int, nowMs: UInt64) {
        let since = earnedMs ?? (nowMs < 1_000 ? 0 : nowMs - 1_000)
        earnedMs = nowMs
        let elapsedMs = nowMs > since ? min(nowMs - since, Self.arrearsMsMax) : 0
        let (perSecond, milliseconds) = (Double(rate), Double(elapsedMs))
        let earned = Int(min(perSecond * milliseconds / 1_000, 1e15))
        credit = min(credit + earned, Int(min(perSecond * 10, 1e15)))
        overdueCredit = Int(min(perSecond * 9, 9e14))
    }

    /// No round is under way: what time brings is lost.
    func spendAll() { credit = min(credit, 0) }

    /// Starts over, with the tables of lower ids.
    func begin(before id: UInt64) {
        walk = nil
        lastID = 0
        endID = id
    }

    /// The table to go on with: the one under way as long as the view lists it, else the next that
    /// is not in quarantine.
    func table(in view: View) -> TableHandle? {
        var next: TableHandle?
        for levels in view.keyspaces {
            for table in levels.levels.joined() {
                if let walk, walk.table === table { return table }
                let id = table.metadata.fileID
                if id > lastID, id < endID, id < next?.metadata.fileID ?? .max,
                    !table.health.isBad
                {
                    next = table
                }
            }
        }
        walk = next.map { ($0, TableWalk($0.reader)) }
        return next
    }

    /// Checks a piece of the table; nil when there was none left.
    func step() throws(TableError) -> UInt64? {
        guard let bytes = try walk?.walk.step() else {
            leaveTable()
            return nil
        }
        credit -= Int(clamping: bytes)
        return bytes
    }

    /// Goes on with the next table from now on.
    func leaveTable() {
        lastID = walk?.table.metadata.fileID ?? lastID
        walk = nil
    }

    /// Lets go of the table under way.
    func discard() { walk = nil }
}
