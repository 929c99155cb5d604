import Bytes
import Secrets
import Testing

@Suite struct DigestTests {
    @Test("SHA-256 gives the digests of FIPS 180-4's examples, whole and in parts")
    func digest() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(Hex.encode(SHA256.hash(Array("abc".utf8))) == abc)
        var stream = SHA256Stream()
        stream.update(Array("a".utf8))
        stream.update([])
        stream.update(Array("bc".utf8))
        #expect(Hex.encode(stream.finish()) == abc)
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(Hex.encode(SHA256.hash([])) == empty)
    }

    @Test("HMAC gives RFC 4231's second case, and comparing sees one bit")
    func mac() {
        let mac = HMAC.sha256(
            key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        #expect(
            Hex.encode(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        var other = mac
        other[31] ^= 1
        #expect(HMAC.isEqual(mac, mac) && !HMAC.isEqual(mac, other))
        #expect(!HMAC.isEqual(mac, Array(mac.dropLast())))
    }
}

@Suite struct PasswordHashTests {
    private let cost = PasswordHash.Cost(logN: 4, r: 8, p: 1)

    @Test("A password opens its own credential and no other does")
    func verify() {
        let salt = [UInt8](0..<16)
        let credential = PasswordHash.credential(password: "pa\u{0}ss é", salt: salt, cost: cost)
        #expect(PasswordHash.verify(password: "pa\u{0}ss é", credential: credential))
        #expect(!PasswordHash.verify(password: "pa\u{0}ss e", credential: credential))
        #expect(!PasswordHash.verify(password: "", credential: credential))
        let other = PasswordHash.credential(
            password: "pa\u{0}ss é", salt: [UInt8](1...16), cost: cost)
        #expect(other != credential)
    }

    @Test("Bytes that are no credential open nothing and never trap")
    func hostile() {
        let good = PasswordHash.credential(password: "p", salt: [UInt8](0..<16), cost: cost)
        for count in 0..<good.count {
            #expect(!PasswordHash.verify(password: "p", credential: Array(good.prefix(count))))
        }
        for index in 0..<20 {
            for bit in 0..<8 {
                var bad = good
                bad[index] ^= 1 << UInt8(bit)
                if index == 1 && bad[1] > 14 { continue }
                #expect(!PasswordHash.verify(password: "p", credential: bad))
            }
        }
    }
}

@Suite struct SealedTokenTests {
    private let key = [UInt8](repeating: 7, count: 32)

    @Test("A token opens with its key and purpose only, and no changed character passes")
    func tamper() {
        let token = SealedToken.seal(purpose: 1, payload: [1, 2, 3], key: key)
        #expect(SealedToken.open(token, purpose: 1, key: key) == [1, 2, 3])
        #expect(SealedToken.open(token, purpose: 2, key: key) == nil)
        #expect(SealedToken.open(token, purpose: 1, key: [9]) == nil)
        let text = Array(token.utf8)
        for index in text.indices {
            for other in Array("Ab0-_.!".utf8) where other != text[index] {
                var changed = text
                changed[index] = other
                let forged = String(decoding: changed, as: UTF8.self)
                #expect(SealedToken.open(forged, purpose: 1, key: key) == nil)
            }
        }
        #expect(SealedToken.open("", purpose: 1, key: key) == nil)
    }

    @Test("Base64url goes both ways for every length and refuses what is not canonical")
    func base64() {
        var generator = SplitMix64(seed: 3)
        for count in 0..<70 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        #expect(Base64URL.decode("AB") == nil && Base64URL.decode("A") == nil)
        #expect(Base64URL.decode("AA==") == nil && Base64URL.decode("A+AA") == nil)
    }
}
