import Bytes
import ChatEngine
import ChatModel
import LSMTree
import Platform
import Session
import Simulation
import Testing

@testable import ChatNode

/// A whole node on a disk that fills up, and one whose tables rot.
@Suite("A node and its disk")
struct DiskTests {
    /// A node with two users whose conversation is compared with what was acknowledged.
    private final class Stage {
        let world: SimulatedNode
        let ann: Identity
        let bob: Identity
        var conversation: ConversationID?
        /// Texts by seq; nil: erased.
        var model: [EntrySequence: String?] = [:]
        private var cid: UInt64 = 0

        init(seed: UInt64, _ configure: @escaping (inout NodeConfiguration) -> Void = { _ in })
            throws
        {
            world = SimulatedNode(seed: seed)
            world.configure = configure
            try #require(world.boot(), "\(world.startFailure ?? "")")
            ann = try #require(world.register("ann"))
            bob = try #require(world.register("bob"))
        }

        var disk: DiskReport { world.node?.storageReport().disk ?? DiskReport() }

        func send(_ generator: inout SplitMix64) -> ServiceError? {
            cid += 1
            let text = (0..<120).map { _ in String(generator.next(), radix: 36) }.joined()
            let request = ChangeRequest.send(
                .user(bob.user), cid: ClientMessageID(high: 0x8000, low: cid),
                content: .init(text: text))
            switch world.change(request, by: ann) {
            case .success(.sent(let sent)):
                conversation = sent.conversation
                model[sent.seq] = .some(text)
                return nil
            case .success(.refused(let error)), .failure(let error): return error
            default: return ServiceError(.internal, "no answer")
            }
        }

        func erase(_ seq: EntrySequence) -> ServiceError? {
            guard let conversation else { return ServiceError(.internal, "nothing was sent") }
            cid += 1
            let request = ChangeRequest.erase(
                conversation, target: seq, cid: ClientMessageID(high: 0x8000, low: cid))
            switch world.change(request, by: ann) {
            case .success(.sent(let sent)):
                model[seq] = .some(nil)
                model[sent.seq] = .some(nil)
                return nil
            case .success(.refused(let error)), .failure(let error): return error
            default: return ServiceError(.internal, "no answer")
            }
        }

        /// Every acknowledged message is there, and nothing else.
        func check(_ comment: Comment) throws {
            let conversation = try #require(conversation)
            var found: [EntrySequence: String?] = [:]
            for entry in world.entries(conversation, for: ann) {
                if case .message(let message) = entry.body {
                    found[entry.seq] = .some(message.isErased ? nil : message.content.text)
                }
            }
            for (seq, text) in model where text != nil || found[seq] != nil {
                #expect(found[seq] == .some(text), "entry \(seq), \(comment)")
            }
            #expect(world.failure == nil, comment)
        }

        /// Sends ten messages a second until one is refused.
        func fill(_ generator: inout SplitMix64, max: Int = 1_000) -> ServiceError? {
            for _ in 0..<max {
                if let error = send(&generator) { return error }
                world.pass(.milliseconds(100))
            }
            return nil
        }
    }

    @Test("The ballast is written in the first seconds, and the report says so")
    func ballast() throws {
        let stage = try Stage(seed: 1)
        stage.world.pass(.seconds(5))
        let bytes = UInt64(stage.world.files.contents("/magpie/ballast")?.count ?? 0)
        #expect(bytes == 8 * (256 << 10) / 8)
        #expect(stage.disk.ballastBytes == bytes && stage.disk.room == .ample)
        #expect(stage.disk.usedBytes > bytes && stage.disk.usedBytes <= stage.world.files.usedBytes)
        stage.world.stop()
    }

