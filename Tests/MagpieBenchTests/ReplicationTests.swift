import Bytes
import ChatModel
import NIOCore
import NIOEmbedded
import Testing
import WireProtocol

@testable import MagpieBench

/// What links told, in order.
private final class Heard {
    var events: [String] = []

    func note(_ event: LinkEvent) {
        switch event {
        case .opened: events.append("opened")
        case .acknowledged(let number): events.append("acknowledged \(number)")
        case .refused(let number, _): events.append("refused \(number)")
        case .closed: events.append("closed")
        }
    }
}

/// A link on a channel without a socket.
private struct Bench {
    let channel = EmbeddedChannel()
    let heard: Heard

    init(_ link: Link, _ heard: Heard) throws {
        self.heard = heard
        try channel.pipeline.syncOperations.addHandler(link)
        channel.pipeline.fireChannelActive()
        channel.embeddedEventLoop.run()
    }

    /// What the link wrote since the last call.
    func written() throws -> [UInt8] {
        channel.embeddedEventLoop.run()
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            bytes += Array(buffer.readableBytesView)
        }
        return bytes
    }

    /// Bytes from the server, `step` at a time.
    func hear(_ bytes: [UInt8], step: Int) throws {
        for start in stride(from: 0, to: bytes.count, by: step) {
            let piece = bytes[start..<min(start + step, bytes.count)]
            try channel.writeInbound(ByteBuffer(bytes: piece))
        }
        channel.embeddedEventLoop.run()
    }
}

@Suite struct LinkTests {
    @Test("A message of Magpie by hand is what the protocol's own encoder makes")
    func magpieFrame() throws {
        let conversation = ConversationID(high: 7, low: 9)
        let frame = MagpieLink.frame(0x1234_5678, to: Array(conversation.description.utf8))
        let content = MessageContent(
            text: String(decoding: Bodies.body(0x1234_5678), as: UTF8.self))
        let expected = ClientFrame(
            id: "0000000012345678",
            body: .send(
                .conversation(conversation), cid: MagpieLink.cid(0x1234_5678), content: content))
        #expect(Array(frame.readableBytesView) == ClientFrameEncoder.encode(expected, .binary))
        #expect(content.text.utf8.count == Bodies.bytes)
    }

    @Test("Numbers go through their digits and back", arguments: [0, 1, 0xABCDEF, UInt64.max])
    func digits(_ number: UInt64) {
        #expect(number.hexDigits.count == 16)
        #expect(UInt64(hexDigits: number.hexDigits) == number)
        #expect(UInt64(hexDigits: Array("12g4".utf8)) == nil)
        #expect(UInt64(hexDigits: [UInt8]()) == nil)
    }

