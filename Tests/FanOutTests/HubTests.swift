import Bytes
import ChatModel
import Synchronization
import Testing

@testable import FanOut

/// Writes down what it is handed.
private final class RecordingLoop: DeliveryLoop {
    let batches = Mutex<[[Delivery]]>([])

    func deliver(_ batch: [Delivery]) { batches.withLock { $0.append(batch) } }

    /// What each slot heard, in order.
    func heard() -> [UInt64: [EventBody]] {
        var heard: [UInt64: [EventBody]] = [:]
        for delivery in batches.withLock({ $0 }).flatMap({ $0 }) {
            for slot in delivery.slots { heard[slot, default: []].append(delivery.event.body) }
        }
        return heard
    }
}

struct HubTests {
    private func user(_ number: UInt64) -> UserID { UserID(high: 0, low: number) }
    private func conversation(_ number: UInt64) -> ConversationID {
        ConversationID(high: 1, low: number)
    }
    private let device = DeviceID(high: 2, low: 2)

    private func typing(_ number: UInt64) -> SharedEvent {
        SharedEvent(.typing(conversation(number), user(number)))
    }

    @Test("Every socket of the audience hears an event once, one batch per loop and flush")
    func publish() {
        let loops = [RecordingLoop(), RecordingLoop()]
        var hub = Hub()
        for number in 1...4 as ClosedRange<UInt64> {
            let loop = loops[Int(number % 2)]
            hub.attach(
                SessionEndpoint(loop: loop, slot: number), user: user(number), device: device)
        }
        hub.attach(SessionEndpoint(loop: loops[0], slot: 9), user: user(1), device: device)
        hub.publish(typing(1), to: [user(1), user(2), user(7)])
        hub.publish(typing(2), to: [user(1)])
        #expect(loops[0].batches.withLock { $0.isEmpty }, "nothing leaves before the flush")
        hub.flush()
        #expect(loops.map { $0.batches.withLock { $0.count } } == [1, 1])
        #expect(loops[1].heard() == [1: [typing(1).body, typing(2).body]])
        #expect(loops[0].heard() == [2: [typing(1).body], 9: [typing(1).body, typing(2).body]])
    }

    @Test("A socket that left hears nothing more and watches nothing more")
    func detach() {
        let loop = RecordingLoop()
        var hub = Hub()
        let endpoint = SessionEndpoint(loop: loop, slot: 1)
        hub.attach(endpoint, user: user(1), device: device)
        #expect(hub.watch(endpoint, conversations: [conversation(1)], users: [user(2)]) == true)
        #expect(hub.detach(endpoint)?.user == user(1))
        #expect(hub.detach(endpoint) == nil)
        hub.publish(typing(1), to: user(1))
        hub.publish(typing(1), toWatchersOf: conversation(1))
        hub.publish(typing(1), toWatchersOf: user(2))
        hub.flush()
        #expect(loop.heard().isEmpty)
        #expect(!hub.isOnline(user(1)))
        #expect(!hub.isWatched(conversation(1)))
        #expect(hub.endpointCount == 0)
    }

    @Test("Watchers hear, except the user who caused it")
    func watchers() {
        let loop = RecordingLoop()
        var hub = Hub()
        for number in 1...3 as ClosedRange<UInt64> {
            let endpoint = SessionEndpoint(loop: loop, slot: number)
            hub.attach(endpoint, user: user(number), device: device)
            if number < 3 {
                #expect(hub.watch(endpoint, conversations: [conversation(5)], users: []) == true)
            }
        }
        hub.publish(typing(5), toWatchersOf: conversation(5), except: user(1))
        hub.flush()
        #expect(loop.heard() == [2: [typing(5).body]])
        hub.endWatching(conversation(5), by: user(2))
        hub.publish(typing(5), toWatchersOf: conversation(5), except: user(1))
        hub.flush()
        #expect(loop.heard() == [2: [typing(5).body]])
    }

    @Test("Limits hold: sockets, sockets of a user, watched conversations")
    func limits() {
        let loop = RecordingLoop()
        var limits = HubLimits()
        limits.endpoints = 3
        limits.endpointsPerUser = 2
        limits.watchedConversations = 2
        var hub = Hub(limits: limits)
        func endpoint(_ slot: UInt64) -> SessionEndpoint {
            SessionEndpoint(loop: loop, slot: slot)
        }
        #expect(hub.attach(endpoint(1), user: user(1), device: device) == true)
        #expect(hub.attach(endpoint(2), user: user(1), device: device) == true)
        #expect(hub.attach(endpoint(3), user: user(1), device: device) == false)
        #expect(loop.heard() == [3: [.closed(.internal)]], "it is told, at once")
        #expect(hub.attach(endpoint(3), user: user(2), device: device) == true)
        #expect(hub.attach(endpoint(4), user: user(3), device: device) == false)
        #expect(loop.heard()[4] == [.closed(.internal)])
        #expect(hub.endpointCount == 3)
        let many = [conversation(1), conversation(2), conversation(3)]
        #expect(hub.watch(endpoint(1), conversations: many, users: []) == false)
        #expect(hub.watch(endpoint(1), conversations: Array(many.prefix(2)), users: []) == true)
        #expect(hub.watch(endpoint(1), conversations: Array(many.prefix(2)), users: []) == true)
        #expect(hub.watch(endpoint(1), conversations: [many[2]], users: []) == false)
        #expect(hub.watch(endpoint(9), conversations: [many[0]], users: []) == false)
    }

