import Platform
import Synchronization

/// One upload. Bytes go in piece by piece; ``finish(as:)`` makes the blob durable and readable.
///
/// Up to ``BlobStoreOptions/sharedBytesMax`` the bytes wait in memory; beyond, they are streamed to
/// a file of their own. An upload that is abandoned, dropped, or cut off by a crash leaves nothing.
/// Calls come one after another, from any thread that may block.
package final class BlobWriter: Sendable {
    /// A file that is being written.
    private struct Streamed {
        let id: UInt64
        let salt: UInt64
        let file: any File
        /// Where the next page goes.
        var end: UInt64
    }

    private enum Target {
        case memory
        case file(Streamed)
        case ended
    }

    private struct State {
        var target = Target.memory
        /// Bytes not yet written.
        var buffer: [UInt8] = []
        var length: UInt64 = 0
    }

    /// Pages written at once.
    private static let flushPages = 4

    private let store: BlobStore
    private let state = Mutex(State())

    init(store: BlobStore) {
        self.store = store
    }

    deinit { abandon() }

    /// Bytes taken so far.
    package var length: UInt64 { state.withLock { $0.length } }

    /// Takes the next bytes.
    package func append(_ bytes: UnsafeRawBufferPointer) throws(BlobError) {
        try state.withLock { (state) throws(BlobError) in
            if case .ended = state.target { throw .finished }
            let maximum = store.options.blobBytesMax
            if UInt64(bytes.count) > maximum - min(maximum, state.length) {
                end(&state)
                throw .tooLong(maximum: maximum)
            }
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(BlobFormat.pageBytes * Self.flushPages)
                rest = rest.dropFirst(piece.count)
                state.buffer.append(contentsOf: piece)
                state.length += UInt64(piece.count)
                do throws(BlobError) {
                    try spill(&state)
                } catch {
                    end(&state)
                    throw error
                }
            }
        }
    }

    /// Takes the next bytes.
    package func append(_ bytes: [UInt8]) throws(BlobError) {
        let result = bytes.withUnsafeBytes { raw -> Result<Void, BlobError> in
            do throws(BlobError) {
                return .success(try append(raw))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Makes the blob durable under `hash`, which is the caller's word for its bytes. When the
    /// store has the blob already, that one stays and these bytes go.
    package func finish(as hash: BlobHash) throws(BlobError) -> BlobLocation {
        try state.withLock { (state) throws(BlobError) in
            defer { end(&state) }
            switch state.target {
            case .ended: throw .finished
            case .memory: return try store.keep(state.buffer, as: hash)
            case .file(let streamed): return try finish(streamed, &state, hash)
            }
        }
    }

    /// Gives the upload up; its bytes go. Ending twice is fine.
    package func abandon() {
        state.withLock { end(&$0) }
    }

    // MARK: Inside

    private func finish(
        _ streamed: Streamed, _ state: inout State, _ hash: BlobHash
    ) throws(BlobError) -> BlobLocation {
        let length = state.length
        var tail: [UInt8] = []
        VolumePage.append(state.buffer, salt: streamed.salt, offset: streamed.end, to: &tail)
        let offset = BlobFormat.firstRecord
        let size = offset + BlobFormat.recordBytes(length)
        let written = streamed.end + UInt64(tail.count)
        tail.append(contentsOf: repeatElement(0, count: Int(size - written)))
        let header = BlobRecordHeader(kind: .blob, length: length, mark: 0, hash: hash)
        try onDisk { () throws(DiskError) in
            try streamed.file.write(tail, at: streamed.end)
            try streamed.file.write(header.encode(salt: streamed.salt, offset: offset), at: offset)
            try streamed.file.sync()
        }
        let location = BlobLocation(volume: streamed.id, offset: offset, length: length)
        let kept = try store.promote(location, streamed.salt, as: hash)
        // The name is the volume's now: nothing is left to remove.
        state.target = .ended
        return kept
    }

    /// Writes whole pages of the buffer, once the blob is too long for memory.
    private func spill(_ state: inout State) throws(BlobError) {
        if case .memory = state.target {
            if state.buffer.count <= store.options.sharedBytesMax { return }
            let id = store.takeID()
            let path = store.files.uploadPath(id)
            let (file, salt) = try store.makeVolume(id, .single, at: path)
            let end = BlobFormat.pageOffset(record: BlobFormat.firstRecord, index: 0)
            state.target = .file(Streamed(id: id, salt: salt, file: file, end: end))
        }
        guard case .file(var streamed) = state.target else { return }
        let whole = state.buffer.count / BlobFormat.pageBytes * BlobFormat.pageBytes
        if whole < BlobFormat.pageBytes * Self.flushPages { return }
        var pages: [UInt8] = []
        pages.reserveCapacity(whole + whole / BlobFormat.pageBytes * BlobFormat.checksumBytes)
        VolumePage.append(
            Array(state.buffer[..<whole]), salt: streamed.salt, offset: streamed.end, to: &pages)
        try onDisk { () throws(DiskError) in try streamed.file.write(pages, at: streamed.end) }
        streamed.end += UInt64(pages.count)
        state.buffer.removeFirst(whole)
        state.target = .file(streamed)
    }

    private func end(_ state: inout State) {
        if case .file(let streamed) = state.target {
            streamed.file.close()
            try? store.fileSystem.unlink(store.files.uploadPath(streamed.id))
        }
        state.target = .ended
        state.buffer = []
    }
}
