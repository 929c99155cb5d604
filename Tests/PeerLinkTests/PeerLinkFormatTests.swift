import Bytes
import Foundation
import Replication
import Testing

@testable import PeerLink

@Suite struct PeerLinkFormatTests {
    private static let hello = PeerHello(
        node: 2, incarnation: 0x0102_0304_0506_0708, cluster: [UInt8](0x10..<0x20),
        clusterName: "lab")
    private static let greetings: [Greeting] = [
        .hello(hello),
        .hello(PeerHello(node: 65_535, incarnation: .max, cluster: [], clusterName: "é")),
        .hello(
            PeerHello(
                node: 1, incarnation: 0, cluster: [UInt8](repeating: 255, count: 16),
                clusterName: String(repeating: "n", count: 255))),
        .refusal(PeerRefusal(code: .duplicate, text: "node 2 is already connected")),
        .refusal(PeerRefusal(code: .version, text: String(repeating: "t", count: 512))),
        .refusal(PeerRefusal(code: .certificate, text: "")),
    ]

    private func decode(_ bytes: [UInt8]) throws -> Greeting? {
        try bytes.withUnsafeBytes { try PeerLinkFormat.decode($0)?.greeting }
    }

    @Test("A greeting comes back as it was said, and takes only its own bytes")
    func roundTrip() throws {
        for greeting in Self.greetings {
            let bytes = PeerLinkFormat.encode(greeting)
            #expect(try decode(bytes) == greeting)
            let more = bytes + [1, 2, 3]
            let count = try more.withUnsafeBytes { try PeerLinkFormat.decode($0)?.byteCount }
            #expect(count == bytes.count)
        }
    }

