package import Platform

/// Writes records to one file that only grows, such as a manifest. Used by one thread at a time.
///
/// Records are collected by ``append(type:payload:)`` and reach the disk in one write and one sync
/// in ``sync()``. After a failure the writer is dead: the caller must start a new file. A disk that
/// has no room for the write is no such failure: the records are forgotten, and others may come.
package final class RecordFileWriter {
    /// The file.
    package let file: any File
    /// The id that seeds the checksums.
    package let id: UInt64
    /// Bytes that are durable.
    package private(set) var durableBytes: UInt64
    private var buffer: [UInt8] = []
    private var isDead = false

    /// A writer at the start of a new, empty file.
    ///
    /// - Parameter id: seeds the checksums; no two files of a directory share one, ever.
    package init(_ file: any File, id: UInt64) {
        self.file = file
        self.id = id
        durableBytes = 0
    }

    /// A writer behind what ``RecordFileReader`` found readable.
    ///
    /// It cuts what lies behind, writes again what may have been read from memory that never
    /// reached the disk, and syncs: when it returns, all that was read is durable.
    package init(
        resuming file: any File, id: UInt64, after summary: RecordFileSummary
    ) throws(LogError) {
        self.file = file
        self.id = id
        durableBytes = summary.end
        let count = Int(clamping: summary.end - summary.mark)
        try onDisk { () throws(DiskError) in
            let tail = try file.read(count, at: summary.mark)
            if tail.count < count { throw DiskError(.inputOutput, "pread", file.path) }
            try file.truncate(summary.end)
            try file.write(tail, at: summary.mark)
            try file.sync()
        }
    }

    /// Bytes in the file once the next sync is done.
    package var endBytes: UInt64 { durableBytes + UInt64(buffer.count) }

    /// Takes a record for the next ``sync()``; where it will stand.
    @discardableResult
    package func append(type: UInt8, payload: [UInt8]) throws(LogError) -> LogPosition {
        if isDead { throw .dead }
        precondition(
            type >= 1 && type <= RecordFormat.ownerTypeMax, "types 1…239 belong to the owner")
        let offset = endBytes
        payload.withUnsafeBytes { raw in
            RecordFormat.append(
                type: type, payload: raw, mark: durableBytes, id: id, offset: offset, to: &buffer)
        }
        return LogPosition(segment: id, offset: offset)
    }

    /// Makes every record taken so far durable.
    package func sync() throws(LogError) {
        if isDead { throw .dead }
        if buffer.isEmpty { return }
        do throws(DiskError) {
            try file.write(buffer, at: durableBytes)
        } catch {
            if error.reason != .noSpace || !forget() { isDead = true }
            throw .disk(error)
        }
        do throws(DiskError) {
            try file.sync()
        } catch {
            isDead = true
            throw .disk(error)
        }
        durableBytes += UInt64(buffer.count)
        buffer.removeAll(keepingCapacity: true)
    }

    /// Takes back what was not written whole; false when the file does not let go of it.
    private func forget() -> Bool {
        buffer.removeAll(keepingCapacity: true)
        do throws(DiskError) {
            try file.truncate(durableBytes)
            return true
        } catch {
            return false
        }
    }
}

/// What a record file turned out to hold.
package struct RecordFileSummary: Equatable, Sendable {
    /// Valid records.
    package var records = 0
    /// Where they end.
    package var end: UInt64 = 0
    /// Everything below was durable when the last record was written.
    package var mark: UInt64 = 0
    /// Bytes behind the end, of a write that the power cut or that never was.
    package var cutBytes: UInt64 = 0
}

/// Reads record files.
package enum RecordFileReader {
    /// Calls `visit` with position, type and payload of every record, in order. The payload lives
    /// as long as the call.
    ///
    /// A torn tail is left out and counted; rot throws
    /// ``LogError/rot(file:offset:expected:found:)``.
    package static func readAll(
        _ file: any File, id: UInt64,
        visit: (LogPosition, UInt8, UnsafeRawBufferPointer) throws(LogError) -> Void
    ) throws(LogError) -> RecordFileSummary {
        var scanner = try RecordScanner(file, id: id)
        var summary = RecordFileSummary()
        while true {
            switch try scanner.scan(at: summary.end) {
            case .record(let header, let payload, let end):
                // A segment that recovery wrote has its header written last: its mark covers what
                // was carried over behind it.
                let isHeader =
                    summary.end == 0 && header.type == RecordFormat.segmentHeaderType
                guard header.mark <= summary.end || isHeader else {
                    throw .rot(
                        file: file.path, offset: summary.end,
                        expected: "a mark at or before the record", found: "\(header.mark)")
                }
                try visit(
                    LogPosition(segment: id, offset: summary.end), header.type, payload)
                summary.records += 1
                summary.mark = max(summary.mark, header.mark)
                summary.end = end
            case .unreadable(let expected, let found):
                let proof = try scanner.proof(beyond: summary.end)
                if summary.mark > summary.end || proof != nil {
                    throw .rot(
                        file: file.path, offset: summary.end, expected: expected, found: found)
                }
                summary.cutBytes = scanner.size - summary.end
                return summary
            }
        }
    }
}