    @Test("A long drain flushes by itself")
    func selfFlush() {
        let loop = RecordingLoop()
        var limits = HubLimits()
        limits.collectedReceivers = 10
        var hub = Hub(limits: limits)
        hub.attach(SessionEndpoint(loop: loop, slot: 1), user: user(1), device: device)
        for _ in 0..<25 { hub.publish(typing(1), to: user(1)) }
        #expect(loop.batches.withLock { $0.map(\.count) } == [10, 10])
    }

    @Test("An audience far larger than those online reaches the same sockets")
    func largeAudience() {
        let loop = RecordingLoop()
        var hub = Hub()
        for number in [3, 900, 1_500, 99_999] as [UInt64] {
            hub.attach(
                SessionEndpoint(loop: loop, slot: number), user: user(number), device: device)
        }
        hub.publish(typing(1), to: (1...1_000).map { user($0) })
        hub.flush()
        #expect(loop.heard() == [3: [typing(1).body], 900: [typing(1).body]])
    }

    @Test("Random traffic agrees with a list of sockets", arguments: [1, 2, 3] as [UInt64])
    func model(seed: UInt64) {
        struct Socket {
            var user: UserID
            var endpoint: SessionEndpoint
            var watches: Set<ConversationID> = []
            var expected: [EventBody] = []
        }
        var random = SplitMix64(seed: seed)
        let loops = (0..<3).map { _ in RecordingLoop() }
        var hub = Hub()
        var sockets: [Socket] = []
        var gone: [Socket] = []
        for slot in 0..<2_000 as Range<UInt64> {
            let someone = user(UInt64.random(in: 0..<20, using: &random))
            let where_ = conversation(UInt64.random(in: 0..<5, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let endpoint = SessionEndpoint(loop: loops[Int(slot % 3)], slot: slot)
                if hub.attach(endpoint, user: someone, device: device) {
                    sockets.append(Socket(user: someone, endpoint: endpoint))
                }
            case 1:
                guard !sockets.isEmpty else { break }
                let index = Int.random(in: 0..<sockets.count, using: &random)
                hub.detach(sockets[index].endpoint)
                gone.append(sockets.remove(at: index))
            case 2:
                guard !sockets.isEmpty else { break }
                let index = Int.random(in: 0..<sockets.count, using: &random)
                if Bool.random(using: &random) {
                    _ = hub.watch(sockets[index].endpoint, conversations: [where_], users: [])
                    sockets[index].watches.insert(where_)
                } else {
                    hub.unwatch(sockets[index].endpoint, conversations: [where_], users: [])
                    sockets[index].watches.remove(where_)
                }
            case 3:
                let event = SharedEvent(.typing(where_, someone))
                hub.publish(event, toWatchersOf: where_, except: someone)
                for index in sockets.indices
                where sockets[index].watches.contains(where_) && sockets[index].user != someone {
                    sockets[index].expected.append(event.body)
                }
            default:
                let event = SharedEvent(.typing(where_, someone))
                let audience = (0..<20).map { user($0) }.filter { _ in Bool.random(using: &random) }
                hub.publish(event, to: audience)
                for index in sockets.indices where audience.contains(sockets[index].user) {
                    sockets[index].expected.append(event.body)
                }
            }
        }
        hub.flush()
        let heard = loops.map { $0.heard() }
        for socket in sockets + gone {
            let got = heard[Int(socket.endpoint.slot % 3)][socket.endpoint.slot] ?? []
            #expect(got == socket.expected, "seed \(seed) socket \(socket.endpoint.slot)")
        }
        #expect(hub.endpointCount == sockets.count)
        #expect(hub.onlineUserCount == Set(sockets.map(\.user)).count)
    }
}

struct SharedEventTests {
    @Test("An encoding is made once and shared")
    func once() {
        let event = SharedEvent(.typing(ConversationID(high: 1, low: 1), UserID(high: 1, low: 1)))
        var made = 0
        func encode() -> [UInt8] {
            event.encoding(0) {
                made += 1
                return [1, 2, 3]
            }
        }
        #expect(encode() == [1, 2, 3])
        #expect(encode() == [1, 2, 3])
        #expect(made == 1)
        #expect(event.encoding(1) { "other" } == "other")
    }

    @Test("Only feeds and sign-outs have no frame")
    func frames() {
        let user = UserID(high: 1, low: 1)
        let conversation = ConversationID(high: 1, low: 1)
        let feed = FeedEvent(user: user, position: 1, conversation: conversation, head: 1, m: 1)
        #expect(EventBody.feed(feed).frame == nil)
        #expect(EventBody.deviceRevoked(DeviceID(high: 1, low: 1)).frame == nil)
        #expect(EventBody.typing(conversation, user).frame == .typing(conversation, user))
        #expect(EventBody.typing(conversation, user).isEphemeral)
    }
}
