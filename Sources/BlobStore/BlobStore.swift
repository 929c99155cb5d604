import Platform
import Synchronization

/// Sizes of a blob store.
package struct BlobStoreOptions: Sendable {
    /// A volume that has reached this size takes no more blobs.
    package var volumeBytes: UInt64
    /// Blobs longer than this are streamed to a volume of their own; shorter ones wait in memory
    /// until they are finished and share volumes. So it bounds the memory of an upload.
    package var sharedBytesMax: Int
    /// The longest blob.
    package var blobBytesMax: UInt64
    /// Volumes kept open.
    package var openFilesMax: Int

    /// Sizes of a blob store.
    package init(
        volumeBytes: UInt64 = 256 << 20, sharedBytesMax: Int = 1 << 20,
        blobBytesMax: UInt64 = 4 << 30, openFilesMax: Int = 64
    ) {
        precondition(volumeBytes >= 4096 && sharedBytesMax > 0, "sizes of a blob store")
        precondition(openFilesMax > 0, "a store keeps a file open")
        precondition(blobBytesMax <= BlobFormat.lengthMax, "the format bounds a blob")
        self.volumeBytes = volumeBytes
        self.sharedBytesMax = sharedBytesMax
        self.blobBytesMax = blobBytesMax
        self.openFilesMax = openFilesMax
    }
}

