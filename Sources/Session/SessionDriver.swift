import ChatModel
package import FanOut

/// Performs a session's questions and notices on a node. The gateway and the tests share it, so
/// that the way from a ``SessionQuestion`` to a call of ``NodePort`` is written once.
package struct SessionDriver: Sendable {
    private let node: any NodePort
    private let endpoint: SessionEndpoint

    /// A driver for one socket.
    package init(node: any NodePort, endpoint: SessionEndpoint) {
        self.node = node
        self.endpoint = endpoint
    }

    /// Asks the node. `answer` is called exactly once, on a thread of the node, never inline: the
    /// gateway hops to the socket's event loop and calls ``SessionMachine/answered(_:_:at:)``.
    package func ask(
        _ question: SessionQuestion, answer: @escaping @Sendable (SessionAnswer) -> Void
    ) {
        switch question {
        case .authenticate(let proof):
            node.authenticate(proof) { answer(Self.unwrap($0, SessionAnswer.identity)) }
        case .changes(let feed, let identity):
            node.changes(since: feed, for: identity) {
                answer(Self.unwrap($0, SessionAnswer.changes))
            }
        case .feedPosition(let identity):
            node.feedPosition(for: identity) {
                answer(Self.unwrap($0, SessionAnswer.feedPosition))
            }
        case .page(let conversation, let anchor, let limit, let identity):
            node.page(conversation, anchor, limit: limit, for: identity) {
                answer(Self.unwrap($0, SessionAnswer.page))
            }
        case .search(let query, let identity):
            node.search(query, for: identity) { answer(Self.unwrap($0, SessionAnswer.results)) }
        case .submit(let change, let identity):
            node.submit(change, by: identity) { answer(Self.unwrap($0, SessionAnswer.result)) }
        case .watch(let conversations, let users):
            node.watch(endpoint, conversations: conversations, users: users) {
                answer(Self.unwrap($0, SessionAnswer.presence))
            }
        }
    }

    /// Tells the node.
    package func tell(_ notice: SessionNotice) {
        switch notice {
        case .attach(let identity): node.attach(endpoint, identity)
        case .detach(let isClean): node.detach(endpoint, isClean: isClean)
        case .refreshPresence(let isActive):
            node.refreshPresence(endpoint, isActive: isActive)
        case .typing(let conversation, let identity): node.typing(conversation, by: identity)
        case .unwatch(let conversations, let users):
            node.unwatch(endpoint, conversations: conversations, users: users)
        }
    }

    private static func unwrap<Value>(
        _ result: Result<Value, ServiceError>, _ make: (Value) -> SessionAnswer
    ) -> SessionAnswer {
        switch result {
        case .success(let value): make(value)
        case .failure(let error): .failure(error)
        }
    }
}
