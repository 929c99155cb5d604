import Bytes
import RaftCore
import RecordLog
import Synchronization

/// The half of the replicator that lives on the log lane: it turns jobs into records, appends and
/// syncs them, and knows what every group's state is *in the order of the log*, which is what the
/// head of a segment must restate.
// Confined: `open` uses it before the first job, then only jobs on the log lane do, one by one.
final class LogWriter: @unchecked Sendable {
    /// Every group's state as of the last record appended, in the order of the groups.
    private var states: [GroupState]
    private var log: SegmentLog?
    /// How the log stood after the last job; for others to see.
    private let seen = Mutex((space: LogSpace(), isOutOfSpace: false))

    init(states: [GroupState]) {
        self.states = states
    }

    /// Takes the states that recovery knows so far: it opens a segment midway.
    func restate(_ states: [GroupState]) {
        self.states = states
    }

    /// Takes the log.
    func attach(_ log: SegmentLog) {
        self.log = log
        note(isOutOfSpace: false)
    }

    /// What the log takes on the disk, and whether a job waits for room. Any thread.
    var space: (space: LogSpace, isOutOfSpace: Bool) { seen.withLock { $0 } }

    private func note(isOutOfSpace: Bool) {
        let space = log?.space ?? LogSpace()
        seen.withLock { $0 = (space, isOutOfSpace) }
    }

    /// Reads records again, from any thread.
    var reader: LogReader? { log?.reader }

    /// Closes the log's files.
    func close() {
        log?.close()
        log = nil
    }

    /// The entries that a record holds.
    private struct Span {
        let group: Int
        let first: LogIndex
        let last: LogIndex
        let isCopy: Bool
    }

    /// The payload of the record that opens a segment.
    func segmentHeader() -> [UInt8] {
        #if PlantedBugs
            if PlantedBug.forgetReleasedVote.isOn {
                var forgetful = states
                for place in forgetful.indices { forgetful[place].hardState.vote = nil }
                return RaftLogFormat.encode(forgetful)
            }
        #endif
        return RaftLogFormat.encode(states)
    }

    /// Performs a job: one append, one sync, then releases what the job made superfluous. A failure
    /// that can be waited out leaves everything as it was, and the same job may be tried again.
    func perform(_ job: LogJob) -> LogCompletion {
        var completion = LogCompletion()
        completion.isMark = job.isMark
        do {
            try write(job, &completion)
        } catch {
            completion = LogCompletion()
            completion.failure = error
        }
        note(isOutOfSpace: completion.failure?.isWaitedOut ?? false)
        return completion
    }

    private func write(_ job: LogJob, _ completion: inout LogCompletion) throws(LogError) {
        guard let log else { throw .dead }
        // First: the job's own sync may let segments go that an earlier one released.
        if job.isErasing { log.noteErasure(endsSegment: job.endsSegment) }
        for base in job.bases {
            states[base.group].baseIndex = base.index
            states[base.group].baseTerm = base.term
        }
        var records: [LogRecord] = []
        // Which run of entries a record holds; nil for the others.
        var spans: [Span?] = []
        for write in job.writes {
            encode(write, &records, &spans)
            if let ticket = write.ticket { completion.tickets.append((write.group, ticket)) }
        }
        if !records.isEmpty {
            let positions = try log.append(records)
            try log.sync()
            for (position, span) in zip(positions, spans) {
                guard let span else { continue }
                completion.placements.append(
                    LogCompletion.Placement(
                        group: span.group, first: span.first, last: span.last,
                        position: position, isCopy: span.isCopy))
            }
            completion.segment = positions.last?.segment
        }
        // Takes effect with the next write, when what was copied is durable.
        if let segment = job.releaseBefore { log.release(before: segment) }
        if job.isMark {
            try log.mark()
            completion.segment = log.end.segment
        }
    }

    private func encode(
        _ write: LogJob.GroupWrite, _ records: inout [LogRecord],
        _ spans: inout [Span?]
    ) {
        let group = states[write.group].group
        let replica = states[write.group].replica
        if let hardState = write.hardState {
            states[write.group].hardState.advance(to: hardState)
            records.append(
                LogRecord(
                    type: RaftLogFormat.hardStateType,
                    payload: RaftLogFormat.encode(hardState, group: group, replica: replica)))
            spans.append(nil)
        }
        if let base = write.reset {
            states[write.group].baseIndex = base.index
            states[write.group].baseTerm = base.term
            records.append(
                LogRecord(
                    type: RaftLogFormat.resetType,
                    payload: RaftLogFormat.encode(base, group: group, replica: replica)))
            spans.append(nil)
        }
        let isCopy = write.ticket == nil
        let type = isCopy ? RaftLogFormat.copiesType : RaftLogFormat.entriesType
        var next = write.entries.first?.index ?? 0
        for payload in RaftLogFormat.encode(write.entries, group: group, replica: replica) {
            records.append(LogRecord(type: type, payload: payload.bytes))
            let last = next + LogIndex(payload.count) - 1
            spans.append(Span(group: write.group, first: next, last: last, isCopy: isCopy))
            next += LogIndex(payload.count)
        }
    }
}
