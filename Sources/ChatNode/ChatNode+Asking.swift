import ChatEngine
import ChatModel
import LSMTree
import Platform
import Replication
import Session
import ShardStore

/// The three ways off the caller's thread: to a read lane, to a hash lane, to the log.
extension ChatNode {
    typealias Queries = ChatQueries<Snapshot>

    /// What a full queue says.
    static let overloaded = ServiceError(
        .unavailable, "the server is overloaded", retryAfterMs: NodeLimits.retryMs)

    /// How new the rows must be that a question is answered from.
    enum Freshness: Sendable {
        /// As this node has them.
        case any
        /// Everything that was acknowledged anywhere before, in these shards.
        case of([GroupID])
        /// The same, in all shards.
        case all
    }

    /// The shard of an identifier, for ``Freshness/of(_:)``.
    func fresh<Kind>(_ ids: Identifier<Kind>...) -> Freshness { fresh(ids) }

    /// The shards of identifiers.
    func fresh<Kind>(_ ids: [Identifier<Kind>]) -> Freshness {
        .of(Set(ids.map { shards.shard(of: $0.slot) }).sorted())
    }

    /// Answers with what `body` finds in rows that are new enough, on a read lane.
    func read<Value>(
        _ freshness: Freshness, _ answer: @escaping Answer<Value>,
        _ body: @escaping @Sendable (Queries) throws -> Value
    ) {
        read(freshness, answer, { try body($0) }, then: {})
    }

    /// As ``read(_:_:_:)``; when `body` gives nil, `next` runs and sees to the answer.
    func read<Value>(
        _ freshness: Freshness, _ answer: @escaping Answer<Value>,
        _ body: @escaping @Sendable (Queries) throws -> Value?,
        then next: @escaping @Sendable () -> Void
    ) {
        confirm(freshness) { [self] error in
            if let error { return refuse(answer, error) }
            let isQueued = readers.run { [self] in
                switch attempt(body) {
                case .success(let value?): answer(.success(value))
                case .success(nil): next()
                case .failure(let error): answer(.failure(error))
                }
            }
            if !isQueued { refuse(answer, Self.overloaded) }
        }
    }

    /// Calls `next` once the rows here are as new as asked for, or with why that can't be had.
    func confirm(_ freshness: Freshness, _ next: @escaping @Sendable (ServiceError?) -> Void) {
        let wanted: [GroupID]
        switch freshness {
        case .any: return next(nil)
        case .of(let some): wanted = some
        case .all: wanted = shards.all
        }
        // Alone this node is all there is.
        if cluster.isAlone { return next(nil) }
        if !consensusBox.put(.read(ReadBarrier(shards: wanted, done: next))) {
            next(Self.overloaded)
        }
    }

    /// Runs `body` over the rows as they are now, on the caller's lane.
    func attempt<Value>(_ body: (Queries) throws -> Value) -> Result<Value, ServiceError> {
        do {
            let queries = Queries(
                store.tree.snapshot(), limits: configuration.limits, tails: tails)
            return .success(try body(queries))
        } catch let error as ServiceError {
            return .failure(error)
        } catch {
            let incident = report(error)
            return .failure(ServiceError(.internal, "see the server's log, incident \(incident)"))
        }
    }

    /// Runs `job` on a hash lane.
    func hash<Value>(_ answer: @escaping Answer<Value>, _ job: @escaping @Sendable () -> Void) {
        if !hashers.run(job) { refuse(answer, Self.overloaded) }
    }

    /// Answers a refusal from another thread than the caller's.
    func refuse<Value>(_ answer: @escaping Answer<Value>, _ error: ServiceError) {
        later { answer(.failure(error)) }
    }

    /// Runs a short `job` off the caller's thread.
    func later(_ job: @escaping @Sendable () -> Void) {
        answerLane.submit(job)
    }

    /// Proposes a command; a refusal goes to `answer`, anything else to `next`, on the apply lane.
    func propose<Value>(
        _ command: Command, orRefuse answer: @escaping Answer<Value>,
        _ next: @escaping @Sendable (CommandResult) -> Void
    ) {
        propose(command) { result in
            switch result {
            case .failure(let error), .success(.refused(let error)): answer(.failure(error))
            case .success(let result): next(result)
            }
        }
    }

    /// Proposes a command; the answer comes on the apply lane once it is applied, or from another
    /// lane when it could not be proposed.
    func propose(_ command: Command, answer: @escaping Answer<CommandResult>) {
        var shard = shards.shard(of: command.slot)
        if case .setMap = command { shard = ShardMap.meta }
        if let refusal = storageRefusal(command) { return refuse(answer, refusal) }
        let proposal = Proposal(
            shard: shard, command: CommandCodec.encode(command),
            answer: answer)
        if !enqueue(proposal) { refuse(answer, Self.overloaded) }
    }
}
