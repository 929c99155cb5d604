import Bytes
import Platform
package import RaftCore
package import RecordLog

// What the replicator asks of the log lanes: turns, release, reading again.
extension Replicator {
    /// Notes that the tree holds entries for good (a cut is installed): the log below them goes,
    /// segment by segment, with the next turns of the log; what a peer that lags still needs stays
    /// for as long as it holds back few segments.
    ///
    /// - Parameter erased: groups in whose entries something was erased. These entries go when
    ///   ``ReplicatorOptions/erasureTicksMax`` is over, whoever needs them, and the files that may
    ///   hold them are wiped when they are no part of the log any more.
    package func release(
        applied points: [(group: GroupID, index: LogIndex)], erased: Set<GroupID> = []
    ) {
        if !erased.isEmpty { isErasing = true }
        for point in points {
            guard let position = positions[point.group] else { continue }
            groups[position].releasable = max(groups[position].releasable, point.index)
            if erased.contains(point.group) {
                groups[position].erasures.append(Erasure(through: point.index, tick: ticks))
            }
            compact(position)
        }
    }

    /// Lets go of what peers have caught up with, and of what is held back too far.
    func releaseWhatPeersHave() {
        for position in groups.indices
        where groups[position].releasable > groups[position].replica.log.baseIndex {
            compact(position)
        }
    }

    private func compact(_ position: Int) {
        let before = groups[position].replica.log.baseIndex
        var end = groups[position].releasable
        if options.hasPeers {
            end = min(end, max(before, groups[position].replica.retentionFloor))
            // A peer that is gone for long must keep the log neither from shrinking nor from
            // forgetting. Only what is overdue is forgotten: a member that fetches a snapshot
            // finds the log behind it for as long as an erasure may wait, however many follow.
            if isFarBack(extents.run(position, holding: end + 1)?.segment) {
                end = groups[position].releasable
            } else if let erased = overdueErasure(position) {
                end = max(end, erased)
            }
        }
        if end > before { groups[position].replica.compact(through: end) }
        let base = groups[position].replica.log.baseIndex
        forgetErasures(position)
        guard base > before else { return }
        extents.release(position, through: base)
        isReleaseDue = true
        if !movedBases.contains(position) { movedBases.append(position) }
    }

    /// The last entry that must not stay in the log for anybody any longer.
    private func overdueErasure(_ position: Int) -> LogIndex? {
        groups[position].erasures.last { ticks - $0.tick >= options.erasureTicksMax }?.through
    }

    /// Drops erasures whose entries have left a group's log.
    func forgetErasures(_ position: Int) {
        let base = groups[position].replica.log.baseIndex
        guard let first = groups[position].erasures.first, first.through <= base else { return }
        groups[position].erasures.removeAll { $0.through <= base }
        // What was written or copied since they were noted is to be wiped too; and a segment that
        // would take days to fill must not keep what is in it.
        isErasing = true
        endsSegment = true
    }

    /// True while something that was erased may be copied forward with live entries.
    private var hasErasedEntries: Bool { groups.contains { !$0.erasures.isEmpty } }

    private func isFarBack(_ segment: UInt64?) -> Bool {
        guard let segment else { return false }
        return segment &+ options.pinnedSegmentsMax < extents.newestSegment
    }

    /// Gathers what is to be written and gives it to the log lane, if there is anything.
    func startJob() {
        var job = LogJob()
        if isReleaseDue { addRelease(to: &job) }
        var bytes = 0
        var asked = 0
        for position in dirty {
            let room = options.turnBytesMax - bytes
            if room <= 0 { break }
            asked += 1
            guard let write = groups[position].replica.takeWrite(bytesMax: room) else { continue }
            bytes += write.entries.reduce(0) { $0 + $1.cost }
            job.writes.append(
                LogJob.GroupWrite(
                    group: position, hardState: write.hardState, reset: write.reset,
                    entries: write.entries, ticket: write.ticket))
        }
        // Who got nothing this time is first the next time.
        if asked < dirty.count { dirty = Array(dirty[asked...] + dirty[..<asked]) }
        if !job.writes.isEmpty || job.releaseBefore != nil {
            isUnmarked = true
            quietTicks = 0
        } else if isUnmarked, quietTicks >= options.quietTicks {
            job.isMark = true
            isUnmarked = false
            quietTicks = 0
        } else if isErasing {
            // The mark that follows ends the segment if nothing else does.
            isUnmarked = true
            quietTicks = 0
        } else {
            return
        }
        job.isErasing = isErasing || hasErasedEntries
        job.endsSegment = endsSegment
        if endsSegment { isSegmentEnding = true }
        isErasing = false
        endsSegment = false
        for position in movedBases {
            let log = groups[position].replica.log
            job.bases.append((position, log.baseIndex, log.baseTerm))
        }
        movedBases.removeAll(keepingCapacity: true)
        isJobUnderWay = true
        let (writer, lane, complete, whole) = (writer, lane, complete, job)
        let perform: @Sendable () -> Void = { Self.perform(whole, writer, lane, complete) }
        if BriefWork.fits(bytes) { lane.handOver(perform) } else { lane.submit(perform) }
    }

