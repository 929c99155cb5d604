package import Platform
import SortedTable

/// Why the tree could not read or keep rows.
package enum TreeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The disk failed.
    case disk(DiskError)
    /// Bytes are not what the format says: rot, or a foreign file.
    case corrupt(file: String, offset: UInt64, expected: String, found: String)
    /// The tables on disk name a keyspace that the options do not.
    case unknownKeyspace(UInt8)

    init(_ error: TableError) {
        switch error {
        case .disk(let error): self = .disk(error)
        case .corrupt(let file, let offset, let expected, let found):
            self = .corrupt(file: file, offset: offset, expected: expected, found: found)
        }
    }

    /// One line for people.
    package var description: String {
        switch self {
        case .disk(let error): error.description
        case .corrupt(let file, let offset, let expected, let found):
            "corrupt \(file) at offset \(offset): expected \(expected), found \(found)"
        case .unknownKeyspace(let number):
            "the tables hold keyspace \(number), which the options do not know"
        }
    }
}

/// Runs `body` and gives table errors as tree errors.
func asTreeError<Result: ~Copyable>(
    _ body: () throws(TableError) -> Result
) throws(TreeError) -> Result {
    do throws(TableError) {
        return try body()
    } catch {
        throw TreeError(error)
    }
}

/// Runs `body` and gives disk errors as tree errors.
func asTreeError<Result: ~Copyable>(
    disk body: () throws(DiskError) -> Result
) throws(TreeError) -> Result {
    do throws(DiskError) {
        return try body()
    } catch {
        throw .disk(error)
    }
}
