import ChatModel
import Testing
import WireProtocol

@Suite("Frames and bodies survive both encodings")
struct RoundTripTests {
    @Test("every client frame reads back as it was", arguments: WireEncoding.allCases)
    func clientFrames(encoding: WireEncoding) throws {
        for frame in WireSamples.clientFrames {
            let bytes = ClientFrameEncoder.encode(frame, encoding)
            // What only the server fills in isn't sent.
            #expect(try ClientFrameDecoder.decode(bytes, encoding, Limits()) == frame)
        }
    }

    @Test("every server frame reads back as it was", arguments: WireEncoding.allCases)
    func serverFrames(encoding: WireEncoding) throws {
        for (index, frame) in WireSamples.serverFrames.enumerated() {
            let id = index.isMultiple(of: 2) ? "\(index)" : nil
            let bytes = ServerFrameEncoder.encode(frame, id: id, encoding, links: SampleLinks())
            let back = try ServerFrameDecoder.decode(bytes, encoding)
            #expect(back.id == id)
            #expect(back.frame == frame)
        }
    }

    @Test("media comes with the links of the moment", arguments: WireEncoding.allCases)
    func media(encoding: WireEncoding) throws {
        let bytes = ServerFrameEncoder.encode(
            .page(WireSamples.page), id: nil, encoding, links: SampleLinks())
        let urls = try ServerFrameDecoder.decode(bytes, encoding).mediaURLs
        #expect(urls.map(\.url) == Array(repeating: "/media/\(WireSamples.blob)?s=1", count: 2))
    }

    @Test("HTTP bodies read back as they were", arguments: WireEncoding.allCases)
    func bodies(encoding: WireEncoding) throws {
        let limits = Limits()
        for displayName in [nil, "", "Ada"] {
            let account = AccountBody(
                username: "ada", password: "secret one", displayName: displayName, deviceName: "d")
            let bytes = HTTPBodyEncoder.account(account, encoding)
            #expect(try HTTPBodyDecoder.account(bytes, encoding, limits) == account)
        }
        let session = SessionBody(username: "ada", password: "secret one", deviceName: "")
        #expect(
            try HTTPBodyDecoder.session(
                HTTPBodyEncoder.session(session, encoding), encoding, limits) == session)
        for profile in [
            ProfileBody(), ProfileBody(displayName: "", avatar: "", isLastSeenVisible: false),
            ProfileBody(
                avatar: WireSamples.blob.description, password: "new one 2",
                currentPassword: "secret one", isLastSeenVisible: true),
        ] {
            let bytes = HTTPBodyEncoder.profile(profile, encoding)
            #expect(try HTTPBodyDecoder.profile(bytes, encoding, limits) == profile)
        }
        for body in [
            ConversationBody.direct(peer: WireSamples.peer),
            .group(members: [], title: "", cid: nil),
            .group(members: [WireSamples.peer], title: "three", cid: WireSamples.cid),
        ] {
            let bytes = HTTPBodyEncoder.conversation(body, encoding)
            #expect(try HTTPBodyDecoder.conversation(bytes, encoding, limits) == body)
        }
        for title in [nil, "", "new"] {
            let bytes = HTTPBodyEncoder.conversationPatch(title: title, encoding)
            #expect(try HTTPBodyDecoder.conversationPatch(bytes, encoding, limits) == title)
        }
        for role in [Role.member, .admin, .owner] {
            #expect(
                try HTTPBodyDecoder.role(HTTPBodyEncoder.role(role, encoding), encoding) == role)
        }
        let send = SendBody(cid: WireSamples.cid, content: WireSamples.content)
        #expect(
            try HTTPBodyDecoder.send(
                HTTPBodyEncoder.send(send, encoding), encoding, to: WireSamples.conversation,
                idempotencyKey: nil, limits) == send)
    }

    @Test("HTTP answers read back as they were", arguments: WireEncoding.allCases)
    func answers(encoding: WireEncoding) throws {
        let encoder = HTTPAnswerEncoder(encoding, links: SampleLinks())
        let user = UserView(
            id: WireSamples.user, username: "ada", displayName: "Ada", avatar: "")
        let signedIn = SignedIn(
            user: user, device: WireSamples.device, token: "t", expiresAtMs: 1 << 41)
        let node = NodeView(id: "n1", url: "http://h:1", load: 0.25, isSelf: true)
        let answer = try HTTPAnswerDecoder.signedIn(
            encoder.signedIn(signedIn, websocketURL: "ws://h:1/v1/ws", nodes: [node]), encoding)
        #expect(answer.session == signedIn)
        #expect(answer.websocketURL == "ws://h:1/v1/ws")
        #expect(answer.nodes == [node])

        let view = WireSamples.conversationView
        #expect(
            try HTTPAnswerDecoder.conversation(encoder.conversation(view), encoding) == view)
        let list = ListView(items: [view], cursor: "next")
        #expect(try HTTPAnswerDecoder.conversations(encoder.conversations(list), encoding) == list)
        let page = WireSamples.page
        #expect(try HTTPAnswerDecoder.page(encoder.page(page), encoding).page == page)
        for results in [WireSamples.results, WireSamples.noResults] {
            let bytes = encoder.results(results)
            #expect(try HTTPAnswerDecoder.results(bytes, encoding).results == results)
        }
        #expect(try HTTPAnswerDecoder.users(encoder.users([user]), encoding) == [user])
        #expect(
            try HTTPAnswerDecoder.sent(encoder.sent(WireSamples.sent), encoding)
                == WireSamples.sent)
        let presence = PresenceView(user: WireSamples.peer, state: .away, lastSeenMs: 3)
        #expect(
            try HTTPAnswerDecoder.presence(encoder.presence([presence]), encoding) == [presence])
        let blob = BlobView(
            blob: WireSamples.blob, url: "/media/x", size: 0, type: "image/png",
            contentHash: [UInt8](repeating: 0xAB, count: 32))
        #expect(try HTTPAnswerDecoder.upload(encoder.upload(blob), encoding) == blob)
    }

    @Test("a problem reads back, and a bare status still means something")
    func problems() {
        for code in ErrorCode.allCases {
            let error = ServiceError(code, "why", retryAfterMs: code == .rateLimited ? 5 : nil)
            let bytes = HTTPAnswerEncoder.problem(error)
            #expect(HTTPAnswerDecoder.problem(status: code.status, bytes) == error)
            #expect(HTTPAnswerDecoder.problem(status: code.status, []).code == code)
        }
        #expect(HTTPAnswerDecoder.problem(status: 502, [0x3C]).code == .unavailable)
    }
}
