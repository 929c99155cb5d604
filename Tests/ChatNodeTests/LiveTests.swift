import ChatModel
import FanOut
import Session
import Simulation
import Synchronization
import Testing

@testable import ChatNode

/// Live sessions on a whole node: what sockets hear, presence, feeds.
@Suite struct LiveTests {
    /// The inbox of an event loop that keeps what it gets.
    private final class Inbox: DeliveryLoop {
        private let heard = Mutex<[(slot: UInt64, body: EventBody)]>([])

        func deliver(_ batch: [Delivery]) {
            heard.withLock { heard in
                for delivery in batch {
                    for slot in delivery.slots { heard.append((slot, delivery.event.body)) }
                }
            }
        }

        func bodies(_ slot: UInt64) -> [EventBody] {
            heard.withLock { $0.filter { $0.slot == slot }.map(\.body) }
        }

        func texts(_ slot: UInt64) -> [String] {
            bodies(slot).compactMap { body in
                guard case .entry(let entry) = body, case .message(let message) = entry.body
                else { return nil }
                return message.content.text
            }
        }

        func presence(_ slot: UInt64) -> [PresenceView] {
            bodies(slot).compactMap { if case .presence(let view) = $0 { view } else { nil } }
        }
    }

    private struct People {
        let world: SimulatedNode
        let ann: Identity
        let bob: Identity
        let eve: Identity
        let inbox = Inbox()

        init(seed: UInt64, _ configure: @escaping (inout NodeConfiguration) -> Void = { _ in })
            throws
        {
            world = SimulatedNode(seed: seed)
            world.configure = configure
            try #require(world.boot())
            ann = try #require(world.register("ann"))
            bob = try #require(world.register("bob"))
            eve = try #require(world.register("eve"))
        }

        func socket(_ slot: UInt64, _ identity: Identity) -> SessionEndpoint {
            let endpoint = SessionEndpoint(loop: inbox, slot: slot)
            world.node?.attach(endpoint, identity)
            return endpoint
        }
    }