    /// How long a full disk is waited for before the next try.
    private static let spaceRetry: Duration = .seconds(1)

    /// On the log lane: performs a job, as often as it takes for the disk to have room. Nothing is
    /// promised meanwhile, and no other turn begins.
    private static func perform(
        _ job: LogJob, _ writer: LogWriter, _ lane: any Lane,
        _ complete: @escaping @Sendable (LogCompletion) -> Void
    ) {
        let completion = writer.perform(job)
        guard completion.failure?.isWaitedOut ?? false else { return complete(completion) }
        lane.submit(after: spaceRetry) { perform(job, writer, lane, complete) }
    }

    /// What the log takes on the disk, and whether it waits for room. Any thread.
    package var logSpace: (space: LogSpace, isOutOfSpace: Bool) { writer.space }

    /// Adds to a job what lets old segments go: groups that pin segments far back have their live
    /// entries copied to the log's end first.
    private func addRelease(to job: inout LogJob) {
        isReleaseDue = false
        var oldest = extents.newestSegment
        for position in groups.indices {
            guard let segment = extents.oldestSegment(position) else { continue }
            if isFarBack(segment), let entries = liveEntries(of: position) {
                job.writes.append(
                    LogJob.GroupWrite(
                        group: position, hardState: nil, entries: entries, ticket: nil))
            } else {
                oldest = min(oldest, segment)
            }
        }
        if oldest > releasedBefore {
            job.releaseBefore = oldest
            releasedBefore = oldest
        } else {
            job.writes.removeAll()
        }
    }

    /// All entries of a group that are on disk and not released, when they are in memory and few
    /// enough to be copied.
    ///
    /// Nothing is under way when this is asked: what is on disk is all that was written, so the
    /// copies repeat the end of the group's log and cut nothing off.
    private func liveEntries(of position: Int) -> [Entry]? {
        let replica = groups[position].replica
        let first = replica.log.baseIndex + 1
        guard replica.log.cachedFirst <= first, first <= replica.durableIndex else { return nil }
        var entries: [Entry] = []
        var bytes = 0
        for index in first...replica.durableIndex {
            let entry = replica.log.entry(at: index)
            bytes += entry.cost
            if bytes > options.copyBytesMax { return nil }
            entries.append(entry)
        }
        return entries
    }

    // MARK: Reading again

    /// Has entries read from the log for a peer that lags: one record's worth at a time.
    func startReading(_ read: LogRead, of position: Int) {
        let complete = complete
        guard let run = extents.run(position, holding: read.first), let reader = writer.reader
        else {
            // It is not in the log any more, or not yet: the replica asks again, or offers a
            // snapshot.
            readLane.submit { complete(Self.reading(position, read, [])) }
            return
        }
        let end = min(run.last, read.last)
        readLane.submit {
            do throws(LogError) {
                let record = try reader.read(run.position)
                let entries = try Self.entries(of: record, at: run.position, read.first...end)
                complete(Self.reading(position, read, entries))
            } catch {
                if case .released = error {
                    complete(Self.reading(position, read, []))
                    return
                }
                var completion = Self.reading(position, read, [])
                completion.failure = error
                complete(completion)
            }
        }
    }

    private static func reading(
        _ position: Int, _ read: LogRead, _ entries: [Entry]
    ) -> LogCompletion {
        var completion = LogCompletion()
        completion.reading = LogCompletion.Reading(group: position, read: read, entries: entries)
        return completion
    }

    private static func entries(
        of record: LogRecord, at position: LogPosition, _ range: ClosedRange<LogIndex>
    ) throws(LogError) -> [Entry] {
        let decoded: RaftLogFormat.Record
        do {
            decoded = try record.payload.withUnsafeBytes { raw throws(DecodeError) in
                try RaftLogFormat.decode(type: record.type, raw)
            }
        } catch {
            throw .rejected(position, "\(error)")
        }
        switch decoded {
        case .entries(_, _, let all), .copies(_, _, let all):
            return all.filter { range.contains($0.index) }
        case .hardState, .states, .reset: throw .rejected(position, "no entries")
        }
    }
}