    @Test("A disk that fills up: messages are refused, erasures are not; with room it goes on")
    func fills() throws {
        var generator = SplitMix64(seed: 2)
        let stage = try Stage(seed: 2)
        stage.world.pass(.seconds(5))
        let files = stage.world.files
        files.setCapacity(files.usedBytes + (600 << 10))
        #expect(stage.send(&generator) == nil)
        let refusal = try #require(stage.fill(&generator))
        #expect(refusal.code == .readOnly && refusal.detail.contains("disk is full"))
        #expect(stage.model.count > 50, "the room was used")
        #expect(stage.disk.room == .short)
        for seq in stage.model.keys.sorted().prefix(20) { #expect(stage.erase(seq) == nil) }
        #expect(stage.world.incidents.value.contains { $0.contains("new messages are refused") })
        files.setCapacity(1 << 40)
        stage.world.pass(.seconds(10))
        #expect(stage.send(&generator) == nil)
        #expect(stage.disk.room == .ample)
        #expect(stage.disk.ballastBytes == 256 << 10)
        try stage.check("before the restart")
        stage.world.stop()
        #expect(stage.world.boot())
        try stage.check("after it")
        stage.world.stop()
    }

    @Test("A disk without a byte left: the ballast goes, nothing is lost, and all comes back")
    func exhausted() throws {
        var generator = SplitMix64(seed: 3)
        let stage = try Stage(seed: 3)
        stage.world.pass(.seconds(5))
        #expect(stage.fill(&generator, max: 100) == nil)
        let files = stage.world.files
        files.setCapacity(files.usedBytes)
        stage.world.pass(.seconds(3))
        #expect(files.contents("/magpie/ballast") == nil)
        #expect(stage.disk.ballastGivenUp == 1 && stage.disk.room == .short)
        #expect(stage.send(&generator)?.code == .readOnly)
        // Somebody else takes what the ballast gave.
        files.setCapacity(files.usedBytes)
        stage.world.pass(.seconds(3))
        #expect(stage.disk.room == .exhausted)
        #expect(stage.erase(3) == nil)
        files.setCapacity(1 << 40)
        stage.world.pass(.seconds(10))
        #expect(stage.disk.room == .ample && stage.disk.ballastBytes == 256 << 10)
        #expect(stage.send(&generator) == nil)
        try stage.check("with room")
        stage.world.cutPower(seed: 3)
        #expect(stage.world.boot())
        try stage.check("after a power cut")
        stage.world.stop()
    }

    @Test("Room that comes and goes at random: no restart, and nothing is lost", arguments: 0..<6)
    func random(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed &+ 40)
        let stage = try Stage(seed: seed &+ 40)
        let files = stage.world.files
        var (refused, taken) = (0, 0)
        for step in 0..<160 {
            switch generator.next() % 8 {
            case 0: files.setCapacity(files.usedBytes + generator.next() % (900 << 10))
            case 1: files.setCapacity(files.usedBytes + generator.next() % 4_000)
            case 2: files.setCapacity(1 << 40)
            case 3: stage.world.pass(.seconds(Int(generator.next() % 5)))
            case 4:
                let known = stage.model.keys.sorted()
                if let seq = known.randomElement(using: &generator), stage.model[seq] != .some(nil)
                {
                    _ = stage.erase(seq)
                }
            case 5 where step % 3 == 0: stage.world.pass(.seconds(700))
            default:
                for _ in 0..<12 {
                    if stage.send(&generator) == nil { taken += 1 } else { refused += 1 }
                }
            }
            #expect(stage.world.failure == nil, "seed \(seed), step \(step)")
        }
        #expect(taken > 20 && refused > 5, "seed \(seed): \(taken) taken, \(refused) refused")
        files.setCapacity(1 << 40)
        stage.world.pass(.seconds(20))
        #expect(stage.send(&generator) == nil, "seed \(seed)")
        #expect(stage.disk.room == .ample && stage.disk.ballastBytes == 256 << 10, "seed \(seed)")
        try stage.check("seed \(seed)")
        stage.world.cutPower(seed: seed)
        #expect(stage.world.boot(), "seed \(seed)")
        try stage.check("seed \(seed), after a power cut")
        stage.world.stop()
    }

