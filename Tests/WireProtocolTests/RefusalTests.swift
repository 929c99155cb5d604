import ChatModel
import Testing
import WireProtocol

@Suite("Wrong input is refused by name")
struct RefusalTests {
    static let c = GoldenLineTests.c
    static let p = GoldenLineTests.p
    static let cid = GoldenLineTests.cid

    static let rows: [(line: String, field: String)] = [
        (
            #"""
            {"id":"7","send":{"conversation":"nope","cid":"\#(cid)","text":"x"}}
            """#, "send.conversation"
        ),
        (#"{"id":"7","send":{"cid":"\#(cid)","text":"x"}}"#, "send.conversation"),
        (#"{"id":"7","send":{"conversation":"\#(c)","text":"x"}}"#, "send.cid"),
        (#"{"id":"7","send":{"conversation":"\#(c)","cid":5,"text":"x"}}"#, "send.cid"),
        (#"{"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)","text":["x"]}}"#, "send.text"),
        (#"{"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)"}}"#, "send.text"),
        (
            #"""
            {"id":"7","send":{"conversation":"\#(c)","user":"\#(p)","cid":"\#(cid)",\#
            "text":"x"}}
            """#, "send"
        ),
        (
            #"""
            {"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)","text":"x",\#
            "replyTo":-1}}
            """#, "send.replyTo"
        ),
        (
            #"""
            {"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)","text":"x",\#
            "replyTo":0}}
            """#, "send.replyTo"
        ),
        (
            #"""
            {"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)","text":"x",\#
            "mentions":["?"]}}
            """#, "send.mentions[0]"
        ),
        (
            #"""
            {"id":"7","send":{"conversation":"\#(c)","cid":"\#(cid)","text":"x","media":[{\#
            "name":"n"}]}}
            """#, "send.media[0].blob"
        ),
        (#"{"id":"7","send":"text"}"#, "send"),
        (#"{"id":"7","edit":{"conversation":"\#(c)","cid":"\#(cid)","text":"x"}}"#, "edit.target"),
        (
            #"""
            {"id":"7","edit":{"conversation":"\#(c)","target":"18446744073709551616",\#
            "cid":"\#(cid)"}}
            """#, "edit.target"
        ),
        (
            #"""
            {"id":"7","edit":{"conversation":"\#(c)","target":1.5,"cid":"\#(cid)",\#
            "text":"x"}}
            """#, "edit.target"
        ),
        (
            #"""
            {"id":"7","erase":{"conversation":"\#(c)","target":"1","cid":"\#(cid)"}}
            """#, "erase.forAll"
        ),
        (#"{"id":"7","mark":{"marks":[{"read":1}]}}"#, "mark.marks[0].conversation"),
        (#"{"id":"7","mark":{"marks":[{"conversation":"\#(c)","read":"x"}]}}"#, "mark.marks"),
        (#"{"id":"7","pull":{"conversation":"\#(c)","limit":201}}"#, "pull.limit"),
        (#"{"id":"7","pull":{"conversation":"\#(c)","limit":0}}"#, "pull.limit"),
        (#"{"id":"7","pull":{"conversation":"\#(c)","before":1,"after":2}}"#, "pull"),
        (#"{"id":"7","search":"text"}"#, "search"),
        (#"{"id":"7","search":{"q":7}}"#, "search.q"),
        (#"{"id":"7","search":{"conversation":"here"}}"#, "search.conversation"),
        (#"{"id":"7","search":{"from":"ada"}}"#, "search.from"),
        (#"{"id":"7","search":{"beforeMs":-1}}"#, "search.beforeMs"),
        (#"{"id":"7","search":{"afterMs":"soon"}}"#, "search.afterMs"),
        (#"{"id":"7","search":{"has":"image"}}"#, "search.has"),
        (#"{"id":"7","search":{"has":["image","sound"]}}"#, "search.has"),
        (#"{"id":"7","search":{"sort":"best"}}"#, "search.sort"),
        (#"{"id":"7","search":{"limit":0}}"#, "search.limit"),
        (#"{"id":"7","search":{"limit":101}}"#, "search.limit"),
        (#"{"id":"7","search":{"utcOffsetMinutes":1441}}"#, "search.utcOffsetMinutes"),
        (#"{"id":"7","auth":{}}"#, "auth.token"),
        (#"{"id":"7","auth":{"token":""}}"#, "auth.token"),
        (#"{"id":"7","auth":{"token":"t","resume":{"have":{"x":1}}}}"#, "auth.resume.have"),
        (#"{"id":"7","activity":{"active":"yes"}}"#, "activity.active"),
        (#"{"id":"7","typing":{}}"#, "typing.conversation"),
        (#"{"id":"7","ping":{},"activity":{}}"#, "frame"),
        (#"{"id":"7","react":{"emoji":"x"}}"#, "frame"),
    ]

    @Test("the field is named and the id kept", arguments: rows)
    func named(row: (line: String, field: String)) {
        let refusal = refusal(of: row.line)
        #expect(refusal?.id == "7")
        #expect(refusal?.error.code == .invalidArgument)
        let detail = refusal?.error.detail ?? ""
        #expect(detail.hasPrefix("\(row.field):"), "\(detail)")
    }

    @Test(
        "what is no object at all is refused without an id",
        arguments: [
            "", "x", "[]", "7", "null ", "{\"id\":\"7\"", "{\"id\":7}", "\u{FEFF}{}", "{}{}",
        ])
    func garbage(line: String) {
        let refusal = refusal(of: line)
        #expect(refusal?.error.code == .invalidArgument)
        #expect(refusal?.id == nil)
    }

    @Test("unknown fields are ignored, and a body of another version without an id too")
    func unknown() throws {
        let line =
            #"{"id":"1","new":{"deep":[[[{}]]]},"typing":{"conversation":"\#(Self.c)","x":null}}"#
        let frame = try ClientFrameDecoder.decode(Array(line.utf8), .json, Limits())
        #expect(frame.body == .typing(WireSamples.conversation))
        let react = Array(#"{"react":{"emoji":"x"}}"#.utf8)
        #expect(try ClientFrameDecoder.decode(react, .json, Limits()).body == nil)
    }

    @Test("numbers may come as numbers or as text")
    func numbers() throws {
        for number in ["5", "\"5\"", "5.0", "5e0"] {
            let line = #"{"pull":{"conversation":"\#(Self.c)","after":\#(number)}}"#
            let frame = try ClientFrameDecoder.decode(Array(line.utf8), .json, Limits())
            #expect(frame.body == .pull(WireSamples.conversation, .after(5), limit: nil))
        }
    }

    @Test("limits hold at their edge")
    func limits() throws {
        var limits = Limits()
        limits.textBytes = 8
        limits.mentionsPerMessage = 1
        limits.mediaPerMessage = 1
        func send(_ content: MessageContent) -> ErrorCode? {
            let frame = ClientFrame(
                id: "1",
                body: .send(.user(WireSamples.peer), cid: WireSamples.cid, content: content))
            do throws(RejectedFrame) {
                _ = try ClientFrameDecoder.decode(
                    ClientFrameEncoder.encode(frame, .binary), .binary, limits)
                return nil
            } catch {
                return error.error.code
            }
        }
        let media = MediaReference(blob: WireSamples.blob, name: "n")
        #expect(send(MessageContent(text: "12345678")) == nil)
        #expect(send(MessageContent(text: "123456789")) == .tooLarge)
        #expect(send(MessageContent(text: "", media: [media])) == nil)
        #expect(send(MessageContent(text: "", media: [media, media])) == .invalidArgument)
        #expect(send(MessageContent(text: "x", mentions: [WireSamples.user])) == nil)
        #expect(
            send(MessageContent(text: "x", mentions: [WireSamples.user, WireSamples.peer]))
                == .invalidArgument)
    }

    @Test("an id has at most 64 bytes")
    func idLength() throws {
        let good = #"{"id":"\#(String(repeating: "i", count: 64))","ping":{}}"#
        #expect(refusal(of: good) == nil)
        let bad = #"{"id":"\#(String(repeating: "i", count: 65))","ping":{}}"#
        #expect(refusal(of: bad)?.id == nil)
        #expect(refusal(of: bad)?.error.code == .invalidArgument)
    }

    @Test("two bodies in one binary frame are refused")
    func twoBodies() {
        let ping = ClientFrameEncoder.encode(ClientFrame(id: "1", body: .ping(feed: 1)), .binary)
        let activity = ClientFrameEncoder.encode(
            ClientFrame(id: nil, body: .activity(isActive: true)), .binary)
        do throws(RejectedFrame) {
            _ = try ClientFrameDecoder.decode(ping + activity, .binary, Limits())
            Issue.record("accepted")
        } catch {
            #expect(error.id == "1")
            #expect(error.error.code == .invalidArgument)
        }
    }

    @Test("nesting without end is refused, not followed")
    func nesting() {
        for opening in ["[", "{\"a\":", "[{\"a\":"] {
            let line = "{\"x\":" + String(repeating: opening, count: 20_000)
            #expect(refusal(of: line)?.error.code == .invalidArgument)
        }
    }

    @Test("HTTP bodies name their fields too")
    func bodies() {
        let limits = Limits()
        expect("kind") { () throws(ServiceError) in
            try HTTPBodyDecoder.conversation(bytes(#"{"kind":"CLUB","members":[]}"#), .json, limits)
        }
        expect("members") { () throws(ServiceError) in
            try HTTPBodyDecoder.conversation(bytes(#"{"kind":"DIRECT"}"#), .json, limits)
        }
        expect("role") { () throws(ServiceError) in
            try HTTPBodyDecoder.role(bytes(#"{"role":"KING"}"#), .json)
        }
        expect("lastSeenVisibility") { () throws(ServiceError) in
            try HTTPBodyDecoder.profile(bytes(#"{"lastSeenVisibility":"X"}"#), .json, limits)
        }
        expect("username") { () throws(ServiceError) in
            try HTTPBodyDecoder.account(bytes(#"{"password":"x"}"#), .json, limits)
        }
        expect("password") { () throws(ServiceError) in
            try HTTPBodyDecoder.session(bytes(#"{"username":"x","password":7}"#), .json, limits)
        }
        expect("cid") { () throws(ServiceError) in
            try HTTPBodyDecoder.send(
                bytes(#"{"text":"x"}"#), .json, to: WireSamples.conversation, idempotencyKey: nil,
                limits)
        }
    }

    @Test("the idempotency key stands in for a missing cid")
    func idempotencyKey() throws {
        let body = try HTTPBodyDecoder.send(
            bytes(#"{"text":"x"}"#), .json, to: WireSamples.conversation,
            idempotencyKey: Self.cid, Limits())
        #expect(body.cid == WireSamples.cid)
    }

    @Test("content types and Accept choose the encoding")
    func encodings() {
        #expect(WireEncoding(contentType: nil) == .json)
        #expect(WireEncoding(contentType: "Application/JSON; charset=utf-8") == .json)
        #expect(WireEncoding(contentType: "application/x-protobuf") == .binary)
        #expect(WireEncoding(contentType: "text/html") == nil)
        #expect(WireEncoding.forAnswer(accept: "*/*", contentType: nil) == .json)
        #expect(
            WireEncoding.forAnswer(accept: "text/x, application/x-protobuf;q=1", contentType: nil)
                == .binary)
        #expect(
            WireEncoding.forAnswer(accept: nil, contentType: "application/x-protobuf") == .binary)
    }

    private func bytes(_ line: String) -> [UInt8] { Array(line.utf8) }

    private func expect<Value>(_ field: String, _ body: () throws(ServiceError) -> Value) {
        do throws(ServiceError) {
            _ = try body()
            Issue.record("\(field): accepted")
        } catch {
            #expect(error.code == .invalidArgument)
            #expect(error.detail.hasPrefix("\(field):"), "\(error.detail)")
        }
    }

    private func refusal(of line: String) -> RejectedFrame? {
        do throws(RejectedFrame) {
            _ = try ClientFrameDecoder.decode(Array(line.utf8), .json, Limits())
            return nil
        } catch {
            return error
        }
    }
}
