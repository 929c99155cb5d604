import Platform
import Synchronization

/// A segment file that waits for its life: named, of full size, free of an earlier life's start,
/// and durable as such.
struct PreparedSegment: Sendable {
    let id: UInt64
    let file: any File
}

/// Makes the next segment ahead of time and takes released ones back, on a background lane, so
/// that appends never wait for a file to be made.
final class SegmentPool: Sendable {
    /// A file kept for reuse.
    private struct Spare {
        enum Content {
            /// Nothing: it was wiped as a whole.
            case zeros
            /// Records that nobody minds.
            case old
            /// Perhaps something that was erased since.
            case erased
        }

        let name: String
        var content: Content
    }

    private struct State {
        var ready: PreparedSegment?
        var isPreparing = false
        var spares: [Spare] = []
        var failure: DiskError?
    }

    private static let fillBytes = 1 << 20
    /// Wiped of a reused file in any case: the block where its new header goes.
    private static let firstBlockBytes = 4096

    private let fileSystem: any FileSystem
    private let directory: String
    private let segmentBytes: Int
    private let recycledMax: Int
    private let lane: (any Lane)?
    private let state = Mutex(State())

    init(
        fileSystem: any FileSystem, directory: String, options: SegmentLogOptions,
        lane: (any Lane)?
    ) {
        self.fileSystem = fileSystem
        self.directory = directory
        segmentBytes = options.segmentBytes
        recycledMax = options.recycledMax
        self.lane = lane
    }

    /// True when files are made in the background.
    var isBackground: Bool { lane != nil }

    /// True when a segment is ready or being made.
    var hasNext: Bool { state.withLock { $0.ready != nil || $0.isPreparing } }

    /// Bytes of files that are no part of the log: kept for reuse, and made ahead.
    var idleBytes: (spare: UInt64, ready: UInt64) {
        state.withLock { state in
            let size = UInt64(segmentBytes)
            return (UInt64(state.spares.count) * size, state.ready == nil ? 0 : size)
        }
    }

    /// The last error of the background, for reports; it stops nothing by itself.
    var failure: DiskError? { state.withLock { $0.failure } }

    /// The segment that is ready, if its id is above `id`.
    func take(above id: UInt64) -> PreparedSegment? {
        state.withLock { state in
            guard let ready = state.ready else { return nil }
            state.ready = nil
            if ready.id > id { return ready }
            // What it holds of an earlier life, nobody looked after since.
            state.spares.append(Spare(name: SegmentName.name(ready.id), content: .erased))
            return nil
        }
    }

    /// Starts to make the segment `id` in the background.
    func prepareAhead(id: UInt64) {
        guard let lane else { return }
        state.withLock { $0.isPreparing = true }
        lane.submit { [self] in
            let result: Result<PreparedSegment, DiskError>
            do throws(DiskError) {
                result = .success(try prepare(id: id))
            } catch {
                result = .failure(error)
            }
            state.withLock { state in
                state.isPreparing = false
                switch result {
                case .success(let segment): state.ready = segment
                case .failure(let error): state.failure = error
                }
            }
        }
    }

    /// Takes back files that are no part of the log: keeps some for reuse, removes the others.
    ///
    /// - Parameter mustWipe: something in them was erased: it is gone from those that are kept
    ///   although nobody may need them for long.
    func retire(_ names: [String], mustWipe: Bool) {
        if names.isEmpty { return }
        inBackground { [self] in
            for name in names {
                if state.withLock({ $0.spares.count >= recycledMax }) {
                    // A file that stays is taken back by the next recovery.
                    try? fileSystem.unlink("\(directory)/\(name)")
                } else {
                    keep(Spare(name: name, content: mustWipe ? .erased : .old))
                }
            }
        }
    }

    /// Wipes the files that are kept for reuse: something was erased that they may hold.
    func wipeSpares() {
        let isDue = state.withLock { state in
            for place in state.spares.indices where state.spares[place].content == .old {
                state.spares[place].content = .erased
            }
            return state.spares.contains { $0.content == .erased }
        }
        if !isDue { return }
        inBackground { [self] in
            let due = state.withLock { state in
                let due = state.spares.filter { $0.content == .erased }
                state.spares.removeAll { $0.content == .erased }
                return due
            }
            for spare in due { keep(spare) }
        }
    }

    /// Adds a file to those kept for reuse, wiped if need be. When that fails it is tried again
    /// with the next erasure, and at the latest when the file is used.
    private func keep(_ spare: Spare) {
        var kept = spare
        if spare.content == .erased {
            do throws(DiskError) {
                let file = try fileSystem.open("\(directory)/\(spare.name)", .readWrite)
                defer { file.close() }
                try wipe(file, size: segmentBytes)
                kept.content = .zeros
            } catch {
                state.withLock { $0.failure = error }
            }
        }
        state.withLock { $0.spares.append(kept) }
    }

    private func inBackground(_ job: @escaping @Sendable () -> Void) {
        if let lane { lane.submit(job) } else { job() }
    }

    /// Makes the segment `id` now, of a spare file when there is one.
    func prepare(id: UInt64) throws(DiskError) -> PreparedSegment {
        let spare = state.withLock { $0.spares.popLast() }
        if let spare {
            do throws(DiskError) {
                return try reuse(spare, id: id)
            } catch  where error.reason == .notFound {
                // Gone in between; a new one does as well.
            } catch {
                // It stays ours: when room is short it is needed most.
                state.withLock { $0.spares.insert(spare, at: 0) }
                throw error
            }
        }
        let path = "\(directory)/\(SegmentName.name(id))"
        // Asked again with each append: a full disk is not to be filled and freed each time.
        if try fileSystem.freeBytes(directory) < UInt64(segmentBytes) {
            throw DiskError(.noSpace, "statfs", path)
        }
        let file = try fileSystem.open(path, .create)
        do throws(DiskError) {
            try file.preallocate(UInt64(segmentBytes))
            try fill(file, 0..<segmentBytes)
            try file.sync()
            try fileSystem.syncDirectory(directory)
        } catch {
            try? fileSystem.unlink(path)
            throw error
        }
        return PreparedSegment(id: id, file: file)
    }

    private func reuse(_ spare: Spare, id: UInt64) throws(DiskError) -> PreparedSegment {
        let path = "\(directory)/\(SegmentName.name(id))"
        let old = "\(directory)/\(spare.name)"
        let file = try fileSystem.open(old, .readWrite)
        let isWhole = spare.content == .erased
        try wipe(file, size: isWhole ? segmentBytes : min(Self.firstBlockBytes, segmentBytes))
        file.close()
        try fileSystem.rename(old, to: path)
        try fileSystem.syncDirectory(directory)
        return PreparedSegment(id: id, file: try fileSystem.open(path, .readWrite))
    }

    /// Zeroes the first `size` bytes of a file and gives it a segment's length.
    private func wipe(_ file: any File, size: Int) throws(DiskError) {
        let length = Int(clamping: try file.size())
        if length > segmentBytes { try file.truncate(UInt64(segmentBytes)) }
        try fill(file, 0..<size)
        if max(length, size) < segmentBytes {
            try fill(file, max(length, size)..<segmentBytes)
        }
        try file.sync()
    }

    private func fill(_ file: any File, _ range: Range<Int>) throws(DiskError) {
        let zeros = [UInt8](repeating: 0, count: min(Self.fillBytes, range.count))
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = min(zeros.count, range.upperBound - offset)
            try file.write(
                count == zeros.count ? zeros : Array(zeros[..<count]), at: UInt64(offset))
            offset += count
        }
    }
}
