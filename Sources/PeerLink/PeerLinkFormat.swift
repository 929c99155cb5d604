import Bytes
import Replication

// What passes between two nodes; docs/formats/peer-link.md has the tables and a worked example.
//
//   dialer                                 acceptor
//     | greeting: hello                       |
//     |-------------------------------------->|
//     |              greeting: hello, or      |
//     |<------ greeting: refusal, then close  |
//     | frames, pings                         |
//     |-------------------------------------->|
//     |                         pings only    |
//     |<--------------------------------------|
//
//   greeting  | magic 8 | version 2 | kind 1 | 0 1 | length n 2 | body n | checksum 4 |
//   frame     | length n 4 | checksum 4 | payload n |      n = 0: a ping

/// Why a peer is refused. The numbers travel: never reuse one.
enum RefusalCode: UInt8, CaseIterable, Sendable {
    case version = 1
    case malformed = 2
    case clusterName = 3
    case clusterID = 4
    case ownNumber = 5
    case unknownNode = 6
    case duplicate = 7
    case certificate = 8
}

/// A refusal as it travels: a code for programs, a sentence for people.
struct PeerRefusal: Equatable, Sendable {
    var code: RefusalCode
    var text: String
}

/// The first thing that each side says.
enum Greeting: Equatable, Sendable {
    case hello(PeerHello)
    case refusal(PeerRefusal)
}

/// Why bytes are no greeting.
enum GreetingError: Error, Equatable, Sendable {
    /// Not the magic: whoever this is, it is no node. Nothing is answered.
    case notAPeer
    /// A node of another version of this protocol.
    case version(UInt16)
    /// A node's greeting, but damaged or wrong inside.
    case malformed(DecodeError)
}

/// The codec of greetings and frames.
enum PeerLinkFormat {
    static let magic = Array("MAGPIEPL".utf8)
    static let version: UInt16 = 1
    /// Magic, version, kind, zero, length.
    static let greetingHeadBytes = 14
    private static let kindOffset = 10
    static let greetingBodyBytesMax = 1_024
    static let clusterIDBytes = 16
    static let clusterNameBytesMax = 255
    static let refusalTextBytesMax = 512
    /// Length and checksum.
    static let frameHeadBytes = 8
    private static let checksumBytes = 4
    private static let helloKind: UInt8 = 1
    private static let refusalKind: UInt8 = 2

    // MARK: Greetings

    /// - Precondition: what is said keeps the limits above.
    static func encode(_ greeting: Greeting, version: UInt16 = version) -> [UInt8] {
        var body = ByteWriter()
        let kind: UInt8
        switch greeting {
        case .hello(let hello):
            kind = helloKind
            body.write(fixed: hello.node)
            body.write(fixed: hello.incarnation)
            body.write(prefixed: hello.cluster)
            body.write(text: hello.clusterName)
        case .refusal(let refusal):
            kind = refusalKind
            body.write(refusal.code.rawValue)
            body.write(text: refusal.text)
        }
        precondition(body.count <= greetingBodyBytesMax, "a greeting is beyond its limit")
        var writer = ByteWriter()
        writer.write(raw: magic)
        writer.write(fixed: version)
        writer.write(kind)
        writer.write(UInt8(0))
        writer.write(fixed: UInt16(body.count))
        writer.write(raw: body.bytes)
        writer.write(fixed: UInt32(truncatingIfNeeded: Checksum.xxh3(writer.bytes)))
        return writer.bytes
    }

    /// Reads the greeting at the start of `raw`, and says how many bytes it takes; nil while it is
    /// not all there. What can't become a greeting any more is refused at its first wrong byte.
    static func decode(
        _ raw: UnsafeRawBufferPointer
    ) throws(GreetingError) -> (greeting: Greeting, byteCount: Int)? {
        guard zip(raw, magic).allSatisfy({ $0 == $1 }) else { throw .notAPeer }
        guard raw.count >= greetingHeadBytes else { return nil }
        let version = UInt16(
            littleEndian: raw.loadUnaligned(fromByteOffset: magic.count, as: UInt16.self))
        // A refusal has this form in every version, so that the refused can read why.
        guard version == Self.version || raw[kindOffset] == refusalKind else {
            throw .version(version)
        }
        do {
            return try decodeRest(raw)
        } catch {
            throw .malformed(error)
        }
    }

