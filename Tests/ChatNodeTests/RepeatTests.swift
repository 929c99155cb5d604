import ChatModel
import FanOut
import Session
import Testing

@testable import ChatNode

/// A repeat of a send that is kept is answered, whatever would refuse a new one.
@Suite struct RepeatTests {
    private struct People {
        let world: SimulatedNode
        let ann: Identity
        let bob: Identity

        init(seed: UInt64, _ configure: @escaping (inout NodeConfiguration) -> Void = { _ in })
            throws
        {
            world = SimulatedNode(seed: seed)
            world.configure = configure
            try #require(world.boot())
            ann = try #require(world.register("ann"))
            bob = try #require(world.register("bob"))
        }

        /// A group that ann owns, with bob in it.
        func group() throws -> ConversationID {
            let request = ChangeRequest.createGroup(members: [bob.user], title: "", cid: nil)
            guard case .success(.conversation(let group, _)) = world.change(request, by: ann) else {
                throw Stop()
            }
            return group
        }

        func send(
            _ content: MessageContent, to group: ConversationID, by identity: Identity, cid: UInt64
        ) -> Result<CommandResult, ServiceError>? {
            let cid = ClientMessageID(high: 0x8000, low: cid)
            return world.change(
                .send(.conversation(group), cid: cid, content: content), by: identity)
        }

        func upload() throws -> BlobID {
            let request = UploadRequest(type: "image/png", size: nil, contentHash: nil)
            let begun = world.call { $0.beginUpload(request, by: ann, answer: $1) }
            let port = try #require(try begun?.get())
            let appended = world.call { (_, answer: @escaping Answer<Void>) in
                port.append([1, 2, 3], answer: answer)
            }
            try #require(try appended?.get() != nil)
            let finished = world.call { (_, answer: @escaping Answer<BlobView>) in
                port.finish(answer: answer)
            }
            return try #require(try finished?.get()).blob
        }
    }

    private struct Stop: Error {}

    private func sent(_ result: Result<CommandResult, ServiceError>?) -> Sent? {
        guard case .success(.sent(let sent))? = result else { return nil }
        return sent
    }

    private func code(_ result: Result<CommandResult, ServiceError>?) -> ErrorCode? {
        switch result {
        case .failure(let error)?, .success(.refused(let error))?: error.code
        default: nil
        }
    }

    @Test("Over the limit on sends a repeat is answered, a new send and other content are not")
    func overTheLimit() throws {
        let people = try People(seed: 21) { configuration in
            configuration.limits.isRateLimited = true
            configuration.limits.sendsPerWindow = 4
        }
        let group = try people.group()
        let content = MessageContent(text: "once")
        let first = try #require(sent(people.send(content, to: group, by: people.ann, cid: 1)))
        let cid = ClientMessageID(high: 0x8000, low: 2)
        let other = MessageContent(text: "twice")
        let edit = ChangeRequest.edit(group, target: first.seq, cid: cid, content: other)
        let edited = try #require(sent(people.world.change(edit, by: people.ann)))
        for cid in 5...8 as ClosedRange<UInt64> {
            _ = people.send(other, to: group, by: people.ann, cid: cid)
        }
        #expect(code(people.send(other, to: group, by: people.ann, cid: 4)) == .rateLimited)
        let again = try #require(sent(people.send(content, to: group, by: people.ann, cid: 1)))
        #expect(again.isDuplicate && again.seq == first.seq && again.atMs == first.atMs)
        let editedAgain = try #require(sent(people.world.change(edit, by: people.ann)))
        #expect(editedAgain.isDuplicate && editedAgain.seq == edited.seq)
        #expect(code(people.send(other, to: group, by: people.ann, cid: 1)) == .conflict)
        people.world.stop()
    }

    @Test("A blob that its sender may not show any more does not turn a repeat away")
    func blobGone() throws {
        let people = try People(seed: 22)
        let group = try people.group()
        let elsewhere = try people.group()
        let reference = MediaReference(blob: try people.upload(), name: "a.png")
        let content = MessageContent(text: "", media: [reference])
        let shown = try #require(sent(people.send(content, to: group, by: people.ann, cid: 1)))
        // A blob is looked for in the conversations that bob's feed has heard of.
        people.world.pass(.seconds(1))
        let passedOn = try #require(
            sent(people.send(content, to: elsewhere, by: people.bob, cid: 2)))
        for (number, made) in [shown, passedOn].enumerated() {
            let cid = ClientMessageID(high: 0x8000, low: UInt64(10 + number))
            let erase = ChangeRequest.erase(made.conversation, target: made.seq, cid: cid)
            #expect(sent(people.world.change(erase, by: people.ann)) != nil)
        }
        #expect(code(people.send(content, to: elsewhere, by: people.bob, cid: 3)) == .notFound)
        let again = people.send(content, to: elsewhere, by: people.bob, cid: 2)
        #expect(sent(again)?.isDuplicate == true && sent(again)?.seq == passedOn.seq)
        people.world.stop()
    }

    @Test("A group that grows large stays in its members' changes, whose position stands")
    func largeGroup() throws {
        let people = try People(seed: 23) { $0.limits.smallGroupMembers = 2 }
        let group = try people.group()
        let eve = try #require(people.world.register("eve"))
        people.world.pass(.seconds(1))
        let join = ChangeRequest.changeMember(group, user: eve.user, role: .member)
        #expect(code(people.world.change(join, by: people.ann)) == nil)
        people.world.pass(.seconds(1))
        func changes(_ since: FeedPosition) throws -> FeedChanges {
            try #require(
                try people.world.call {
                    $0.changes(since: since, for: people.bob, answer: $1)
                }?.get())
        }
        let before = try changes(0)
        let content = MessageContent(text: "hi")
        let made = try #require(sent(people.send(content, to: group, by: people.ann, cid: 1)))
        people.world.pass(.seconds(1))
        let after = try changes(before.position)
        #expect(after.position == before.position && after.isComplete)
        #expect(after.changed.map(\.conversation) == [group])
        #expect(after.changed.first?.head == made.seq)
        people.world.stop()
    }

    @Test("A socket too many is told so, and a device that was signed out gets no changes")
    func turnedAway() throws {
        let people = try People(seed: 24)
        let inbox = Box<[UInt64]>([])
        let loop = ClosedLoop(inbox)
        for slot in 1...66 as ClosedRange<UInt64> {
            people.world.node?.attach(SessionEndpoint(loop: loop, slot: slot), people.ann)
        }
        people.world.pass(.milliseconds(100))
        #expect(inbox.value == [65, 66])
        let done = people.world.call {
            $0.signOut(people.ann, device: people.ann.device, answer: $1)
        }
        #expect((try? done?.get()) != nil)
        let changes = people.world.call { $0.changes(since: 0, for: people.ann, answer: $1) }
        guard case .failure(let error)? = changes else { throw Stop() }
        #expect(error.code == .unauthenticated)
        people.world.stop()
    }

    /// Notes the sockets that are told to close.
    private final class ClosedLoop: DeliveryLoop {
        private let slots: Box<[UInt64]>

        init(_ slots: Box<[UInt64]>) { self.slots = slots }

        func deliver(_ batch: [Delivery]) {
            for delivery in batch where delivery.event.body == .closed(.internal) {
                slots.change { $0 += delivery.slots }
            }
        }
    }
}
