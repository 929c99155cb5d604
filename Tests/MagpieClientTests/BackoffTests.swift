import MagpieClient
import Testing

struct BackoffTests {
    @Test("waits stay under a ceiling that doubles up to the cap", arguments: 1...10)
    func ceilings(seed: UInt64) {
        var backoff = Backoff(base: .milliseconds(100), cap: .seconds(2), seed: seed)
        for ceiling in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            #expect(backoff.next() <= .milliseconds(ceiling), "seed \(seed)")
        }
        backoff.reset()
        #expect(backoff.next() <= .milliseconds(100), "seed \(seed)")
    }

    @Test("a server's wish is a floor")
    func floor() {
        var backoff = Backoff(base: .milliseconds(100), cap: .seconds(2), seed: 1)
        for _ in 0..<20 { #expect(backoff.next(floor: .seconds(5)) >= .seconds(5)) }
    }

    @Test("different seeds wait differently")
    func jitter() {
        let waits = (0..<50 as Range<UInt64>).map { seed in
            var backoff = Backoff(seed: seed)
            return backoff.next()
        }
        #expect(Set(waits).count > 40)
    }
}

struct ServerAddressTests {
    @Test(
        "URLs are read",
        arguments: [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080), ("http://a.example", "a.example", 80),
            ("ws://h:1/v1/ws?x", "h", 1), ("http://[::1]:9/", "::1", 9),
            ("http://[::1]", "::1", 80),
        ])
    func good(row: (url: String, host: String, port: Int)) {
        let address = ServerAddress(row.url)
        #expect(address?.host == row.host)
        #expect(address?.port == row.port)
    }

    @Test(
        "what is no URL of a server is refused",
        arguments: [
            "", "127.0.0.1:8080", "https://h", "http://", "http://h:0", "http://h:65536",
            "http://h:x", "http://u:p@h", "http://[::1", "http://[::1]x",
        ])
    func bad(url: String) {
        #expect(ServerAddress(url) == nil)
    }
}
