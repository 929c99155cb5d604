package import Platform

/// Sizes of a log.
package struct SegmentLogOptions: Sendable {
    /// Bytes of a segment file; a single batch may make one larger.
    package var segmentBytes: Int
    /// Released files kept for reuse.
    package var recycledMax: Int
    /// False for a log that was there before: finding no segment that ever lived is rot then.
    package var mayBeNew = true

    /// Sizes of a log.
    package init(segmentBytes: Int = 8 << 20, recycledMax: Int = 2) {
        precondition(segmentBytes >= 4096, "a segment has at least a block")
        self.segmentBytes = segmentBytes
        self.recycledMax = recycledMax
    }
}

/// What a log takes on the disk.
package struct LogSpace: Equatable, Sendable {
    /// Records in segments that are part of the log.
    package var recordBytes: UInt64 = 0
    /// The zeros behind them.
    package var unwrittenBytes: UInt64 = 0
    /// Released files that are kept for reuse.
    package var spareBytes: UInt64 = 0
    /// The segment that was made ahead.
    package var readyBytes: UInt64 = 0

    /// All of it.
    package var bytes: UInt64 { recordBytes + unwrittenBytes + spareBytes + readyBytes }

    /// No log.
    package init() {}

    init(recordBytes: UInt64, unwrittenBytes: UInt64, spareBytes: UInt64, readyBytes: UInt64) {
        self.recordBytes = recordBytes
        self.unwrittenBytes = unwrittenBytes
        self.spareBytes = spareBytes
        self.readyBytes = readyBytes
    }
}

