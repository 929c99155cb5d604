import ChatModel
import Foundation
import Platform
import Session
import Simulation
import Testing

@testable import ChatNode

/// `kill -9` spares the page cache; a power cut does not.
@Suite struct PowerCutTests {
    private static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

    /// What a run of the script was told.
    private struct Story {
        var ann: Identity?
        var bob: Identity?
        /// Acknowledged texts by conversation, in order of their acknowledgement.
        var kept: [ConversationID: [(seq: EntrySequence, text: String)]] = [:]
        var tried: Set<String> = []
        var group: ConversationID?
        var isOver = false
    }

    /// A scripted chat of two people; it ends where the power does.
    private func play(_ world: SimulatedNode) -> Story {
        var story = Story()
        guard world.boot() else { return story }
        story.ann = world.register("ann")
        story.bob = world.register("bob")
        guard let ann = story.ann, let bob = story.bob else { return story }
        if case .success(.conversation(let group, _)) = world.change(
            .createGroup(members: [bob.user], title: "two", cid: nil), by: ann)
        {
            story.group = group
        }
        for number in 0..<24 {
            let by = number % 3 == 0 ? bob : ann
            let text = "\(number) " + String(repeating: "word ", count: number * 11 % 40)
            var target = SendTarget.user(by == ann ? bob.user : ann.user)
            if number % 4 == 1, let group = story.group { target = .conversation(group) }
            story.tried.insert(text)
            guard let sent = world.send(text, to: target, by: by, cid: UInt64(number)) else {
                if world.files.isDown { return story }
                continue
            }
            story.kept[sent.conversation, default: []].append((sent.seq, text))
            if number == 12 { world.pass(.seconds(2)) }
        }
        story.isOver = true
        return story
    }

    /// Every acknowledged send is there, once, in order; nothing is there that was not tried.
    private func check(_ world: SimulatedNode, _ story: Story, _ comment: Comment) {
        for (conversation, kept) in story.kept {
            guard let asker = story.ann else { return }
            let entries = world.entries(conversation, for: asker)
            #expect(entries.map(\.seq) == Array(1...UInt64(max(1, entries.count))), comment)
            var texts: [String] = []
            for entry in entries {
                guard case .message(let message) = entry.body else { continue }
                texts.append(message.content.text)
                #expect(story.tried.contains(message.content.text), comment)
            }
            #expect(Set(texts).count == texts.count, "nothing twice: \(comment)")
            for (seq, text) in kept {
                let found = entries.first { $0.seq == seq }
                guard case .message(let message)? = found?.body else {
                    Issue.record("acknowledged \(seq) is gone: \(comment)")
                    continue
                }
                #expect(message.content.text == text, comment)
            }
        }
    }

    @Test("A power cut at any operation of the disk loses no acknowledged send and repeats none")
    func everyOperation() {
        let rehearsal = SimulatedNode(seed: 11)
        let whole = play(rehearsal)
        #expect(whole.isOver && whole.kept.count == 2)
        let operations = rehearsal.files.operationCount
        #expect(operations > 60)
        rehearsal.stop()
        let step = Self.isLong ? 1 : max(1, operations / 90)
        var cuts = 0
        for index in stride(from: 0, to: operations, by: step) {
            let moments =
                Self.isLong
                ? CrashPlan.Moment.allCases : [CrashPlan.Moment.allCases[index / step % 3]]
            for moment in moments {
                let world = SimulatedNode(seed: 11)
                world.files.plan(CrashPlan(index: index, moment: moment, seed: UInt64(index)))
                let story = play(world)
                world.cutPower(seed: UInt64(index) &* 31 &+ 7)
                let comment: Comment = "seed 11, operation \(index), \(moment)"
                #expect(world.boot(), "\(world.startFailure ?? world.failure ?? "") \(comment)")
                check(world, story, comment)
                world.stop()
                cuts += 1
            }
        }
        #expect(cuts >= 60)
    }

    @Test("A sync that fails stops the node; what it had acknowledged is there after a restart")
    func failedSync() {
        let world = SimulatedNode(seed: 5)
        #expect(world.boot())
        guard let ann = world.register("ann"), let bob = world.register("bob") else {
            Issue.record("no users")
            return
        }
        let first = world.send("kept", to: .user(bob.user), by: ann, cid: 1)
        world.files.inject(
            DiskFault([.sync], .inputOutput, on: "/log/"))
        let second = world.send("unknown", to: .user(bob.user), by: ann, cid: 2)
        #expect(first != nil && second == nil)
        let third = world.send("refused", to: .user(bob.user), by: ann, cid: 3)
        #expect(third == nil)
        world.cutPower(seed: 9)
        world.files.clearFaults()
        #expect(world.boot())
        let texts = world.entries(first?.conversation ?? .init(high: 0, low: 0), for: ann)
            .compactMap {
                if case .message(let message) = $0.body { message.content.text } else { nil }
            }
        #expect(texts == ["kept"] || texts == ["kept", "unknown"])
    }

    @Test("A flipped bit of the log is a refusal that names the place, or changes nothing")
    func rot() {
        let world = SimulatedNode(seed: 6)
        #expect(world.boot())
        guard let ann = world.register("ann"), let bob = world.register("bob") else { return }
        let sent = (0..<10).map { "message \($0)" }
        for (number, text) in sent.enumerated() {
            #expect(world.send(text, to: .user(bob.user), by: ann, cid: UInt64(number)) != nil)
        }
        let pair = Names.pair(ann.user, bob.user)
        world.pass(.seconds(1))
        world.stop()
        let segments = world.files.paths.filter { path in
            path.hasSuffix(".log") && world.files.contents(path)?.contains { $0 != 0 } == true
        }
        var refusals = 0
        for segment in segments {
            let bytes = world.files.contents(segment) ?? []
            for offset in stride(from: 0, to: bytes.count, by: 61) where bytes[offset] != 0 {
                let other = SimulatedNode(seed: 6, files: world.files.copy())
                other.files.flipBit(segment, offset: offset, bit: offset % 8)
                if other.boot() {
                    #expect(texts(other, pair, ann) == sent, "\(segment) at \(offset)")
                    other.stop()
                } else {
                    refusals += 1
                    let message = other.startFailure ?? ""
                    #expect(message.contains(".log") && message.contains("byte"), "\(message)")
                }
            }
        }
        #expect(refusals > 0)
    }

    private func texts(
        _ world: SimulatedNode, _ conversation: ConversationID, _ asker: Identity
    ) -> [String] {
        world.entries(conversation, for: asker).compactMap {
            if case .message(let message) = $0.body { message.content.text } else { nil }
        }
    }

    @Test("A second node on one directory is refused and told who holds it")
    func secondNode() {
        let world = SimulatedNode(seed: 7)
        #expect(world.boot())
        let other = NodeSeams(
            fileSystem: world.files, clock: world.clock, random: SimulatedRandom(seed: 1),
            scheduler: world.scheduler)
        #expect(throws: StartFailure.self) {
            _ = try ChatNode(
                NodeConfiguration(directory: "/magpie"), seams: other,
                hooks: .init(ready: {}, failed: { _ in }, incident: { _ in }))
        }
        world.stop()
    }
}