    @Test("Answers of NATS are understood in pieces of any size", arguments: [1, 2, 7, 10_000])
    func natsAnswers(step: Int) throws {
        let heard = Heard()
        let link = NatsLink(subjects: ["m0"], inbox: "_I", isDeduplicated: false) { heard.note($0) }
        let bench = try Bench(link, heard)
        #expect(
            String(decoding: try bench.written(), as: UTF8.self).hasSuffix("SUB _I.* 1\r\nPING\r\n")
        )
        let good = #"{"stream":"m0","seq":1}"#
        let bad = #"{"error":{"code":503}}"#
        let text =
            "INFO {}\r\nPONG\r\nMSG _I.0000000000000001 1 \(good.utf8.count)\r\n\(good)\r\nPING\r\n"
            + "MSG _I.0000000000000002 1 \(bad.utf8.count)\r\n\(bad)\r\n"
            + "HMSG _I.0000000000000003 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
        try bench.hear(Array(text.utf8), step: step)
        #expect(heard.events == ["opened", "acknowledged 1", "refused 2", "refused 3"])
        #expect(String(decoding: try bench.written(), as: UTF8.self) == "PONG\r\n")
    }

    @Test("A message to NATS names its length, and its id when repeats are to be known")
    func natsMessages() throws {
        for isDeduplicated in [false, true] {
            let heard = Heard()
            let link = NatsLink(subjects: ["m0"], inbox: "_I", isDeduplicated: isDeduplicated) {
                heard.note($0)
            }
            let bench = try Bench(link, heard)
            _ = try bench.written()
            link.send(0x2A)
            let body = String(decoding: Bodies.body(0x2A), as: UTF8.self)
            let head = "NATS/1.0\r\nNats-Msg-Id:000000000000002a\r\n\r\n"
            let expected =
                isDeduplicated
                ? "HPUB m0 _I.000000000000002a \(head.utf8.count) \(head.utf8.count + 300)\r\n"
                    + "\(head)\(body)\r\n"
                : "PUB m0 _I.000000000000002a 300\r\n\(body)\r\n"
            #expect(String(decoding: try bench.written(), as: UTF8.self) == expected)
        }
    }

    @Test(
        "A Put of etcd stands when a message came before the trailers", arguments: [1, 5, 10_000])
    func etcdAnswers(step: Int) throws {
        let heard = Heard()
        let link = EtcdLink { heard.note($0) }
        let bench = try Bench(link, heard)
        link.send(10)
        link.send(11)
        _ = try bench.written()
        func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
            [0, 0, UInt8(payload.count), type, flags, 0, 0, 0, stream] + payload
        }
        let bytes =
            frame(4, 0, 0, []) + frame(1, 4, 1, [0x88]) + frame(0, 0, 1, [0, 0, 0, 0, 0])
            + frame(1, 5, 3, [0x88]) + frame(1, 5, 1, [0x88])
            + frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8])
        try bench.hear(bytes, step: step)
        #expect(heard.events == ["opened", "refused 11", "acknowledged 10"])
        let acks = frame(4, 1, 0, []) + frame(6, 1, 0, [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(try bench.written() == acks)
    }
}

/// A cluster in memory whose links answer as a script says.
private final class ScriptedCluster: ReplicaCluster, @unchecked Sendable {
    // Touched on the one thread of its test.
    let engine = ReplicationEngine.magpie
    let servers: [Int32] = []
    var answer: (UInt64, Int) -> LinkEvent?
    var received: [UInt64: Int] = [:]
    var dials = 0

    init(_ answer: @escaping (UInt64, Int) -> LinkEvent?) { self.answer = answer }

    func start() throws {}
    func leader() throws -> Int { 0 }
    func stop() {}
    func verify(last: UInt64, open: Set<UInt64>, survivor: Int) throws -> Verdict {
        Verdict(lost: 0, repeated: 0, method: "none")
    }

    func makeLink(
        _ index: Int, attempt: Int, on loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    ) -> Link {
        dials += 1
        let link = ScriptedLink(self, loop, report: report)
        loop.assumeIsolated().execute { link.tell(.opened) }
        return link
    }
}

private final class ScriptedLink: Link {
    private let cluster: ScriptedCluster
    private let loop: any EventLoop

    init(
        _ cluster: ScriptedCluster, _ loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    ) {
        self.cluster = cluster
        self.loop = loop
        super.init(report: report)
    }

    override func send(_ number: UInt64) {
        cluster.received[number, default: 0] += 1
        guard let event = cluster.answer(number, cluster.received[number] ?? 0) else { return }
        loop.assumeIsolated().execute { self.tell(event) }
    }
}

