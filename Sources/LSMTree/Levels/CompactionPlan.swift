import SortedTable

/// What a compaction is to do. Inputs are named by file id; the runner finds the open tables.
struct CompactionPlan: Sendable, Equatable {
    enum Work: Sendable, Equatable {
        /// Merge the inputs into new tables of the output level.
        case merge
        /// Put the single input into the output level as it is.
        case move
        /// Drop the inputs unread: nothing in them can be seen any more.
        case drop
    }

    /// Why it was picked; for statistics and tests.
    enum Reason: Sendable, Equatable {
        case expired, covered, levelZero, size, requested, tombstones, elision, count
    }

    var keyspace: Int
    var work: Work
    var reason: Reason
    var inputLevel: Int
    var outputLevel: Int
    /// Tables of the input level; in level 0 newest first.
    var inputs: [TableMetadata]
    /// Tables of the output level that take part.
    var outputs: [TableMetadata]
    /// Outputs are cut near this size.
    var tableBytes: Int

    /// True for one that level 0 does not wait for.
    var isDeep: Bool { inputLevel > 0 }

    /// True when `other`, a compaction of level 0, can begin and end while this one is under way:
    /// they share no table, and neither puts tables where the other's lie.
    func stands(beside other: CompactionPlan) -> Bool {
        if keyspace != other.keyspace || other.outputLevel < inputLevel { return true }
        guard let own = KeySpan(inputs + outputs), let span = KeySpan(other.inputs + other.outputs)
        else { return true }
        return !own.overlaps(span)
    }
}

/// A wish that a range reach the last level.
struct CompactionRequest: Sendable, Equatable {
    var keyspace: Int
    var lower: [UInt8]
    var upper: [UInt8]?
    /// Tables that only hold later rows are left alone.
    var sequence: SequenceNumber
}
