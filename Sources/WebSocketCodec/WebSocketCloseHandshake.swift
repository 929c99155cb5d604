/// Who has said close (RFC 6455, section 7.1): each side sends one close frame, answers the
/// other's, and then the server drops the connection first.
///
/// ```text
///            close()                    received()
///   open ──────────────▶ closeSent ──────────────────▶ done
///     └──────────────── received() ──────────────────▶ done
/// ```
package struct WebSocketCloseHandshake: Sendable {
    /// What is left to do.
    package enum Reaction: Hashable, Sendable {
        /// Send a close frame with this code, then drop the connection (server) or wait for the
        /// server to drop it (client).
        case reply(WebSocketCloseCode?)
        /// Both have spoken: drop the connection (server) or wait (client).
        case finish
        /// It was over already.
        case ignore
    }

    private enum State: Sendable {
        case open
        case closeSent
        case done
    }

    private var state = State.open

    /// A connection on which nobody has said close.
    package init() {}

    /// False once a close frame was sent: no data frame may follow.
    package var maySend: Bool { state == .open }

    /// This side wants to close. True: send the close frame now; false: it was sent before.
    package mutating func close() -> Bool {
        guard state == .open else { return false }
        state = .closeSent
        return true
    }

    /// The peer's close frame arrived.
    package mutating func received(_ code: WebSocketCloseCode?) -> Reaction {
        switch state {
        case .open:
            state = .done
            return .reply(code)
        case .closeSent:
            state = .done
            return .finish
        case .done:
            return .ignore
        }
    }
}
