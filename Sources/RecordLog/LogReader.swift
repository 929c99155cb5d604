import Platform
import Synchronization

/// Reads records of a log by their positions, from any thread, while the owner appends.
package final class LogReader: Sendable {
    private static let guessBytes = 4096

    private let files: Mutex<[UInt64: any File]>

    init(_ segments: [(UInt64, any File)]) {
        files = Mutex(Dictionary(uniqueKeysWithValues: segments))
    }

    /// The record at `position`, which an append or a recovery gave. A released segment gives
    /// ``LogError/released(_:)``. What was appended but not synced can be read too.
    package func read(_ position: LogPosition) throws(LogError) -> LogRecord {
        guard let file = file(position.segment) else { throw .released(position) }
        do throws(LogError) {
            return try Self.read(position, file)
        } catch {
            // The file may have been released, and reused, while it was read.
            if self.file(position.segment) == nil { throw .released(position) }
            throw error
        }
    }

    func add(_ id: UInt64, _ file: any File) {
        files.withLock { $0[id] = file }
    }

    func remove(_ ids: [UInt64]) {
        files.withLock { files in
            for id in ids { files[id] = nil }
        }
    }

    private func file(_ id: UInt64) -> (any File)? {
        files.withLock { $0[id] }
    }

    private static func read(
        _ position: LogPosition, _ file: any File
    ) throws(LogError) -> LogRecord {
        func rot(_ expected: String, _ found: String) -> LogError {
            .rot(file: file.path, offset: position.offset, expected: expected, found: found)
        }
        var raw = try onDisk { () throws(DiskError) in
            try file.read(guessBytes, at: position.offset)
        }
        let seed = RecordFormat.seed(id: position.segment, offset: position.offset)
        let header = raw.withUnsafeBytes { bytes in
            bytes.count < RecordFormat.headerBytes ? nil : RecordHeader(bytes)
        }
        guard let header, header.isPlausible(seed: seed) else {
            throw rot("a record header", "other bytes")
        }
        let total = RecordFormat.size(payload: header.length)
        if total > raw.count {
            raw = try onDisk { () throws(DiskError) in try file.read(total, at: position.offset) }
        }
        if raw.count < total { throw rot("\(total) bytes", "\(raw.count)") }
        if let (expected, found) = raw.withUnsafeBytes({
            RecordScanner.damage(in: $0, header, seed: seed)
        }) {
            throw rot(expected, found)
        }
        let start = RecordFormat.headerBytes
        return LogRecord(type: header.type, payload: Array(raw[start..<(start + header.length)]))
    }
}
