import Testing

@testable import WebSocketCodec

struct WebSocketHandshakeTests {
    @Test("the accept value is the RFC's example")
    func accept() {
        #expect(
            WebSocketHandshake.accept(forKey: "dGhlIHNhbXBsZSBub25jZQ==")
                == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test(
        "SHA-1 gives the published digests",
        arguments: [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
            ),
            (String(repeating: "a", count: 1000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
        ])
    func sha1(message: String, digest: String) {
        let hex = SHA1.digest([UInt8](message.utf8)).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        #expect(hex == digest)
    }

    @Test("only the base64 of 16 bytes is a key")
    func keys() {
        #expect(WebSocketHandshake.isValidKey("dGhlIHNhbXBsZSBub25jZQ=="))
        #expect(WebSocketHandshake.isValidKey(WebSocketHandshake.makeKey(0, .max)))
        #expect(WebSocketHandshake.makeKey(0, 0) == "AAAAAAAAAAAAAAAAAAAAAA==")
        let bad = [
            "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBs!SBub25jZQ==",
            "dGhlIHNhbXBsZSBub25j====", "====", "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        ]
        for key in bad { #expect(!WebSocketHandshake.isValidKey(key), "\(key)") }
    }

    @Test(
        "base64 encodes the RFC's examples",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ])
    func base64(plain: String, encoded: String) {
        #expect(Base64.encode([UInt8](plain.utf8)) == encoded)
        #expect(Base64.decodedCount(encoded) == plain.utf8.count)
    }

    @Test("the first offer that this side speaks is chosen")
    func subprotocols() {
        let supported = ["magpie.v1.json", "magpie.v1.proto"]
        func choose(_ headers: String...) -> WebSocketHandshake.Subprotocol {
            WebSocketHandshake.choose(offered: headers, supported: supported)
        }
        #expect(choose() == .notOffered)
        #expect(choose(" , ,") == .notOffered)
        #expect(choose("magpie.v1.proto, magpie.v1.json") == .chosen("magpie.v1.proto"))
        #expect(choose("other", " magpie.v1.json\t") == .chosen("magpie.v1.json"))
        #expect(choose("Magpie.V1.Json") == .noneInCommon)
    }

    @Test("a list header names a token whatever its case")
    func listHeaders() {
        #expect(WebSocketHandshake.names(["keep-alive, Upgrade"], "upgrade"))
        #expect(!WebSocketHandshake.names(["keep-alive, Upgraded"], "upgrade"))
        #expect(!WebSocketHandshake.names([], "upgrade"))
    }
}

struct WebSocketCloseHandshakeTests {
    @Test("the side that is asked answers once")
    func peerFirst() {
        var handshake = WebSocketCloseHandshake()
        #expect(handshake.maySend)
        let first = handshake.received(.goingAway)
        #expect(first == .reply(.goingAway))
        #expect(!handshake.maySend)
        let late = (handshake.close(), handshake.received(.normal))
        #expect(late == (false, .ignore))
    }

    @Test("the side that asks ends it with the answer")
    func ownFirst() {
        var handshake = WebSocketCloseHandshake()
        let first = handshake.close()
        let second = handshake.close()
        #expect(first && !second)
        #expect(!handshake.maySend)
        let answers = [handshake.received(nil), handshake.received(nil)]
        #expect(answers == [.finish, .ignore])
    }
}
