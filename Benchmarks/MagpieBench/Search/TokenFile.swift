import Foundation
import Glibc
import SearchIndex

/// A document as it stands in the token file.
struct TokenLine {
    var number = 0
    var document: SearchDocument
    /// Where its tokens are, in the bytes of its batch.
    var text = 0..<0
}

/// What a line of the changes file says.
struct ChangeLine {
    var batch: Int
    /// The document with its new tokens.
    var line: TokenLine
    var isRemoval: Bool
}

/// Reads token and change files line by line.
final class TokenFile {
    private let file: UnsafeMutablePointer<FILE>
    private var line: UnsafeMutablePointer<CChar>?
    private var capacity = 0
    /// The bytes of the batch read last.
    private(set) var bytes: [UInt8] = []

    /// - Throws: ``UsageError`` when the file cannot be read.
    init(_ path: String) throws {
        guard let file = fopen(path, "r") else { throw UsageError("cannot read \(path)") }
        self.file = file
    }

    deinit {
        fclose(file)
        free(line)
    }

    /// The next lines, at most `count`.
    func batch(_ count: Int) throws -> [TokenLine] {
        bytes.removeAll(keepingCapacity: true)
        var lines: [TokenLine] = []
        while lines.count < count, let fields = next() {
            guard fields.count == 7 else { throw UsageError("a token file has another form") }
            lines.append(try parse(fields[...]))
        }
        return lines
    }

    /// All lines of a file of changes.
    func changes() throws -> [ChangeLine] {
        bytes.removeAll()
        var lines: [ChangeLine] = []
        while let fields = next() {
            guard fields.count == 10 else { throw UsageError("a changes file has another form") }
            var line = try parse(fields[2...8])
            line.text = fields[9]
            lines.append(
                ChangeLine(
                    batch: try number(fields[0]), line: line,
                    isRemoval: bytes[fields[1].lowerBound] == UInt8(ascii: "d")))
        }
        return lines
    }

    /// The fields of the next line in `bytes`.
    private func next() -> [Range<Int>]? {
        let count = getline(&line, &capacity, file)
        guard count > 0, let line else { return nil }
        var start = bytes.count
        bytes.append(contentsOf: UnsafeRawBufferPointer(start: line, count: count))
        var fields: [Range<Int>] = []
        for place in start..<bytes.count where bytes[place] == 0x09 || bytes[place] == 0x0A {
            fields.append(start..<place)
            start = place + 1
        }
        return fields
    }

    private func number(_ field: Range<Int>) throws -> Int {
        guard let number = Int(String(decoding: bytes[field], as: UTF8.self)) else {
            throw UsageError("a token file has another form")
        }
        return number
    }

    private func parse(_ fields: ArraySlice<Range<Int>>) throws -> TokenLine {
        let numbers = try fields.dropLast().map(number)
        let key = DocumentKey(
            conversation: SearchNames.conversation(numbers[1]), seq: UInt64(numbers[2]))
        return TokenLine(
            number: numbers[0],
            document: SearchDocument(
                key: key, time: UInt64(numbers[4]), sender: SearchNames.sender(numbers[3]),
                flags: DocumentFlags(rawValue: UInt8(truncatingIfNeeded: numbers[5]))),
            text: fields.last ?? 0..<0)
    }
}

/// The changes of a file, commit by commit.
final class ChangeBatches {
    private let changes: [ChangeLine]
    private var next = 0
    /// Of all lines.
    let bytes: [UInt8]

    init(_ path: String) throws {
        let file = try TokenFile(path)
        changes = try file.changes()
        bytes = file.bytes
    }

    /// Those up to a commit that were not taken before.
    func take(until batch: Int) -> ArraySlice<ChangeLine> {
        let first = next
        while next < changes.count, changes[next].batch <= batch { next += 1 }
        return changes[first..<next]
    }
}

extension SegmentBuilder {
    /// Edits or removes a document.
    mutating func take(_ change: ChangeLine, _ text: UnsafeRawBufferPointer) {
        if change.isRemoval {
            remove(change.line.document.key)
        } else {
            put(change.line, text)
        }
    }

    /// Adds a document with the tokens of a text, which are parted by blanks.
    mutating func put(_ line: TokenLine, _ text: UnsafeRawBufferPointer) {
        put(line.document) { give in
            var position: UInt32 = 0
            var start = line.text.lowerBound
            while start < line.text.upperBound {
                var end = start
                while end < line.text.upperBound, text[end] != 0x20 { end &+= 1 }
                give(UnsafeRawBufferPointer(rebasing: text[start..<end]), position)
                position &+= 1
                start = end &+ 1
            }
        }
    }
}
