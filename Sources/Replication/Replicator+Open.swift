import Bytes
package import Platform
import RaftCore
package import RecordLog

extension Replicator {
    /// Recovers the log in `directory` and starts the groups from it. Blocks on the disk; call it
    /// on any thread that may block.
    ///
    /// What recovery acted on is durable when this returns (see `SegmentLog`). Groups of one stand
    /// for election at once: after the first turns of the log they lead, and every entry above
    /// their applied index comes out of ``drain()`` as committed.
    ///
    /// - Parameters:
    ///   - groups: the groups on this node; records of others, and of earlier placements of these,
    ///     are skipped.
    ///   - lane: where the log works from now on; only the replicator's jobs touch the log.
    ///   - fileLane: makes and recycles segment files in the background; nil: `lane` does when it
    ///     needs one.
    ///   - readLane: reads entries again for peers that lag; nil: `lane` does.
    ///   - complete: called on `lane` or `readLane` with what a turn came to; must hand it to
    ///     ``completed(_:)``
    ///     on the owner's lane.
    /// - Throws: rot, a disk error, or records that make no sense. The node must not start.
    package static func open(
        _ fileSystem: any FileSystem, _ directory: String, groups starts: [GroupStart],
        options: ReplicatorOptions = ReplicatorOptions(), lane: any Lane,
        fileLane: (any Lane)? = nil, readLane: (any Lane)? = nil,
        complete: @escaping @Sendable (LogCompletion) -> Void
    ) throws(LogError) -> Replicator {
        precondition(
            options.raft.entryBytesMax <= 8 << 20, "an entry must fit into a record of 16 MiB")
        let starts = starts.sorted { $0.group < $1.group }
        var positions: [GroupID: Int] = [:]
        for (position, start) in starts.enumerated() {
            precondition(positions[start.group] == nil, "a group is here once")
            positions[start.group] = position
        }
        var recovery = GroupRecovery(
            starts, positions: positions, isExact: options.hasPeers)
        let writer = LogWriter(states: recovery.groups.map(\.state))
        let log = try SegmentLog.recover(
            fileSystem: fileSystem, directory: directory, options: options.log, lane: fileLane,
            segmentHeader: { writer.segmentHeader() },
            visit: { (position, type, payload) throws(LogError) in
                try recovery.take(position, type: type, payload)
                if type == RaftLogFormat.hardStateType || type == RecordFormat.segmentHeaderType {
                    writer.restate(recovery.states)
                }
            })
        let recovered = try recovery.finish(directory)
        recovery.extents.note(segment: log.end.segment)
        writer.restate(recovered.map(\.state))
        writer.attach(log)
        let replicas = recovered.map { group in
            (
                id: group.start.group,
                replica: Replica(
                    id: group.start.replica,
                    configuration: group.start.configuration,
                    options: options.raft, hardState: group.hardState, log: group.log,
                    applied: group.start.appliedIndex,
                    seed: SplitMix64.mix(options.seed ^ UInt64(group.start.group)))
            )
        }
        return Replicator(
            options: options, replicas: replicas, positions: positions,
            extents: recovery.extents, writer: writer, lane: lane, readLane: readLane ?? lane,
            complete: complete)
    }
}
