package import Platform

/// Why an index could not be written or read.
package indirect enum SearchError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes at `offset` of `file` (its path) are not what the format says.
    case corrupt(file: String, offset: UInt64, expected: String, found: String)
    /// The disk failed.
    case disk(DiskError)
    /// The index was made with another tokenizer.
    case outdated(found: TokenVersion)
    /// The file is of another version of the format.
    case otherFormat(file: String, version: UInt32)
    /// More than one file can number: of what, and how many at most.
    case tooLarge(what: String, max: UInt64)

    /// One line for people.
    package var description: String {
        switch self {
        case .corrupt(let file, let offset, let expected, let found):
            "corrupt index file \(file) at offset \(offset): expected \(expected), found \(found)"
        case .disk(let error):
            error.description
        case .outdated(let found):
            "index of tokenizer \(found.tokenizer), Unicode \(found.unicode)"
        case .otherFormat(let file, let version):
            "index file \(file) is of format version \(version)"
        case .tooLarge(let what, let max):
            "too many \(what) for one segment: at most \(max)"
        }
    }

    /// True when the index must be thrown away and made anew from the messages.
    package var needsRebuild: Bool {
        switch self {
        case .corrupt, .outdated, .otherFormat: true
        case .disk, .tooLarge: false
        }
    }

    /// Runs a disk operation; its error becomes ``disk(_:)``.
    @inline(__always)
    static func atDisk<Value>(
        _ body: () throws(DiskError) -> Value
    ) throws(SearchError) -> Value {
        do { return try body() } catch { throw .disk(error) }
    }

    /// Reads a file of an index, or learns something of it. What the disk cannot read is rot like
    /// any other: the index is made anew, elsewhere on the disk.
    static func whileReading<Value>(
        _ path: String, _ body: () throws(DiskError) -> Value
    ) throws(SearchError) -> Value {
        do { return try body() } catch { throw reading(path, error) }
    }

    /// What an error of reading a file of an index means.
    static func reading(_ path: String, _ error: DiskError) -> SearchError {
        if error.reason != .inputOutput { return .disk(error) }
        return .corrupt(file: path, offset: 0, expected: "readable bytes", found: "\(error)")
    }
}