    /// Reads from the kind on; offsets in errors are those of the greeting.
    private static func decodeRest(
        _ raw: UnsafeRawBufferPointer
    ) throws(DecodeError) -> (greeting: Greeting, byteCount: Int)? {
        var reader = ByteReader(raw)
        _ = try reader.readRaw(kindOffset)
        let kind = try reader.readByte()
        guard try reader.readByte() == 0 else {
            throw .invalid(offset: kindOffset + 1, what: "padding")
        }
        let length = Int(try reader.readFixed(UInt16.self))
        guard length <= greetingBodyBytesMax else {
            throw .invalid(offset: kindOffset + 2, what: "length")
        }
        let end = greetingHeadBytes + length
        guard raw.count >= end + checksumBytes else { return nil }
        let sum = Checksum.xxh3(UnsafeRawBufferPointer(rebasing: raw[..<end]))
        var body = ByteReader(try reader.readRaw(length))
        guard try reader.readFixed() == UInt32(truncatingIfNeeded: sum) else {
            throw .invalid(offset: end, what: "checksum")
        }
        let greeting = try decodeBody(kind, &body)
        try body.expectEnd()
        return (greeting, end + checksumBytes)
    }

    /// Offsets in errors are those of the body.
    private static func decodeBody(
        _ kind: UInt8, _ body: inout ByteReader
    ) throws(DecodeError) -> Greeting {
        switch kind {
        case helloKind:
            let node = try body.readFixed(NodeNumber.self)
            guard node != 0 else { throw .invalid(offset: 0, what: "node 0") }
            let incarnation = try body.readFixed(UInt64.self)
            let cluster = try body.readPrefixedBytes()
            guard cluster.isEmpty || cluster.count == clusterIDBytes else {
                throw .invalid(offset: 10, what: "cluster id")
            }
            let name = try body.readText()
            guard (1...clusterNameBytesMax).contains(name.utf8.count) else {
                throw .invalid(offset: body.offset, what: "cluster name")
            }
            return .hello(
                PeerHello(
                    node: node, incarnation: incarnation, cluster: cluster, clusterName: name))
        case refusalKind:
            guard let code = RefusalCode(rawValue: try body.readByte()) else {
                throw .invalid(offset: 0, what: "refusal code")
            }
            let text = try body.readText()
            guard text.utf8.count <= refusalTextBytesMax else {
                throw .invalid(offset: 1, what: "refusal text")
            }
            return .refusal(PeerRefusal(code: code, text: text))
        default:
            throw .invalid(offset: 0, what: "greeting kind")
        }
    }

    // MARK: Frames

    /// What stands before a payload.
    struct FrameHead: Equatable {
        var length: Int
        var checksum: UInt32
    }

    /// The checksum of the `number`th frame (from 0, pings count) that a node of this incarnation
    /// sends on a channel: a frame in a wrong place, or on a wrong channel, is a wrong frame.
    static func checksum(
        _ payload: UnsafeRawBufferPointer, incarnation: UInt64, number: UInt64
    ) -> UInt32 {
        let seed = Checksum.seed(file: incarnation, offset: number)
        return UInt32(truncatingIfNeeded: Checksum.xxh3(payload, seed: seed))
    }

    /// - Precondition: 8 bytes.
    static func decodeFrameHead(_ raw: UnsafeRawBufferPointer) -> FrameHead {
        precondition(raw.count == frameHeadBytes, "a frame's head has 8 bytes")
        return FrameHead(
            length: Int(UInt32(littleEndian: raw.loadUnaligned(as: UInt32.self))),
            checksum: UInt32(
                littleEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    }
}