    @Test("Members hear entries in order, strangers hear nothing")
    func entries() throws {
        let people = try People(seed: 1)
        _ = people.socket(1, people.ann)
        _ = people.socket(2, people.bob)
        _ = people.socket(3, people.eve)
        for number in 0..<20 {
            let by = number % 2 == 0 ? people.ann : people.bob
            let peer = number % 2 == 0 ? people.bob : people.ann
            #expect(
                people.world.send("\(number)", to: .user(peer.user), by: by, cid: UInt64(number))
                    != nil)
        }
        people.world.pass(.seconds(1))
        let expected = (0..<20).map { "\($0)" }
        #expect(people.inbox.texts(1) == expected)
        #expect(people.inbox.texts(2) == expected)
        #expect(people.inbox.bodies(3).isEmpty)
        people.world.stop()
    }

    @Test("A feed tells of a message within moments, and its position never goes back")
    func feed() throws {
        let people = try People(seed: 2)
        _ = people.socket(2, people.bob)
        for number in 0..<5 {
            let sent = people.world.send(
                "m", to: .user(people.bob.user), by: people.ann, cid: UInt64(number))
            #expect(sent != nil)
            people.world.pass(.milliseconds(200))
        }
        let positions = people.inbox.bodies(2).compactMap { body -> FeedPosition? in
            if case .feed(let feed) = body { feed.position } else { nil }
        }
        #expect(positions.count >= 2 && positions == positions.sorted())
        let changes = people.world.call { $0.changes(since: 0, for: people.bob, answer: $1) }
        let changed = try #require(try? changes?.get())
        #expect(changed.isComplete && changed.position == positions.last)
        #expect(changed.changed.first?.head == 5 && changed.changed.first?.unread == 5)
        people.world.stop()
    }

    @Test("Dirty marks that a power cut left behind are worked off after the restart")
    func feedAfterPowerCut() throws {
        let people = try People(seed: 3)
        #expect(
            people.world.send("m", to: .user(people.bob.user), by: people.ann, cid: 1) != nil)
        people.world.cutPower(seed: 4)
        #expect(people.world.boot())
        people.world.pass(.seconds(2))
        let changes = people.world.call { $0.changes(since: 0, for: people.bob, answer: $1) }
        #expect((try? changes?.get())?.changed.first?.head == 1)
        people.world.stop()
    }

    @Test("After a lost connection and a TTL of 5 s: OFFLINE once, last seen kept over a restart")
    func presence() throws {
        let people = try People(seed: 4) { $0.limits.presenceMs = 5_000 }
        let world = people.world
        #expect(world.send("hi", to: .user(people.bob.user), by: people.ann, cid: 1) != nil)
        let watcher = people.socket(1, people.ann)
        let watched = people.socket(2, people.bob)
        let first = world.call {
            $0.watch(watcher, conversations: [], users: [people.bob.user], answer: $1)
        }
        #expect((try? first?.get())?.first?.state == .online)
        let leftMs = world.clock.wallMilliseconds()
        world.node?.detach(watched, isClean: false)
        world.pass(.seconds(3))
        #expect(people.inbox.presence(1).isEmpty, "a lost connection may come back")
        world.pass(.seconds(6))
        let changes = people.inbox.presence(1)
        #expect(changes.map(\.state) == [.offline])
        let seenMs = try #require(changes.first?.lastSeenMs)
        #expect(seenMs <= leftMs && leftMs - seenMs < 5_000)
        world.pass(.seconds(5))
        world.cutPower(seed: 9)
        #expect(world.boot())
        let later = world.call { $0.presence(of: [people.bob.user], for: people.ann, answer: $1) }
        let view = try #require(try? later?.get().first)
        #expect(view.state == .offline && view.lastSeenMs == seenMs)
        world.stop()
    }

    @Test("Strangers see OFFLINE without last seen, and can watch no conversation of others")
    func privacy() throws {
        let people = try People(seed: 5)
        let world = people.world
        #expect(world.send("hi", to: .user(people.bob.user), by: people.ann, cid: 1) != nil)
        _ = people.socket(2, people.bob)
        let stranger = people.socket(3, people.eve)
        let seen = world.call { $0.presence(of: [people.bob.user], for: people.eve, answer: $1) }
        #expect((try? seen?.get())?.first?.state == .offline)
        #expect((try? seen?.get())?.first?.lastSeenMs == nil)
        let pair = Names.pair(people.ann.user, people.bob.user)
        let watch = world.call {
            $0.watch(stranger, conversations: [pair], users: [], answer: $1)
        }
        guard case .failure(let error)? = watch else {
            Issue.record("a stranger watches")
            return
        }
        #expect(error.code == .notFound)
        let page = world.call { $0.page(pair, .newest, limit: 10, for: people.eve, answer: $1) }
        guard case .failure(let refusal)? = page else {
            Issue.record("a stranger reads")
            return
        }
        #expect(refusal.code == .notFound)
        world.stop()
    }

    @Test("A device that is signed out hears so, and its token is refused from then on")
    func signOut() throws {
        let people = try People(seed: 6)
        let world = people.world
        _ = people.socket(1, people.ann)
        let token = try #require(world.node?.mint.token(for: people.ann))
        let before = world.call { $0.authenticate(.token(token), answer: $1) }
        #expect((try? before?.get())?.user == people.ann.user)
        let done = world.call {
            $0.signOut(people.ann, device: people.ann.device, answer: $1)
        }
        #expect((try? done?.get()) != nil)
        world.pass(.milliseconds(100))
        #expect(people.inbox.bodies(1).contains(.deviceRevoked(people.ann.device)))
        guard case .failure(let error)? = world.call({ $0.authenticate(.token(token), answer: $1) })
        else {
            Issue.record("a revoked token is good")
            return
        }
        #expect(error.code == .unauthenticated)
        world.stop()
    }

    @Test("A ticket lets one socket in, once")
    func ticket() throws {
        let people = try People(seed: 7)
        let world = people.world
        let issued = world.call { $0.issueTicket(people.ann, answer: $1) }
        let ticket = try #require(try? issued?.get()).ticket
        let first = world.call { $0.authenticate(.ticket(ticket), answer: $1) }
        #expect((try? first?.get())?.user == people.ann.user)
        let second = world.call { $0.authenticate(.ticket(ticket), answer: $1) }
        #expect((try? second?.get()) == nil)
        world.stop()
    }
}
