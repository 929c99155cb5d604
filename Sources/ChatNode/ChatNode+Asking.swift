import ChatEngine
import ChatModel
import LSMTree
import Platform
import Session
import ShardStore

/// The three ways off the caller's thread: to a read lane, to a hash lane, to the log.
extension ChatNode {
    typealias Queries = ChatQueries<Snapshot>

    /// What a full queue says.
    static let overloaded = ServiceError(
        .unavailable, "the server is overloaded", retryAfterMs: NodeLimits.retryMs)

    /// Answers with what `body` finds in the rows as they are when a read lane gets to it.
    func read<Value>(
        _ answer: @escaping Answer<Value>, _ body: @escaping @Sendable (Queries) throws -> Value
    ) {
        read(answer, { try body($0) }, then: {})
    }

    /// As ``read(_:_:)``; when `body` gives nil, `next` runs and sees to the answer.
    func read<Value>(
        _ answer: @escaping Answer<Value>,
        _ body: @escaping @Sendable (Queries) throws -> Value?,
        then next: @escaping @Sendable () -> Void
    ) {
        let isQueued = readers.run { [self] in
            switch attempt(body) {
            case .success(let value?): answer(.success(value))
            case .success(nil): next()
            case .failure(let error): answer(.failure(error))
            }
        }
        if !isQueued { refuse(answer, Self.overloaded) }
    }

    /// Runs `body` over the rows as they are now, on the caller's lane.
    func attempt<Value>(_ body: (Queries) throws -> Value) -> Result<Value, ServiceError> {
        do {
            let queries = Queries(store.tree.snapshot(), limits: configuration.limits)
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
        let proposal = Proposal(
            shard: ShardMap.shard(of: command.slot), command: CommandCodec.encode(command),
            answer: answer)
        if !enqueue(proposal) { refuse(answer, Self.overloaded) }
    }
}