    @Test("A budget is kept to, whatever the volume has")
    func budget() throws {
        var generator = SplitMix64(seed: 5)
        let stage = try Stage(seed: 5) { $0.diskBudget = 1_400 << 10 }
        let refusal = try #require(stage.fill(&generator))
        #expect(refusal.code == .readOnly)
        stage.world.pass(.seconds(5))
        #expect(stage.world.files.usedBytes < 1_400 << 10)
        #expect(stage.model.count > 50)
        try stage.check("at the budget")
        stage.world.stop()
        // More is allowed after a restart with another one.
        stage.world.configure = { $0.diskBudget = 20 << 20 }
        #expect(stage.world.boot())
        stage.world.pass(.seconds(5))
        #expect(stage.send(&generator) == nil)
        stage.world.stop()
    }

    @Test("A budget in which no message would ever be taken is refused at the start")
    func smallBudget() {
        let world = SimulatedNode(seed: 9)
        world.configure = { $0.diskBudget = 700 << 10 }
        #expect(!world.boot())
        #expect(world.startFailure?.contains("too small") == true, "\(world.startFailure ?? "")")
    }

    @Test("A full disk at the start: the ballast makes room for it")
    func start() throws {
        var generator = SplitMix64(seed: 6)
        let stage = try Stage(seed: 6)
        stage.world.pass(.seconds(5))
        #expect(stage.fill(&generator, max: 50) == nil)
        stage.world.stop()
        let files = stage.world.files
        files.setCapacity(files.usedBytes)
        #expect(stage.world.boot(), "\(stage.world.startFailure ?? "")")
        try stage.check("on a full disk")
        stage.world.stop()
    }

    // MARK: Rot

    /// Flips a bit in the first block of the largest table, which has the messages.
    private func damage(_ stage: Stage) throws {
        let files = stage.world.files
        let tables = files.paths.filter { $0.hasSuffix(".sst") }
        let largest = tables.max { files.contents($0)?.count ?? 0 < files.contents($1)?.count ?? 0 }
        files.flipBit(try #require(largest), offset: 5, bit: 1)
    }

    @Test("Alone, a node whose scrub finds rot says so, refuses what needs it, and goes on")
    func scrubAlone() throws {
        var generator = SplitMix64(seed: 7)
        let stage = try Stage(seed: 7)
        #expect(stage.fill(&generator, max: 60) == nil)
        stage.world.stop()
        #expect(stage.world.boot())
        stage.world.pass(.seconds(5))
        let sound = try #require(stage.world.node?.storageReport())
        #expect(sound.scrub.lastRound?.tables ?? 0 > 0 && sound.quarantined.isEmpty)
        stage.world.stop()
        try damage(stage)
        // A start reads the ends of tables alone, and begins a new round.
        #expect(stage.world.boot(), "\(stage.world.startFailure ?? "")")
        stage.world.pass(.seconds(5))
        let report = try #require(stage.world.node?.storageReport())
        #expect(report.scrub.lastRound?.findings == 1 && report.quarantined.count == 1)
        #expect(report.quarantined.first?.keyspace == "entries")
        #expect(stage.world.incidents.value.contains { $0.contains("quarantine") })
        #expect(stage.world.failure == nil)
        let page = stage.world.call { (node, answer: @escaping Answer<PageView>) in
            guard let conversation = stage.conversation else { return }
            node.page(conversation, .after(0), limit: 10, for: stage.ann, answer: answer)
        }
        guard case .failure(let error)? = page else {
            Issue.record("a page of damaged rows is answered: \(String(describing: page))")
            return
        }
        #expect(error.code == .internal)
        #expect(stage.send(&generator)?.code == .readOnly)
        #expect(stage.world.register("carol") != nil, "what is elsewhere goes on")
        #expect(stage.world.failure == nil)
        stage.world.stop()
    }
}
