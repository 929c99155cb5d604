package import Platform

/// Why a table could not be written or read.
package indirect enum TableError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes at `offset` of `file` (its path) are not what the format says.
    case corrupt(file: String, offset: UInt64, expected: String, found: String)
    /// The disk failed.
    case disk(DiskError)

    /// One line for people.
    package var description: String {
        switch self {
        case .corrupt(let file, let offset, let expected, let found):
            "corrupt table \(file) at offset \(offset): expected \(expected), found \(found)"
        case .disk(let error):
            error.description
        }
    }
}