    @Test("A part of a greeting is waited for")
    func parts() throws {
        for greeting in Self.greetings {
            let bytes = PeerLinkFormat.encode(greeting)
            for count in 0..<bytes.count { #expect(try decode(Array(bytes.prefix(count))) == nil) }
        }
    }

    @Test("A greeting with one wrong bit is refused or waited for, and never understood")
    func flips() {
        for greeting in Self.greetings {
            let bytes = PeerLinkFormat.encode(greeting)
            for index in bytes.indices {
                for bit in 0..<8 {
                    var bad = bytes
                    bad[index] ^= 1 << UInt8(bit)
                    #expect((try? decode(bad)) == nil, "byte \(index), bit \(bit)")
                }
            }
        }
    }

    @Test("The first byte that is not the magic's is enough to refuse")
    func magic() {
        for text in ["G", "GET / HTTP/1.1\r\n", "MAGPIEP_", "\u{16}\u{3}\u{1}"] {
            #expect(throws: GreetingError.notAPeer) { try decode(Array(text.utf8)) }
        }
    }

    @Test("A hello of another version is refused by its head, a refusal of any version is read")
    func versions() throws {
        let hello = PeerLinkFormat.encode(.hello(Self.hello), version: 2)
        #expect(throws: GreetingError.version(2)) { try decode(Array(hello.prefix(14))) }
        let refusal = Greeting.refusal(PeerRefusal(code: .version, text: "too old"))
        #expect(try decode(PeerLinkFormat.encode(refusal, version: 9)) == refusal)
    }

    /// A greeting of any kind and body with a right checksum.
    private func greeting(kind: UInt8, padding: UInt8 = 0, _ body: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(raw: PeerLinkFormat.magic)
        writer.write(fixed: PeerLinkFormat.version)
        writer.write(kind)
        writer.write(padding)
        writer.write(fixed: UInt16(body.count))
        writer.write(raw: body)
        writer.write(fixed: UInt32(truncatingIfNeeded: Checksum.xxh3(writer.bytes)))
        return writer.bytes
    }

    @Test("What is wrong inside a well-framed greeting is refused")
    func hostile() {
        let head = [UInt8](repeating: 1, count: 10)
        let bad: [[UInt8]] = [
            greeting(kind: 0, []), greeting(kind: 3, []), greeting(kind: 1, []),
            greeting(kind: 2, []), greeting(kind: 1, padding: 1, head + [0, 1, 0x61]),
            greeting(kind: 1, [0, 0] + head.dropFirst(2) + [0, 1, 0x61]),
            greeting(kind: 1, head + [1, 7, 1, 0x61]), greeting(kind: 1, head + [0, 0]),
            greeting(kind: 1, head + [0, 1, 0xFF]), greeting(kind: 1, head + [0, 1, 0x61, 0]),
            greeting(kind: 1, head + [0, 0x80, 2] + [UInt8](repeating: 0x61, count: 256)),
            greeting(kind: 1, head + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
            greeting(kind: 2, [0, 0]), greeting(kind: 2, [99, 0]),
            greeting(kind: 2, [1, 0x81, 4] + [UInt8](repeating: 0x61, count: 513)),
            greeting(kind: 1, [UInt8](repeating: 1, count: 1_025)),
        ]
        for bytes in bad {
            #expect(throws: GreetingError.self, "\(bytes.dropFirst(10))") { try decode(bytes) }
        }
    }

    @Test("Random bodies never trap", arguments: [1, 2, 3] as [UInt64])
    func fuzz(_ seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<20_000 {
            let body = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let kind = UInt8.random(in: 1...2, using: &generator)
            if let decoded = try? decode(greeting(kind: kind, body)) {
                #expect((try? decode(PeerLinkFormat.encode(decoded))) == decoded, "seed \(seed)")
            }
        }
    }

    @Test("A frame's checksum holds for its sender and its place only")
    func frameChecksum() {
        let payload = Array("frame".utf8)
        let sums = [(1, 0), (1, 1), (2, 0)].map { incarnation, number in
            payload.withUnsafeBytes {
                PeerLinkFormat.checksum(
                    $0, incarnation: UInt64(incarnation), number: UInt64(number))
            }
        }
        #expect(Set(sums).count == 3)
    }

    @Test("The bytes on the wire are those of the golden file")
    func golden() throws {
        let refusal = Greeting.refusal(
            PeerRefusal(code: .unknownNode, text: "node 1 has no peer with number 2"))
        let parts: [(String, [UInt8])] = [
            ("hello of node 2", PeerLinkFormat.encode(.hello(Self.hello))),
            ("refusal", PeerLinkFormat.encode(refusal)),
            ("frame 0 of node 2", Frames.encode("hi", of: Self.hello, number: 0)),
            ("frame 1 of node 2, a ping", Frames.encode("", of: Self.hello, number: 1)),
        ]
        try Golden.check("peer-link.bin", parts.flatMap(\.1))
        var offset = 0
        var dump = ""
        for (label, bytes) in parts {
            dump += "\(label) at \(offset)\n"
            dump += bytes.count >= 12 ? Self.dumpGreeting(bytes) : Self.dumpFrame(bytes)
            offset += bytes.count
        }
        try Golden.check("peer-link.txt", Array((dump + "end at \(offset)\n").utf8))
    }

    private static func line(_ label: String, _ bytes: ArraySlice<UInt8>) -> String {
        "  " + label.padding(toLength: 10, withPad: " ", startingAt: 0) + Hex.encode(bytes) + "\n"
    }

    private static func dumpGreeting(_ bytes: [UInt8]) -> String {
        line("magic", bytes[..<8]) + line("version", bytes[8..<10]) + line("kind", bytes[10..<11])
            + line("zero", bytes[11..<12]) + line("length", bytes[12..<14])
            + line("body", bytes[14..<(bytes.count - 4)])
            + line("checksum", bytes[(bytes.count - 4)...])
    }

    private static func dumpFrame(_ bytes: [UInt8]) -> String {
        line("length", bytes[..<4]) + line("checksum", bytes[4..<8]) + line("payload", bytes[8...])
    }
}

/// Golden files beside the tests. `MAGPIE_REWRITE=1` writes them anew, for a change of format that
/// is meant.
enum Golden {
    static func check(_ name: String, _ bytes: [UInt8]) throws {
        let file = URL(filePath: "\(#filePath)").deletingLastPathComponent()
            .appending(path: "Golden/\(name)")
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try Data(bytes).write(to: file)
        }
        #expect(try [UInt8](Data(contentsOf: file)) == bytes, "\(name) differs from the code's")
    }
}

/// Frames as another program would write them.
enum Frames {
    static func encode(_ text: String, of hello: PeerHello, number: UInt64) -> [UInt8] {
        let payload = Array(text.utf8)
        var writer = ByteWriter()
        writer.write(fixed: UInt32(payload.count))
        writer.write(
            fixed: payload.withUnsafeBytes {
                PeerLinkFormat.checksum($0, incarnation: hello.incarnation, number: number)
            })
        writer.write(raw: payload)
        return writer.bytes
    }
}
