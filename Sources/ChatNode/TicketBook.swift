import Bytes
import ChatModel
import Secrets
import Session
import Synchronization

/// What the node's own tokens are for; a token of one purpose is no token of another.
enum TokenPurpose: UInt8 {
    case session = 1
    case ticket = 2
    case media = 3
}

/// Makes and checks session tokens: `{user 16, device 16, expiry u64}` under the node's key.
struct TokenMint: Sendable {
    let key: [UInt8]

    func token(for identity: Identity) -> String {
        SealedToken.seal(
            purpose: TokenPurpose.session.rawValue, payload: Self.encode(identity), key: key)
    }

    func identity(of token: String, nowMs: Milliseconds) -> Identity? {
        guard
            let payload = SealedToken.open(
                token, purpose: TokenPurpose.session.rawValue, key: key),
            let identity = Self.decode(payload), identity.expiresAtMs > nowMs
        else { return nil }
        return identity
    }

    static func encode(_ identity: Identity) -> [UInt8] {
        var writer = ByteWriter(capacity: 40)
        writer.write(raw: identity.user.bytes)
        writer.write(raw: identity.device.bytes)
        writer.write(fixed: identity.expiresAtMs)
        return writer.bytes
    }

    static func decode(_ payload: [UInt8]) -> Identity? {
        try? ByteReader.readAll(payload) { reader -> Identity? in
            guard let user = UserID(bytes: try reader.readRaw(16)),
                let device = DeviceID(bytes: try reader.readRaw(16))
            else { return nil }
            return Identity(user: user, device: device, expiresAtMs: try reader.readFixed())
        }
    }
}

/// Single-use tickets: a ticket is on the book until it is used or its minute has passed.
final class TicketBook: Sendable {
    private struct Entry {
        let identity: Identity
        let endsMs: Milliseconds
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// In order of expiry: all tickets live equally long.
        var order: [(ticket: String, endsMs: Milliseconds)] = []
        var first = 0
    }

    private let state = Mutex(State())

    /// Puts a ticket on the book; nil when too many are out.
    ///
    /// - Parameters:
    ///   - nowMs: a clock that never goes back, by which the ticket ends.
    ///   - wallMs: the wall clock, by which its end is told.
    func issue(
        _ identity: Identity, random: [UInt8], nowMs: Milliseconds, wallMs: Milliseconds,
        lifeMs: Milliseconds
    ) -> Ticket? {
        let ticket = Ticket(ticket: Base64URL.encode(random), expiresAtMs: wallMs + lifeMs)
        return state.withLock { state in
            Self.dropExpired(&state, nowMs)
            guard state.order.count - state.first < NodeLimits.ticketsMax else { return nil }
            state.entries[ticket.ticket] = Entry(identity: identity, endsMs: nowMs + lifeMs)
            state.order.append((ticket.ticket, nowMs + lifeMs))
            return ticket
        }
    }

    /// Takes a ticket off the book; nil when it is unknown, used or too old.
    func use(_ ticket: String, nowMs: Milliseconds) -> Identity? {
        state.withLock { state in
            guard let entry = state.entries.removeValue(forKey: ticket),
                entry.endsMs > nowMs
            else { return nil }
            return entry.identity
        }
    }

    private static func dropExpired(_ state: inout State, _ nowMs: Milliseconds) {
        while state.first < state.order.count, state.order[state.first].endsMs <= nowMs {
            state.entries[state.order[state.first].ticket] = nil
            state.first += 1
        }
        if state.first > 1024, state.first * 2 > state.order.count {
            state.order.removeFirst(state.first)
            state.first = 0
        }
    }
}
