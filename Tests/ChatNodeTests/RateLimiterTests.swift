import ChatModel
import Session
import Testing

@testable import ChatNode

/// Token buckets, and what they keep strangers from.
@Suite struct RateLimiterTests {
    @Test("A clock that was set back does not hold up the refill")
    func clockSetBack() {
        let limiter = RateLimiter<Int>(burst: 2, windowMs: 1_000, keysMax: 4)
        #expect(limiter.take(1, nowMs: 86_400_000) == nil)
        #expect(limiter.take(1, nowMs: 86_400_000) == nil)
        #expect(limiter.take(1, nowMs: 1_000) != nil)
        #expect(limiter.take(1, nowMs: 1_500) == nil)
    }

    @Test("A token that is given back can be taken again, and never makes more than the burst")
    func giveBack() {
        let limiter = RateLimiter<Int>(burst: 1, windowMs: 1_000, keysMax: 4)
        #expect(limiter.take(1, nowMs: 5) == nil)
        #expect(limiter.take(1, nowMs: 5) != nil)
        limiter.giveBack(1)
        limiter.giveBack(1)
        limiter.giveBack(2)
        #expect(limiter.take(1, nowMs: 5) == nil)
        #expect(limiter.take(1, nowMs: 5) != nil)
    }

    @Test("Wrong passwords tried at the same time count one by one")
    func concurrentSignIns() {
        let world = SimulatedNode(seed: 11)
        world.configure = { $0.limits.isRateLimited = true }
        guard world.boot(), world.register("ann") != nil, let node = world.node else {
            Issue.record("the node does not start")
            return
        }
        let codes = Box<[ErrorCode]>([])
        for number in 0..<20 {
            let request = SignInRequest(
                username: "ann", password: "guess \(number)", deviceName: "test",
                address: "10.0.0.1")
            node.signIn(request) { result in
                if case .failure(let error) = result { codes.change { $0.append(error.code) } }
            }
        }
        world.run { codes.value.count == 20 }
        #expect(codes.value.filter { $0 == .unauthenticated }.count == 5)
        #expect(codes.value.filter { $0 == .rateLimited }.count == 15)
        world.stop()
    }

    @Test("A node that stops answers what it has taken, each once")
    func stopAnswers() {
        let world = SimulatedNode(seed: 12)
        guard world.boot(), let ann = world.register("ann"), let node = world.node,
            let group = Self.group(world, ann)
        else {
            Issue.record("the node does not start")
            return
        }
        let answers = Box(0)
        for number in 0..<10 {
            let request = ChangeRequest.send(
                .conversation(group), cid: ClientMessageID(high: 0x8000, low: UInt64(number)),
                content: .init(text: "hello"))
            node.submit(request, by: ann) { _ in answers.change { $0 += 1 } }
        }
        world.stop()
        #expect(answers.value == 10)
    }

    private static func group(_ world: SimulatedNode, _ identity: Identity) -> ConversationID? {
        let result = world.change(
            .createGroup(members: [], title: "alone", cid: nil), by: identity)
        guard case .success(.conversation(let group, _)) = result else { return nil }
        return group
    }
}
