package import Platform

/// Why a log or a record file can't go on.
package enum LogError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes that had been durable can't be read: never cut, never guessed.
    case rot(file: String, offset: UInt64, expected: String, found: String)
    /// The disk refused.
    case disk(DiskError)
    /// An earlier write or sync failed; nothing written since can be trusted.
    case dead
    /// The segment of this position was released.
    case released(LogPosition)
    /// The owner can't make sense of a record that is intact.
    case rejected(LogPosition, String)

    /// True when there was no room for bytes of which nothing was promised: the same may be tried
    /// again. A failed sync never may, whatever it says.
    package var isWaitedOut: Bool {
        if case .disk(let error) = self { error.isWaitedOut } else { false }
    }

    /// One line for people.
    package var description: String {
        switch self {
        case .rot(let file, let offset, let expected, let found):
            "\(file) is damaged at byte \(offset): expected \(expected), found \(found)"
        case .disk(let error): "\(error)"
        case .dead: "the log is dead: an earlier write or sync failed"
        case .released(let position): "\(position) was released"
        case .rejected(let position, let why): "the record at \(position) is refused: \(why)"
        }
    }
}

/// Where a record stands.
package struct LogPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The id of the segment, or of the file; never reused.
    package let segment: UInt64
    /// Bytes from the start of the segment.
    package let offset: UInt64

    /// A place in a segment.
    package init(segment: UInt64, offset: UInt64) {
        self.segment = segment
        self.offset = offset
    }

    /// The order of writing: by segment, then by offset.
    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.segment, left.offset) < (right.segment, right.offset)
    }

    /// `segment:offset`, the segment in hexadecimal as in its file name.
    package var description: String { "\(String(segment, radix: 16)):\(offset)" }
}

/// A record to be written.
package struct LogRecord: Equatable, Sendable {
    /// What kind it is, to its owner: 1…239.
    package var type: UInt8
    /// At most 16 MiB.
    package var payload: [UInt8]

    /// A record of the owner's `type`.
    package init(type: UInt8, payload: [UInt8]) {
        self.type = type
        self.payload = payload
    }
}

/// Runs `body` and turns an error of the disk into one of the log.
@inline(__always)
func onDisk<Value>(_ body: () throws(DiskError) -> Value) throws(LogError) -> Value {
    do {
        return try body()
    } catch {
        throw .disk(error)
    }
}
