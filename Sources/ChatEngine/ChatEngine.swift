package import ChatModel
package import LSMTree

/// The replicated state machine of one shard: the same batches over the same rows give the same
/// rows, results and events on every replica.
///
/// A step function. It has no clock and no chance of its own, and its caches never show in what it
/// answers. All replicas must run with equal ``Limits``.
package struct ChatEngine {
    /// Which shard.
    package let shard: UInt16
    /// What commands may take; the same on every replica.
    package let limits: Limits
    private var audiences: AudienceCache

    /// An engine whose group cache holds about `audienceMembersMax` members.
    package init(shard: UInt16, limits: Limits = Limits(), audienceMembersMax: Int = 1 << 18) {
        self.shard = shard
        self.limits = limits
        audiences = AudienceCache(membersMax: audienceMembersMax)
    }

    /// Applies a committed batch over the rows before it.
    ///
    /// `view` must show the rows after the shard's last batch. Refusals are results; what is thrown
    /// (a corrupt row, a command of an unknown version) stops the shard, and nothing of the batch
    /// was applied.
    package mutating func apply(_ batch: CommandBatch, view: some RowView) throws -> Applied {
        let rows = RowTransaction(over: view)
        let stampKey = KeySchema.stamp(shard: shard)
        let last = try rows.row(.meta, stampKey, NumberRow.self)?.value ?? 0
        let stampMs = max(batch.stampMs, last)
        if stampMs != last { rows.put(.meta, stampKey, NumberRow(stampMs)) }
        var applier = Applier(
            rows: rows, limits: limits, stampMs: stampMs, audiences: audiences)
        // Until the batch is through, the engine has no cache: a throw leaves nothing half told.
        audiences.removeAll()
        var results: [CommandResult] = []
        results.reserveCapacity(batch.commands.count)
        for (index, bytes) in batch.commands.enumerated() {
            results.append(try applier.apply(try Self.decode(bytes, at: index)))
        }
        audiences = applier.audiences
        return Applied(
            batch: rows.batch(), results: results, events: applier.events, stampMs: stampMs)
    }

    /// Forgets what was cached: after rows came in another way than through ``apply(_:view:)``, or
    /// when an applied batch did not reach the tree.
    package mutating func forgetCaches() {
        audiences.removeAll()
    }

    /// Hits and misses of the group cache so far.
    package var audienceLookups: (hits: UInt64, misses: UInt64) {
        (audiences.hits, audiences.misses)
    }

    private static func decode(_ bytes: [UInt8], at index: Int) throws -> Command {
        do {
            return try CommandCodec.decode(bytes)
        } catch {
            throw EngineError.unknownCommand(index: index, found: "\(error)")
        }
    }
}

/// What a batch came to.
package struct Applied: Sendable {
    /// All rows, to be applied at once.
    package var batch: WriteBatch
    /// One per command, in order.
    package var results: [CommandResult]
    /// In the order in which they happened; to be told once the rows are in the tree.
    package var events: [Event]
    /// The time the batch was applied under.
    package var stampMs: Milliseconds
}
