import LSMTree
import Platform
import RecordLog
import SearchIndex
import SortedTable

/// Where a command's findings go: lines for people, or one JSON object a line. Counts what is
/// corrupt, which decides the exit status.
final class Report {
    private let isJSON: Bool
    private let sink: (String) -> Void
    /// Corruption reported so far.
    private(set) var problems = 0

    init(isJSON: Bool, sink: @escaping (String) -> Void) {
        self.isJSON = isJSON
        self.sink = sink
    }

    /// One finding: in words, or as an object whose `kind` says what it is.
    func add(
        _ kind: String, _ words: @autoclosure () -> String,
        _ fields: @autoclosure () -> [(String, JSON)]
    ) {
        sink(isJSON ? JSON.object([("kind", .text(kind))] + fields()).line : words())
    }

    /// Corruption: names file and offset.
    func addCorrupt(file: String, offset: UInt64, expected: String, found: String) {
        problems += 1
        add(
            "corrupt",
            "corrupt: \(file) at offset \(offset): expected \(expected), found \(found)",
            [
                ("file", .text(file)), ("offset", .number(offset)),
                ("expected", .text(expected)), ("found", .text(found)),
            ])
    }

    /// Runs `body`; corruption is reported and the walk goes on, everything else is thrown.
    func guarding(_ file: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch TableError.corrupt(let file, let offset, let expected, let found) {
            addCorrupt(file: file, offset: offset, expected: expected, found: found)
        } catch TreeError.corrupt(let file, let offset, let expected, let found) {
            addCorrupt(file: file, offset: offset, expected: expected, found: found)
        } catch LogError.rot(let file, let offset, let expected, let found) {
            addCorrupt(file: file, offset: offset, expected: expected, found: found)
        } catch LogError.rejected(let position, let why) {
            addCorrupt(
                file: file, offset: position.offset, expected: "a record that makes sense",
                found: why)
        } catch SearchError.corrupt(let file, let offset, let expected, let found) {
            addCorrupt(file: file, offset: offset, expected: expected, found: found)
        } catch SearchError.otherFormat(let file, let version) {
            addCorrupt(
                file: file, offset: 0, expected: "a version of the format that this tool reads",
                found: "version \(version)")
        } catch TableError.disk(let error) {
            try add(error)
        } catch TreeError.disk(let error) {
            try add(error)
        } catch LogError.disk(let error) {
            try add(error)
        } catch SearchError.disk(let error) {
            try add(error)
        } catch let error as DiskError {
            try add(error)
        }
    }
}

extension Report {
    /// A file that is not there, or that the disk can't give, is as good as corrupt; other failures
    /// are none of the file's.
    private func add(_ error: DiskError) throws {
        switch error.reason {
        case .notFound: addCorrupt(file: error.path, offset: 0, expected: "a file", found: "none")
        case .inputOutput:
            addCorrupt(file: error.path, offset: 0, expected: "bytes", found: "a read error")
        default: throw error
        }
    }
}

/// A mistake of the caller: exit status 2.
struct UsageMistake: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