/// Blobs by the hash of their bytes, in append-only volumes.
///
/// An upload is begun, fed and finished: ``begin()``, ``BlobWriter``. What was finished is durable.
/// The same bytes are kept once. A read gives exactly the bytes that were written, or an error.
/// All methods may be called from any thread that may block on the disk.
///
/// Threads that finish short blobs at the same time share a sync: each writes its record under the
/// lock of `state`, then takes `syncing`; whoever gets it first syncs for all that have written.
package final class BlobStore: Sendable {
    struct Volume {
        let id: UInt64
        let salt: UInt64
        let file: any File
        var end: UInt64
        var durableEnd: UInt64
        /// Where the last record that is not a mark ends.
        var blobEnd: UInt64
        var markedEnd: UInt64
    }

    struct State {
        /// Where readable blobs stand, with the salt of the volume.
        private(set) var index: [BlobHash: BlobLocation] = [:]
        /// Their bytes.
        private(set) var indexedBytes: UInt64 = 0
        var salts: [UInt64: UInt64] = [:]
        /// Written, not synced, in the order of their offsets.
        var unsynced: [(hash: BlobHash, location: BlobLocation)] = []
        var damaged: Set<BlobHash> = []
        /// The volume that takes short blobs.
        var shared: Volume?
        var nextID: UInt64 = 1
        var isDead = false

        mutating func note(_ location: BlobLocation, of hash: BlobHash) {
            if let old = index.updateValue(location, forKey: hash) { indexedBytes -= old.length }
            indexedBytes += location.length
        }
    }

    let fileSystem: any FileSystem
    let directory: String
    let options: BlobStoreOptions
    let files: VolumeFiles
    private let random: any RandomSource
    let state: Mutex<State>
    /// Held while something is synced: so no sync can hide the failure of another.
    private let syncing = Mutex(())
    /// What the start could not read, below what was durable.
    package let damage: [BlobDamage]

    init(
        fileSystem: any FileSystem, directory: String, options: BlobStoreOptions,
        random: any RandomSource, files: VolumeFiles, state: sending State, damage: [BlobDamage]
    ) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.options = options
        self.random = random
        self.files = files
        self.state = Mutex(state)
        self.damage = damage
    }

    // MARK: Looking

    /// True when the blob is here, durable, and not known to be damaged.
    package func contains(_ hash: BlobHash) -> Bool { location(hash) != nil }

    /// Bytes of the blob; nil when it is not here.
    package func size(_ hash: BlobHash) -> UInt64? { location(hash)?.length }

    /// Bytes of all blobs that are here, which is nearly what the volumes take on the disk.
    package var bytes: UInt64 { state.withLock { $0.indexedBytes } }

    /// Where the blob stands; nil when it is not here.
    package func location(_ hash: BlobHash) -> BlobLocation? {
        state.withLock { $0.damaged.contains(hash) ? nil : $0.index[hash] }
    }

    /// All blobs that are here, sorted by hash.
    package var hashes: [BlobHash] {
        state.withLock { state in
            state.index.keys.filter { !state.damaged.contains($0) }.sorted()
        }
    }

    // MARK: Writing

    /// Starts an upload.
    package func begin() throws(BlobError) -> BlobWriter {
        if state.withLock({ $0.isDead }) { throw .dead }
        return BlobWriter(store: self)
    }

    /// Writes down how far the shared volume is durable, unless that is on record: rot is then told
    /// from a torn tail. For the owner to call when uploads pause.
    package func mark() throws(BlobError) {
        try inSync { () throws(BlobError) in
            try syncShared()
            try writeMark()
            try syncShared()
        }
    }

    /// Keeps a short blob, durably; where it stands.
    func keep(_ bytes: [UInt8], as hash: BlobHash) throws(BlobError) -> BlobLocation {
        try makeRoom()
        let written = try lockedState { (state) throws(BlobError) in
            try self.write(bytes, hash, &state)
        }
        switch written {
        case .durable(let location): return location
        case .unsynced(let location): return try waitDurable(location, hash)
        case .noRoom: return try keep(bytes, as: hash)
        }
    }

    private enum Written {
        case durable(BlobLocation)
        case unsynced(BlobLocation)
        case noRoom
    }

    private func write(
        _ bytes: [UInt8], _ hash: BlobHash, _ state: inout State
    ) throws(BlobError) -> Written {
        if state.isDead { throw .dead }
        if let known = state.index[hash], !state.damaged.contains(hash) { return .durable(known) }
        if let pending = state.unsynced.first(where: { $0.hash == hash }) {
            return .unsynced(pending.location)
        }
        guard var volume = state.shared, volume.end < options.volumeBytes else { return .noRoom }
        let length = UInt64(bytes.count)
        let header = BlobRecordHeader(
            kind: .blob, length: length, mark: volume.durableEnd, hash: hash)
        var record = header.encode(salt: volume.salt, offset: volume.end)
        VolumePage.append(
            bytes, salt: volume.salt, offset: volume.end + UInt64(BlobFormat.headerBytes),
            to: &record)
        let padding = Int(BlobFormat.recordBytes(length)) - record.count
        record.append(contentsOf: repeatElement(0, count: padding))
        do throws(DiskError) {
            try volume.file.write(record, at: volume.end)
        } catch {
            // A part may stand behind the end; it must go before anything else is written there.
            if (try? volume.file.truncate(volume.end)) == nil { state.isDead = true }
            throw .disk(error)
        }
        let location = BlobLocation(volume: volume.id, offset: volume.end, length: length)
        volume.end += UInt64(record.count)
        volume.blobEnd = volume.end
        volume.markedEnd = volume.durableEnd
        state.shared = volume
        state.unsynced.append((hash, location))
        return .unsynced(location)
    }

    /// Returns when the record at `location` is durable; syncs for all when nobody has.
    private func waitDurable(
        _ location: BlobLocation, _ hash: BlobHash
    ) throws(BlobError) -> BlobLocation {
        try inSync { () throws(BlobError) in
            let known = state.withLock { $0.index[hash] }
            if let known, known == location { return }
            try syncShared()
        }
        return location
    }

    /// Makes a shared volume when there is none with room.
    private func makeRoom() throws(BlobError) {
        let hasRoom = state.withLock { state in
            state.shared.map { $0.end < options.volumeBytes } ?? false
        }
        if hasRoom { return }
        try inSync { () throws(BlobError) in
            let full = state.withLock { $0.shared }
            if let full, full.end < options.volumeBytes { return }
            if full != nil {
                try syncShared()
                try writeMark()
                try syncShared()
            }
            let id = takeID()
            let (file, salt) = try makeVolume(id, .shared, at: files.path(id))
            do throws(DiskError) {
                try file.sync()
                try fileSystem.syncDirectory(directory)
            } catch {
                state.withLock { $0.isDead = true }
                throw .disk(error)
            }
            let start = BlobFormat.firstRecord
            state.withLock { state in
                state.salts[id] = salt
                state.shared = Volume(
                    id: id, salt: salt, file: file, end: start, durableEnd: start, blobEnd: start,
                    markedEnd: start)
            }
        }
    }

    private func writeMark() throws(BlobError) {
        try lockedState { (state) throws(BlobError) in
            guard var volume = state.shared,
                volume.markedEnd < volume.blobEnd, volume.durableEnd >= volume.blobEnd
            else { return }
            let record = BlobRecordHeader(
                kind: .mark, length: 0, mark: volume.durableEnd, hash: BlobHash.none)
            let bytes = record.encode(salt: volume.salt, offset: volume.end)
            try onDisk { () throws(DiskError) in try volume.file.write(bytes, at: volume.end) }
            volume.markedEnd = volume.durableEnd
            volume.end += UInt64(bytes.count)
            state.shared = volume
        }
    }

    /// Syncs the shared volume and shows what became durable. `syncing` is held.
    private func syncShared() throws(BlobError) {
        guard let volume = state.withLock({ $0.shared }),
            volume.durableEnd < volume.end
        else { return }
        do throws(DiskError) {
            try volume.file.sync()
        } catch {
            state.withLock { $0.isDead = true }
            throw .disk(error)
        }
        state.withLock { state in
            state.shared?.durableEnd = volume.end
            while let first = state.unsynced.first, first.location.offset < volume.end {
                state.note(first.location, of: first.hash)
                state.damaged.remove(first.hash)
                state.unsynced.removeFirst()
            }
        }
    }

    // MARK: Volumes of one blob

    func takeID() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    /// Makes the file of a volume with its header; nothing is durable yet.
    func makeVolume(
        _ id: UInt64, _ kind: VolumeHeader.Kind, at path: String
    ) throws(BlobError) -> (file: any File, salt: UInt64) {
        let header = VolumeHeader(kind: kind, id: id, salt: random.word())
        return try onDisk { () throws(DiskError) in
            let file = try fileSystem.open(path, .create)
            do throws(DiskError) {
                try file.write(header.encode(), at: 0)
            } catch {
                try? fileSystem.unlink(path)
                throw error
            }
            return (file, header.salt)
        }
    }

    /// Gives a finished upload its name, unless the blob has come in meanwhile.
    func promote(
        _ location: BlobLocation, _ salt: UInt64, as hash: BlobHash
    ) throws(BlobError) -> BlobLocation {
        var result = location
        try inSync { () throws(BlobError) in
            if let known = self.location(hash) {
                try? fileSystem.unlink(files.uploadPath(location.volume))
                result = known
                return
            }
            do throws(DiskError) {
                try fileSystem.rename(
                    files.uploadPath(location.volume), to: files.path(location.volume))
                try fileSystem.syncDirectory(directory)
            } catch {
                if !error.isWaitedOut { state.withLock { $0.isDead = true } }
                throw .disk(error)
            }
            state.withLock { state in
                state.note(location, of: hash)
                state.salts[location.volume] = salt
                state.damaged.remove(hash)
            }
        }
        return result
    }

    /// Runs `body` while nothing else is synced, unless a sync has failed.
    private func inSync(_ body: () throws(BlobError) -> Void) throws(BlobError) {
        try syncing.withLock { (_) throws(BlobError) in
            if state.withLock({ $0.isDead }) { throw .dead }
            try body()
        }
    }

    private func lockedState<Value>(
        _ body: (inout State) throws(BlobError) -> sending Value
    ) throws(BlobError) -> sending Value {
        try state.withLock { (state) throws(BlobError) in try body(&state) }
    }
}
