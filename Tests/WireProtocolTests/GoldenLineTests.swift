import ChatModel
import Testing
import WireProtocol

/// The names that clients in other languages rely on.
@Suite("JSON lines are those of the protocol page")
struct GoldenLineTests {
    static let c = "11223344-5566-8788-99aa-bbccddeeff00"
    static let u = "00000000-0000-8001-8000-000000000001"
    static let p = "00000000-0000-8002-8000-000000000002"
    static let d = "00000000-0000-8003-8000-000000000003"
    static let b = "00000000-0000-8005-8000-000000000005"
    static let cid = "01020304-0506-4708-890a-0b0c0d0e0f10"

    static let clientLines: [String] = [
        #"{}"#,
        #"{"id":"1","auth":{"token":"t.o.k"}}"#,
        #"""
        {"id":"2","auth":{"ticket":"one","resume":{"epoch":"7",\#
        "feed":"1152921504606846976","have":{"\#(c)":"9"}}}}
        """#,
        #"""
        {"id":"3","send":{"conversation":"\#(c)","cid":"\#(cid)","text":"hello 你好 🐦",\#
        "replyTo":"3","mentions":["\#(p)"],"media":[{"blob":"\#(b)",\#
        "name":"bird.png"}]}}
        """#,
        #"{"send":{"user":"\#(p)","cid":"\#(cid)","text":"hi"}}"#,
        #"{"id":"4","edit":{"conversation":"\#(c)","target":"5","cid":"\#(cid)","text":"new"}}"#,
        #"{"id":"5","erase":{"conversation":"\#(c)","target":"5","cid":"\#(cid)","forAll":true}}"#,
        #"""
        {"id":"6","mark":{"marks":[{"conversation":"\#(c)","delivered":"0"},{\#
        "conversation":"\#(c)","read":"18446744073709551615"}]}}
        """#,
        #"{"typing":{"conversation":"\#(c)"}}"#,
        #"{"id":"7","pull":{"conversation":"\#(c)"}}"#,
        #"{"id":"8","pull":{"conversation":"\#(c)","before":"0","limit":1}}"#,
        #"{"id":"9","pull":{"conversation":"\#(c)","after":"0","limit":200}}"#,
        #"{"id":"a","pull":{"conversation":"\#(c)","around":"77"}}"#,
        #"{"id":"b","watch":{"conversations":["\#(c)"],"users":["\#(u)","\#(p)"]}}"#,
        #"{"id":"c","unwatch":{}}"#,
        #"{"id":"d","activity":{}}"#,
        #"{"id":"e","activity":{"active":true}}"#,
        #"{"id":"f","ping":{}}"#,
        #"{"id":"g","ping":{"feed":"0"}}"#,
        #"{"id":"h","search":{}}"#,
        #"""
        {"id":"i","search":{"q":"\"你好 bird\" -x from:ada","conversation":"\#(c)",\#
        "from":"\#(p)","beforeMs":"1700000000001","afterMs":"0",\#
        "has":["image","file","link","mention"],"sort":"relevance","limit":100,\#
        "cursor":"a+/=","utcOffsetMinutes":-210}}
        """#,
    ]

    static let media =
        #"""
        {"blob":"\#(b)","name":"bird.png","url":"/media/\#(b)?s=1","type":"image/png",\#
        "size":"8589934592","width":4}
        """#
    static let stamp = #""from":"\#(u)","atMs":"1700000000000""#
    static let entryLines: [String] = [
        #"""
        {"conversation":"\#(c)","seq":"2","m":"1","cid":"\#(cid)",\#(stamp),\#
        "message":{"text":"hello","replyTo":"1","mentions":["\#(p)"],\#
        "media":[\#(media)],"editedAtMs":"5","revision":"4"}}
        """#,
        #"""
        {"conversation":"\#(c)","seq":"3","m":"2","cid":"\#(cid)",\#(stamp),\#
        "message":{"erased":true,"revision":"9"}}
        """#,
        #"""
        {"conversation":"\#(c)","seq":"4","m":"3","cid":"\#(cid)",\#(stamp),"edit":{\#
        "target":"2","text":"hullo","media":[\#(media)]}}
        """#,
        #"""
        {"conversation":"\#(c)","seq":"5","m":"4","cid":"\#(cid)",\#(stamp),"erase":{\#
        "target":"3"}}
        """#,
        #"""
        {"conversation":"\#(c)","seq":"1","m":"0",\#(stamp),"membership":{\#
        "user":"\#(p)","change":"JOINED","role":"OWNER"}}
        """#,
        #"{"conversation":"\#(c)","seq":"6","m":"5",\#(stamp),"settings":{"title":""}}"#,
        #"{"conversation":"\#(c)","seq":"7","m":"6",\#(stamp),"settings":{}}"#,
    ]

    static let changed =
        #"""
        {"conversation":"\#(c)","head":"7","m":"2","floor":"1","unread":"0",\#
        "delivered":"7","read":"0","marks":[{"user":"\#(p)","delivered":"0",\#
        "read":"0"}],"last":\#(entryLines[3])}
        """#
    static let allEntries = entryLines.joined(separator: ",")
    static let serverLines: [String] =
        [
            #"""
            {"hello":{"protocol":1,"node":"n1","serverTimeMs":"1700000000000",\#
            "heartbeatSeconds":45,"limits":{"textBytes":16384,"mediaBytes":"104857600",\#
            "members":100000,"mediaPerMessage":20,"frameBytes":65536}}}
            """#,
            #"""
            {"ready":{"user":"\#(u)","device":"\#(d)","epoch":"1","feed":"12",\#
            "changed":[\#(changed)],"complete":false}}
            """#,
            #"{"changed":{"changed":[\#(changed)],"complete":true}}"#,
            #"""
            {"sent":{"conversation":"\#(c)","seq":"2","m":"1","atMs":"1700000000000",\#
            "cid":"\#(cid)","duplicate":false}}
            """#,
            #"{"gap":{"conversation":"\#(c)","head":"9"}}"#,
            #"{"mark":{"conversation":"\#(c)","user":"\#(p)","delivered":"5","read":"0"}}"#,
            #"{"typing":{"conversation":"\#(c)","user":"\#(p)"}}"#,
            #"{"presence":{"user":"\#(p)","state":"ONLINE"}}"#,
            #"{"presence":{"user":"\#(p)","state":"OFFLINE","lastSeenMs":"5"}}"#,
            #"""
            {"page":{"conversation":"\#(c)","entries":[\#(allEntries)],\#
            "more":true,"moreBefore":true,"moreAfter":false,"floor":"1"}}
            """#,
            #"""
            {"results":{"hits":[{"entry":\#(entryLines[0]),"snippet":"🐦 hello","highlights":[{\#
            "start":0,"length":2},{"start":3,"length":5}]},{"entry":{"conversation":"\#(c)",\#
            "seq":"8","m":"7","cid":"\#(cid)",\#(stamp),"message":{"text":"hi",\#
            "revision":"8"}}}],"cursor":"next","atLeast":3,"partial":true,"indexing":false,\#
            "sealedNotSearched":false}}
            """#,
            #"""
            {"results":{"atLeast":0,"partial":false,"indexing":true,"sealedNotSearched":true}}
            """#,
            #"{"pong":{"serverTimeMs":"1","feed":"0"}}"#,
            #"{"done":{}}"#,
            #"{"error":{"code":"rate_limited","detail":"slow down","retryAfterMs":"900"}}"#,
            #"{"error":{"code":"conflict","detail":"cid: used for another message"}}"#,
            #"{"closing":{"code":4001,"resume":true,"waitMs":"250"}}"#,
            #"{"closing":{"code":4502,"resume":false,"waitMs":"0"}}"#,
        ] + entryLines.map { #"{"entry":\#($0)}"# }

    @Test("client frames", arguments: zip(WireSamples.clientFrames, clientLines))
    func client(frame: ClientFrame, line: String) throws {
        #expect(text(ClientFrameEncoder.encode(frame, .json)) == line)
    }

    @Test("server frames", arguments: zip(WireSamples.serverFrames, serverLines))
    func server(frame: ServerFrame, line: String) throws {
        let bytes = ServerFrameEncoder.encode(frame, id: nil, .json, links: SampleLinks())
        #expect(text(bytes) == line)
    }

    @Test("there is a line for each sample")
    func counts() {
        #expect(WireSamples.clientFrames.count == Self.clientLines.count)
        #expect(WireSamples.serverFrames.count == Self.serverLines.count)
    }

    @Test("an answer repeats the id")
    func id() {
        let bytes = ServerFrameEncoder.encode(.done, id: "7", .json, links: SampleLinks())
        #expect(text(bytes) == #"{"id":"7","done":{}}"#)
    }

    @Test("a problem is what RFC 9457 asks for")
    func problem() {
        let error = ServiceError(.rateLimited, "slow down", retryAfterMs: 900)
        #expect(
            text(HTTPAnswerEncoder.problem(error))
                == #"""
                {"type":"about:blank","title":"Too Many Requests","status":429,\#
                "code":"rate_limited","detail":"slow down","retryAfterMs":"900"}
                """#
        )
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
