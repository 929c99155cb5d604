internal import ChatModel

extension ClientCore {
    /// Tries after which a change that the server fails on inside is given up.
    static let internalRefusalsMax = 8

    /// Puts a change (send, edit or erase) into the outbox. Its number comes back in `resolve`.
    mutating func submit(_ body: ClientFrameBody) -> (number: UInt64, actions: [Action]) {
        let number = nextNumber
        nextNumber += 1
        let lane: Lane
        switch body {
        case .send(.conversation(let id), _, _), .edit(let id, _, _, _), .erase(let id, _, _):
            lane = .conversation(id)
        case .send(.user(let id), _, _): lane = .user(id)
        default: preconditionFailure("only changes go through the outbox")
        }
        guard phase != .stopped else {
            let error = ServiceError(.unavailable, "the client was closed")
            return (number, [.resolve(number, .failure(error))])
        }
        outbox[number] = OutboxItem(lane: lane, body: body)
        lanes[lane, default: []].append(number)
        return (number, pump(lane))
    }

    /// Sends the first change of a lane unless it is under way.
    mutating func pump(_ lane: Lane) -> [Action] {
        guard phase == .live, let number = lanes[lane]?.first, var item = outbox[number],
            !item.isInFlight
        else { return [] }
        item.isInFlight = true
        outbox[number] = item
        return [.transmit(ClientFrame(id: String(number), body: item.body))]
    }

    /// Sends the first change of every lane, oldest first: after `ready`.
    mutating func pumpAll() -> [Action] {
        var actions: [Action] = []
        let fronts = lanes.compactMap { lane, numbers in numbers.first.map { ($0, lane) } }
        for (_, lane) in fronts.sorted(by: { $0.0 < $1.0 }) { actions += pump(lane) }
        return actions
    }

    /// The answer to a change.
    mutating func changeAnswered(
        _ number: UInt64, _ frame: ServerFrame
    ) -> [Action] {
        guard var item = outbox[number] else { return [] }
        switch frame {
        case .sent(let sent):
            var actions: [Action] = [
                .resolve(number, .success(sent)), .emit(.sent(sent, item.body)),
            ]
            if !sent.isDuplicate {
                actions += advance(sent.conversation, to: sent.seq, entry: nil)
            }
            return actions + finish(number, item.lane)
        case .error(let error):
            guard isWorthRepeating(error, refusals: item.refusals) else {
                return [.resolve(number, .failure(error))] + finish(number, item.lane)
            }
            item.isInFlight = false
            item.refusals += 1
            outbox[number] = item
            var backoff = Backoff(
                base: options.backoffBase, cap: options.backoffCap,
                seed: number &* 0x9E37_79B9 &+ UInt64(item.refusals))
            for _ in 1..<min(item.refusals, 10) { _ = backoff.next() }
            let floor = Duration.milliseconds(Int64(clamping: error.retryAfterMs ?? 0))
            return [.schedule(.retry(number), after: backoff.next(floor: floor))]
        default:
            let error = ServiceError(.internal, "a change was answered by something else")
            return [.resolve(number, .failure(error))] + finish(number, item.lane)
        }
    }

    private func isWorthRepeating(_ error: ServiceError, refusals: Int) -> Bool {
        switch error.code {
        case .unavailable, .noQuorum, .rateLimited: true
        case .internal: refusals < Self.internalRefusalsMax
        default: false
        }
    }

    private mutating func finish(_ number: UInt64, _ lane: Lane) -> [Action] {
        outbox[number] = nil
        lanes[lane]?.removeAll { $0 == number }
        if lanes[lane]?.isEmpty == true { lanes[lane] = nil }
        return pump(lane)
    }
}