@Suite struct LoadGeneratorTests {
    @Test("Refused messages and those of a broken connection are sent until they stand")
    func repeats() throws {
        let loop = EmbeddedEventLoop()
        let cluster = ScriptedCluster { number, times in
            if number % 5 == 0, times == 1 { return .refused(number, reason: "no") }
            if number == 7, times == 1 { return .closed(reason: "gone") }
            return .acknowledged(number)
        }
        let generator = LoadGenerator(
            cluster, on: loop, options: .init(connections: 2, resendAfter: .seconds(10)), after: 0)
        var isOpen = false
        generator.open().assumeIsolated().whenSuccess { isOpen = true }
        loop.run()
        #expect(isOpen)
        generator.beginWindow()
        generator.start(inFlight: 4)
        // Each turn of the loop answers what was sent; the loop never comes to rest by itself.
        cluster.answer = { [answer = cluster.answer] number, times in
            number > 100 ? nil : answer(number, times)
        }
        loop.advanceTime(by: .milliseconds(200))
        let window = generator.endWindow()
        var isDrained = false
        generator.drain().assumeIsolated().whenSuccess { isDrained = true }
        for number in generator.unanswered { #expect(number > 100) }
        #expect(window.acknowledged == 100)
        #expect(window.errors == 21)
        #expect(cluster.dials == 3)
        #expect(Set(cluster.received.keys) == Set(1...generator.lastNumber))
        #expect(!isDrained)
        generator.close()
        loop.run()
    }
}

@Suite struct ReplicationReportTests {
    private func report() throws -> ReplicationReport {
        func load(_ engine: ReplicationEngine, _ count: Int, cpu: Double) -> LoadMeasurement {
            LoadMeasurement(
                engine: engine, inFlight: 16, seconds: 1, acknowledged: count, p50Us: 1, p99Us: 2,
                p999Us: 3, cpuSeconds: cpu, clientCPUSeconds: 0, otherCPUSeconds: 0, deviceBytes: 0,
                deviceFlushes: 0,
                residentBytes: 0, errors: 0, reason: "")
        }
        let setup = ReplicationSetup(
            versions: [:], settings: [:], cpu: "", kernel: "", loadAverageBefore: 0,
            loadAverageAfter: 0, syncsPerSecondAlone: [], syncsPerSecondOfThree: [],
            bodyBytes: 300, repetitions: 3, seconds: 1, warmUpSeconds: 1)
        let plan = ReplicationRun.Plan(
            engines: [.magpie, .etcd], programs: [:], inFlight: [16], repetitions: 3, seconds: 1,
            warmUp: 1, kills: 1, conversations: 1, members: 1, streams: 1, directory: "", port: 1)
        let kill = KillMeasurement(
            engine: .etcd, slotGap: 1.5, allGap: 1, sent: 10, unanswered: 0,
            verdict: Verdict(lost: 0, repeated: nil, method: "counted"))
        return ReplicationReport(
            setup: setup,
            loads: [
                load(.magpie, 500, cpu: 1), load(.magpie, 900, cpu: 1), load(.magpie, 700, cpu: 1),
                load(.etcd, 1_400, cpu: 1),
            ], kills: [kill], plan: plan)
    }

    @Test("A result is the median of its runs, and a ratio on the wrong side is called a loss")
    func medians() throws {
        let report = try report()
        #expect(report.loads.first?.acknowledgedPerSecond.median == 700)
        #expect(report.loads.first?.acknowledgedPerSecond.max == 900)
        let lines = ReplicationTable(report: report).lines
        #expect(lines.contains { $0.hasPrefix("| 16") && $0.contains("0.50 loss") })
        #expect(lines.contains { $0.hasPrefix("| 16") && $0.contains("2.00 loss") })
        #expect(lines.contains { $0.hasPrefix("| etcd") && $0.contains("cannot tell") })
        #expect(try report.jsonLines().count == 4)
    }

    @Test("Names of engines that are not there are refused")
    func engines() throws {
        #expect(try ReplicationEngine.parse("nats-default,magpie") == [.natsDefault, .magpie])
        #expect(throws: UsageError.self) { try ReplicationEngine.parse("magpie,") }
        #expect(throws: UsageError.self) { try PeerProgram.path(.etcd, given: "/nowhere/etcd") }
    }
}
