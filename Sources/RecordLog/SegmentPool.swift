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
    private struct Retired {
        let name: String
        let mustErase: Bool
    }

    private struct State {
        var ready: PreparedSegment?
        var isPreparing = false
        var retired: [Retired] = []
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

    /// The last error of the background, for reports; it stops nothing by itself.
    var failure: DiskError? { state.withLock { $0.failure } }

    /// The segment that is ready, if its id is above `id`.
    func take(above id: UInt64) -> PreparedSegment? {
        state.withLock { state in
            guard let ready = state.ready else { return nil }
            state.ready = nil
            if ready.id > id { return ready }
            state.retired.append(Retired(name: SegmentName.name(ready.id), mustErase: false))
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
    func retire(_ names: [String], mustErase: Bool) {
        if names.isEmpty { return }
        let job = { @Sendable [self] in
            for name in names {
                let isKept = state.withLock { state in
                    if state.retired.count >= recycledMax { return false }
                    state.retired.append(Retired(name: name, mustErase: mustErase))
                    return true
                }
                // A file that stays is removed by the next recovery.
                if !isKept { try? fileSystem.unlink("\(directory)/\(name)") }
            }
        }
        if let lane { lane.submit(job) } else { job() }
    }

    /// Makes the segment `id` now, of a retired file when there is one.
    func prepare(id: UInt64) throws(DiskError) -> PreparedSegment {
        let retired = state.withLock { $0.retired.popLast() }
        if let retired {
            do throws(DiskError) {
                return try reuse(retired, id: id)
            } catch  where error.reason == .notFound {
                // Gone in between; a new one does as well.
            } catch {
                // It stays ours: when room is short it is needed most.
                state.withLock { $0.retired.insert(retired, at: 0) }
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

    private func reuse(_ retired: Retired, id: UInt64) throws(DiskError) -> PreparedSegment {
        let path = "\(directory)/\(SegmentName.name(id))"
        let old = "\(directory)/\(retired.name)"
        let file = try fileSystem.open(old, .readWrite)
        let size = Int(clamping: try file.size())
        if size > segmentBytes { try file.truncate(UInt64(segmentBytes)) }
        let wiped = retired.mustErase ? segmentBytes : min(Self.firstBlockBytes, segmentBytes)
        try fill(file, 0..<wiped)
        if size < segmentBytes, !retired.mustErase {
            try fill(file, max(size, wiped)..<segmentBytes)
        }
        try file.sync()
        file.close()
        try fileSystem.rename(old, to: path)
        try fileSystem.syncDirectory(directory)
        return PreparedSegment(id: id, file: try fileSystem.open(path, .readWrite))
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