/// An append-only log in segment files that are made ahead, filled, released and reused.
///
/// The owner calls ``append(_:)`` and then ``sync()``, once each for everything it has collected:
/// one write, one fdatasync. A record is durable when the sync behind it has returned. After a
/// failed write or sync the log is dead: the pages may be marked clean without being written, so
/// nothing may be tried again on them. A disk without room is no such failure: an append or a mark
/// that throws it has done nothing, and the same may be tried again. It must be the same: of some
/// records that did not fit some may stand in the file, and others in their place could end where
/// one of those begins.
///
/// One lane owns the log; its ``reader`` may be used from any thread. See ``RecordFormat`` for
/// the bytes, `SegmentLog+Recovery.swift` for the start.
package final class SegmentLog {
    /// A segment that is part of the log.
    struct Segment {
        let id: UInt64
        let file: any File
        /// Where its records end.
        var end: UInt64
    }

    /// A batch may overrun a segment by this factor while the next one is not ready.
    private static let overrunFactor = 4

    let directory: String
    let options: SegmentLogOptions
    let pool: SegmentPool
    let segmentHeader: () -> [UInt8]
    /// What the start found.
    package let recovery: LogRecovery

    /// Oldest first; the last one is written.
    private(set) var segments: [Segment]
    private var durableEnd: UInt64
    /// Where the records of the owner end in the last segment.
    private var ownerEnd: UInt64
    /// The highest mark written to the last segment.
    private var markedEnd: UInt64
    private var nextID: UInt64
    private var requestedFloor: UInt64
    private var writtenFloor: UInt64
    /// What `scratch` makes of it once it is written.
    private var scratchFloor: UInt64
    private var durableFloor: UInt64
    /// Segments with lower ids may hold something that was erased, and spare files that became
    /// segments with lower ids may hold it behind their records.
    private var erasingFloor: UInt64
    /// The present segment gets no more records once the next one is ready.
    private var isEnding: Bool
    private var isDead = false
    private var scratch: [UInt8] = []
    /// Reads records again, from any thread.
    package let reader: LogReader

    init(
        directory: String, options: SegmentLogOptions, pool: SegmentPool,
        segmentHeader: @escaping () -> [UInt8], recovery: LogRecovery, segments: [Segment],
        floor: UInt64
    ) {
        guard let last = segments.last else { preconditionFailure("a log has a segment") }
        self.directory = directory
        self.options = options
        self.pool = pool
        self.segmentHeader = segmentHeader
        self.recovery = recovery
        self.segments = segments
        durableEnd = last.end
        ownerEnd = last.end
        markedEnd = 0
        nextID = last.id + 1
        requestedFloor = floor
        writtenFloor = floor
        scratchFloor = floor
        durableFloor = floor
        // What was erased in an earlier run is not on record. It may have been carried over.
        erasingFloor = nextID
        isEnding = recovery.movedRecords > 0
        reader = LogReader(segments.map { ($0.id, $0.file) })
        prepareNext()
    }

    // MARK: Looking

    /// The position that the next record gets if its batch fits the segment.
    package var end: LogPosition { LogPosition(segment: last.id, offset: last.end) }

    /// Everything before is durable.
    package var durable: LogPosition { LogPosition(segment: last.id, offset: durableEnd) }

    /// Ids of the segments that are part of the log, oldest first.
    package var segmentIDs: [UInt64] { segments.map(\.id) }

    /// Bytes of records in all segments.
    package var byteCount: UInt64 { segments.reduce(0) { $0 + $1.end } }

    /// What the log takes on the disk, and for what.
    package var space: LogSpace {
        let idle = pool.idleBytes
        let segmentBytes = UInt64(options.segmentBytes)
        return LogSpace(
            recordBytes: byteCount,
            unwrittenBytes: segments.reduce(0) { $0 + max(segmentBytes, $1.end) - $1.end },
            spareBytes: idle.spare, readyBytes: idle.ready)
    }

    /// The last trouble with files made in the background; the log goes on in larger segments.
    package var backgroundFailure: DiskError? { pool.failure }

    private var last: Segment { segments[segments.count - 1] }

    // MARK: Writing

    /// Writes `records` behind each other in one write, and gives their positions. Not durable
    /// before ``sync()``.
    ///
    /// When they do not fit the segment and the next one is ready, they go there; its header asks
    /// `segmentHeader` on the calling thread. Each record's payload is at most 16 MiB.
    package func append(_ records: [LogRecord]) throws(LogError) -> [LogPosition] {
        if isDead { throw .dead }
        for record in records {
            precondition(
                record.type >= 1 && record.type <= RecordFormat.ownerTypeMax,
                "types 1…239 belong to the owner")
        }
        let size = records.reduce(0) { $0 + RecordFormat.size(payload: $1.payload.count) }
        return try write(records, size: size)
    }

    /// Makes everything appended so far durable.
    package func sync() throws(LogError) {
        if isDead { throw .dead }
        if durableEnd < last.end {
            do {
                try last.file.sync()
            } catch {
                isDead = true
                throw .disk(error)
            }
            durableEnd = last.end
        }
        if writtenFloor > durableFloor {
            durableFloor = writtenFloor
            dropReleased()
        }
        prepareNext()
    }

    /// Writes down how far the log is durable, durably, unless that is on record already. The owner
    /// calls it after 50 ms without an append: rot in what was synced is then told from a torn
    /// tail. A segment that is to end does so here, if nothing was appended since.
    package func mark() throws(LogError) {
        try sync()
        if isEnding, ownerEnd > 0, let next = pool.take(above: last.id) { startSegment(next) }
        startScratch()
        if !scratch.isEmpty {
            try writeScratch()
            try sync()
            startScratch()
        } else if markedEnd >= ownerEnd, requestedFloor == writtenFloor {
            return
        }
        addRelease()
        addRecord(RecordFormat.markType, [])
        try writeScratch()
        markedEnd = durableEnd
        try sync()
    }

    /// Lets go of all segments with ids below `segment`; their files are reused or removed after
    /// the next append and sync, or ``mark()``.
    package func release(before segment: UInt64) {
        requestedFloor = max(requestedFloor, min(segment, last.id))
    }

    /// Notes that something was erased that may stand in what was appended so far: the files of all
    /// segments up to the present one, and those kept for reuse, are wiped as a whole as soon as
    /// they are no part of the log, whenever that will be.
    ///
    /// - Parameter endsSegment: the present segment ends with the next append or ``mark()``, so
    ///   that it can go although little is written.
    package func noteErasure(endsSegment: Bool = false) {
        // The next segment may be made already, of a file with a past.
        erasingFloor = nextID
        pool.wipeSpares()
        if endsSegment, ownerEnd > 0 { isEnding = true }
    }

    /// Closes the files. What was not synced may be lost.
    package func close() {
        isDead = true
        for segment in segments { segment.file.close() }
        pool.take(above: 0)?.file.close()
    }

    // MARK: Inside

    private func write(_ records: [LogRecord], size: Int) throws(LogError) -> [LogPosition] {
        if let next = try nextSegment(for: size) {
            try sync()
            startSegment(next)
        }
        startScratch()
        addRelease()
        var positions: [LogPosition] = []
        positions.reserveCapacity(records.count)
        for record in records {
            positions.append(
                LogPosition(segment: last.id, offset: last.end + UInt64(scratch.count)))
            addRecord(record.type, record.payload)
        }
        let mark = durableEnd
        try writeScratch()
        markedEnd = mark
        ownerEnd = last.end
        return positions
    }

    /// The segment to change to before `size` bytes are written; nil: stay.
    private func nextSegment(for size: Int) throws(LogError) -> PreparedSegment? {
        let isFull = last.end + UInt64(size) > UInt64(options.segmentBytes)
        guard isFull || isEnding, ownerEnd > 0, size > 0 else { return nil }
        if let ready = pool.take(above: last.id) { return ready }
        let overrunMax = UInt64(options.segmentBytes * Self.overrunFactor)
        if pool.isBackground, last.end < overrunMax { return nil }
        let id = takeID()
        return try onDisk { () throws(DiskError) in try pool.prepare(id: id) }
    }

    private func startSegment(_ next: PreparedSegment) {
        segments.append(Segment(id: next.id, file: next.file, end: 0))
        reader.add(next.id, next.file)
        isEnding = false
        durableEnd = 0
        ownerEnd = 0
        markedEnd = 0
    }

    /// Empties the scratch but for the header that a segment without records begins with.
    private func startScratch() {
        scratch.removeAll(keepingCapacity: true)
        scratchFloor = writtenFloor
        guard last.end == 0, segments.count > 1 else { return }
        let previous = segments[segments.count - 2]
        let header = SegmentHeader(
            segment: last.id, previous: previous.id, previousEnd: previous.end,
            first: requestedFloor)
        addRecord(RecordFormat.segmentHeaderType, header.encode(owner: segmentHeader()))
        scratchFloor = requestedFloor
    }

    private func addRelease() {
        if requestedFloor == scratchFloor { return }
        var floor = requestedFloor.littleEndian
        addRecord(RecordFormat.releaseType, withUnsafeBytes(of: &floor) { [UInt8]($0) })
        scratchFloor = requestedFloor
    }

    private func addRecord(_ type: UInt8, _ payload: [UInt8]) {
        let (id, offset, mark) = (last.id, last.end + UInt64(scratch.count), durableEnd)
        payload.withUnsafeBytes { raw in
            RecordFormat.append(
                type: type, payload: raw, mark: mark, id: id, offset: offset, to: &scratch)
        }
    }

    private func writeScratch() throws(LogError) {
        if scratch.isEmpty { return }
        do {
            try last.file.write(scratch, at: last.end)
        } catch {
            if error.reason != .noSpace { isDead = true }
            throw .disk(error)
        }
        segments[segments.count - 1].end += UInt64(scratch.count)
        writtenFloor = scratchFloor
    }

    private func takeID() -> UInt64 {
        defer { nextID += 1 }
        return nextID
    }

    private func prepareNext() {
        if pool.isBackground, !pool.hasNext { pool.prepareAhead(id: takeID()) }
    }

    private func dropReleased() {
        let dropped = segments.prefix { $0.id < durableFloor }
        if dropped.isEmpty { return }
        segments.removeFirst(dropped.count)
        reader.remove(dropped.map(\.id))
        for mustWipe in [false, true] {
            let names = dropped.filter { ($0.id < erasingFloor) == mustWipe }
                .map { SegmentName.name($0.id) }
            pool.retire(names, mustWipe: mustWipe)
        }
    }
}
