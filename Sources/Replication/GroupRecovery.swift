import Bytes
import RaftCore
import RecordLog

/// Puts every group's state together from the records of the log, read in order.
///
/// Memory: terms of all entries (a few runs), payloads only above what the tree has — what the
/// owner is about to apply again.
struct GroupRecovery {
    /// What is known of one group so far.
    struct Group {
        let start: GroupStart
        var hardState = HardState()
        /// The log above what is applied.
        var log: LogView
        /// True while the records seen do not join on to the base: their beginning was released,
        /// and a run of copies is to come.
        var isGapped = false
        /// True while the records seen belong to a log that the tables' snapshot replaced.
        var isStale = false
    }

    var groups: [Group]
    var extents: LogExtents
    private let positions: [GroupID: Int]

    init(_ starts: [GroupStart], positions: [GroupID: Int], isExact: Bool) {
        self.positions = positions
        extents = LogExtents(groups: starts.count, isExact: isExact)
        groups = starts.map { start in
            Group(
                start: start,
                log: LogView(baseIndex: start.appliedIndex, baseTerm: start.appliedTerm))
        }
    }

    /// Takes the next record.
    mutating func take(
        _ position: LogPosition, type: UInt8, _ payload: UnsafeRawBufferPointer
    ) throws(LogError) {
        let record: RaftLogFormat.Record
        do {
            record = try RaftLogFormat.decode(type: type, payload)
        } catch {
            throw .rejected(position, "\(error)")
        }
        extents.note(segment: position.segment)
        switch record {
        case .entries(let group, let replica, let entries):
            guard let place = place(of: group, replica) else { return }
            try take(entries[...], replaces: true, at: place, position)
        case .copies(let group, let replica, let entries):
            guard let place = place(of: group, replica) else { return }
            try take(entries[...], replaces: false, at: place, position)
        case .reset(let group, let replica, let base):
            guard let place = place(of: group, replica) else { return }
            try reset(place, base, position)
        case .hardState(let group, let replica, let state):
            guard let place = place(of: group, replica) else { return }
            groups[place].hardState.advance(to: state)
        case .states(let states):
            for state in states {
                guard let place = place(of: state.group, state.replica) else { continue }
                groups[place].hardState.advance(to: state.hardState)
            }
        }
    }

    /// What is known of every group so far.
    var states: [GroupState] { groups.map(\.state) }

    /// The state of every group at the end; throws when entries are missing.
    func finish(_ directory: String) throws(LogError) -> [Group] {
        for group in groups where group.isGapped {
            throw .rot(
                file: directory, offset: 0,
                expected: "entries of group \(group.start.group) from \(group.log.baseIndex + 1)",
                found: "only later ones")
        }
        return groups.map { group in
            var whole = group
            // The tree may be ahead of the log: it applied what others had on disk. The term is
            // known, a vote in it never left.
            if whole.hardState.term < whole.log.lastTerm {
                whole.hardState = HardState(term: whole.log.lastTerm, vote: nil)
            }
            #if PlantedBugs
                if PlantedBug.forgetVote.isOn { whole.hardState.vote = nil }
            #endif
            return whole
        }
    }

    /// The place of a group, when it is here under this replica id.
    private func place(of group: GroupID, _ replica: ReplicaID) -> Int? {
        guard let place = positions[group], groups[place].start.replica == replica else {
            return nil
        }
        return place
    }

    /// The log of a group began anew: what it held before speaks of nothing any more.
    private mutating func reset(
        _ place: Int, _ base: LogBase, _ position: LogPosition
    ) throws(LogError) {
        guard base.index <= groups[place].log.baseIndex else {
            throw .rejected(
                position,
                "group \(groups[place].start.group) was reset to \(base.index), but its tables "
                    + "end at \(groups[place].log.baseIndex)")
        }
        forgetEntries(of: place)
        groups[place].isStale = false
    }

    private mutating func forgetEntries(of place: Int) {
        groups[place].log.truncate(from: groups[place].log.baseIndex + 1)
        groups[place].isGapped = false
        extents.release(place, through: LogIndex.max)
    }

    private mutating func take(
        _ all: ArraySlice<Entry>, replaces: Bool, at place: Int, _ position: LogPosition
    ) throws(LogError) {
        let base = groups[place].log.baseIndex
        // What the tree has is decided; only what follows matters.
        let applied = all.prefix { $0.index <= base }.count
        let entries = all.dropFirst(applied)
        // A log that holds another entry where the base is, or older ones behind it, was replaced
        // by a snapshot; the power went before the reset was written. What follows on them is no
        // more the group's than they are.
        if let known = all.prefix(applied).last, known.index == base {
            groups[place].isStale = known.term != groups[place].log.baseTerm
        } else if let live = entries.first, live.term < groups[place].log.baseTerm {
            groups[place].isStale = true
        }
        if groups[place].isStale { return forgetEntries(of: place) }
        let first = max(all.first?.index ?? 0, base + 1)
        if first > groups[place].log.lastIndex + 1 {
            groups[place].log.truncate(from: base + 1)
            groups[place].isGapped = true
            extents.release(place, through: LogIndex.max)
            return
        }
        if groups[place].isGapped {
            guard first == base + 1 else { return }
            groups[place].isGapped = false
        }
        var fresh = entries
        if replaces {
            groups[place].log.truncate(from: first)
        } else {
            let log = groups[place].log
            fresh = entries.drop { log.term(at: $0.index) == $0.term }
            if let conflict = fresh.first { groups[place].log.truncate(from: conflict.index) }
        }
        for entry in fresh {
            guard entry.term >= groups[place].log.lastTerm else {
                throw .rejected(
                    position,
                    "entry \(entry.index) of group \(groups[place].start.group) has "
                        + "term \(entry.term) after term \(groups[place].log.lastTerm)")
            }
            groups[place].log.append(entry)
        }
        if let last = entries.last {
            extents.note(
                place, first: first, last: last.index, at: position, replaces: replaces)
        }
    }
}

extension GroupRecovery.Group {
    /// The group's state as segments restate it.
    var state: GroupState {
        GroupState(
            group: start.group, replica: start.replica, hardState: hardState,
            baseIndex: log.baseIndex, baseTerm: min(log.baseTerm, hardState.term),
            voters: start.configuration.voters)
    }
}
