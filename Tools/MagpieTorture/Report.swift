import Bytes
import Glibc
import Synchronization

/// What a worker tells the process that started it, in frames: a kind, a length of four bytes, the
/// content. A frame that the kill cut off counts as never said.
enum Message {
    /// Whose rows are shown.
    enum Place: UInt8 {
        case store = 0
        case checkpoint = 1
    }

    /// The worker runs and is about to open the store.
    case started
    /// Rows of a keyspace.
    case rows(Place, keyspace: UInt8, [(key: [UInt8], value: [UInt8])])
    /// All rows were shown.
    case shown(Place)
    /// A batch is about to be submitted.
    case submitted(UInt64)
    /// A batch and all before it are durable and visible.
    case acknowledged(UInt64)
    /// A checkpoint is asked for that must hold what was acknowledged so far, and no more.
    case checkpointing
    /// Something is wrong: two ways of reading differ, or a snapshot changed.
    case problem(String)
    /// The disk is full, and nothing is taken.
    case full
    /// The store refuses to go on; the worker ends.
    case refused(String)

    private var kind: UInt8 {
        switch self {
        case .started: 1
        case .rows: 3
        case .shown: 4
        case .submitted: 5
        case .acknowledged: 6
        case .checkpointing: 7
        case .problem: 8
        case .full: 9
        case .refused: 10
        }
    }

    func encoded() -> [UInt8] {
        var content = ByteWriter()
        switch self {
        case .started, .checkpointing, .full: break
        case .rows(let place, let keyspace, let rows):
            content.write(place.rawValue)
            content.write(keyspace)
            for row in rows {
                content.write(prefixed: row.key)
                content.write(prefixed: row.value)
            }
        case .shown(let place): content.write(place.rawValue)
        case .submitted(let number), .acknowledged(let number): content.write(varint: number)
        case .problem(let text), .refused(let text): content.write(text: text)
        }
        var frame = ByteWriter(capacity: content.count + 5)
        frame.write(kind)
        frame.write(fixed: UInt32(content.count))
        frame.write(raw: content.bytes)
        return frame.bytes
    }

    /// The frame at the head of `bytes` and how long it is; nil when it is not there whole.
    static func decode(_ bytes: ArraySlice<UInt8>) throws -> (message: Message, bytes: Int)? {
        guard bytes.count >= 5 else { return nil }
        let start = bytes.startIndex
        let length = bytes[(start + 1)..<(start + 5)].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard bytes.count >= 5 + length else { return nil }
        let content = Array(bytes[(start + 5)..<(start + 5 + length)])
        let message = try ByteReader.readAll(content) { reader in
            try decode(kind: bytes[start], &reader)
        }
        return (message, 5 + length)
    }

    private static func decode(kind: UInt8, _ reader: inout ByteReader) throws -> Message {
        func place() throws -> Place {
            guard let place = Place(rawValue: try reader.readByte()) else {
                throw DecodeError.invalid(offset: 0, what: "place")
            }
            return place
        }
        switch kind {
        case 1: return .started
        case 3:
            let place = try place()
            let keyspace = try reader.readByte()
            var rows: [(key: [UInt8], value: [UInt8])] = []
            while reader.remaining > 0 {
                rows.append((try reader.readPrefixedBytes(), try reader.readPrefixedBytes()))
            }
            return .rows(place, keyspace: keyspace, rows)
        case 4: return .shown(try place())
        case 5: return .submitted(try reader.readVarint())
        case 6: return .acknowledged(try reader.readVarint())
        case 7: return .checkpointing
        case 8: return .problem(try reader.readText())
        case 9: return .full
        case 10: return .refused(try reader.readText())
        default: throw DecodeError.invalid(offset: 0, what: "message")
        }
    }
}

/// The worker's end of the pipe.
final class Reporter: Sendable {
    /// Exit status of a worker whose store refused to go on.
    static let refusal: Int32 = 3
    /// Frames of two threads must not mix.
    private let lock = Mutex(())

    /// Says something. When it returns the kernel has it, and a kill does not take it back.
    func say(_ message: Message) {
        let frame = message.encoded()
        lock.withLock { _ in
            frame.withUnsafeBytes { raw in
                var rest = raw[...]
                while !rest.isEmpty {
                    let slice = UnsafeRawBufferPointer(rebasing: rest)
                    let count = write(STDOUT_FILENO, slice.baseAddress, slice.count)
                    // Who started this process is gone.
                    if count < 0, errno != EINTR { _exit(1) }
                    rest = rest.dropFirst(max(0, count))
                }
            }
        }
    }

    /// Says why the store does not go on, and ends the process at once.
    func refuse(_ text: String) -> Never {
        say(.refused(text))
        _exit(Self.refusal)
    }
}
