import Bytes

/// The contents of one simulated file: what a reader sees now, and for every sector written since
/// the last sync what the platter may hold instead.
///
/// A disk writes sectors of 512 bytes in any order. So each sector keeps its earlier contents until
/// a sync; a crash picks one of them for each sector on its own.
struct SimulatedInode {
    static let sectorBytes = 512
    static let chunkBytes = 32 * 1024
    /// Earlier contents kept for a sector: the platter's and the latest ones.
    static let versionsMax = 4

    /// Contents in chunks; an empty chunk is all zeros.
    private var chunks: [[UInt8]] = []
    /// The size readers see.
    private(set) var size = 0
    /// The size on the platter.
    private(set) var durableSize = 0
    /// Sector → earlier contents, the platter's first; empty contents are zeros.
    private var unsynced: [Int: [[UInt8]]] = [:]
    /// Sectors that a failed sync marked clean: no later sync writes them.
    private var abandoned: [Int: [[UInt8]]] = [:]
    /// Handles that are open on it.
    var handles = 0

    /// Bytes that chunks hold in memory.
    var allocatedBytes: Int { chunks.reduce(0) { $0 + $1.count } }

    /// True when a crash could change the contents.
    var isDirty: Bool { !unsynced.isEmpty || !abandoned.isEmpty || size != durableSize }

    /// Copies the bytes at `offset` into `target`; the count is less than asked only at the end.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = max(0, min(target.count, size - offset))
        var done = 0
        while done < count {
            let (index, start) = (offset + done).quotientAndRemainder(dividingBy: Self.chunkBytes)
            let step = min(Self.chunkBytes - start, count - done)
            let into = UnsafeMutableRawBufferPointer(rebasing: target[done..<(done + step)])
            if index < chunks.count, !chunks[index].isEmpty {
                chunks[index].withUnsafeBytes { source in
                    into.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[start..<(start + step)]))
                }
            } else {
                into.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done += step
        }
        return count
    }

    /// All bytes as a reader sees them.
    var contents: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        _ = bytes.withUnsafeMutableBytes { read(into: $0, at: 0) }
        return bytes
    }

    /// Writes as pwrite does: the size grows when needed, nothing is durable.
    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        if source.isEmpty { return }
        keepVersions(offset..<(offset + source.count))
        put(source, at: offset)
        size = max(size, offset + source.count)
    }

    /// Grows the size with zeros.
    mutating func grow(to newSize: Int) {
        size = max(size, newSize)
    }

    /// Cuts or extends.
    mutating func truncate(to newSize: Int) {
        if newSize < size {
            let lost = size - newSize
            keepVersions(newSize..<size)
            let zeros = [UInt8](repeating: 0, count: lost)
            zeros.withUnsafeBytes { put($0, at: newSize) }
        }
        size = newSize
    }

    /// Everything reaches the platter.
    mutating func sync() {
        unsynced = [:]
        durableSize = size
    }

    /// A sync that fails as Linux fails it: pages turn clean, the platter keeps what it had.
    mutating func failSync() {
        for (sector, versions) in unsynced {
            let older = abandoned[sector] ?? []
            abandoned[sector] = older.isEmpty ? versions : older
        }
        unsynced = [:]
    }

    /// Changes a byte on the platter and in memory, as rot does.
    mutating func flip(byte offset: Int, mask: UInt8) {
        precondition(offset >= 0 && offset < size, "a flip inside the file")
        var byte = [UInt8](repeating: 0, count: 1)
        _ = byte.withUnsafeMutableBytes { read(into: $0, at: offset) }
        byte[0] ^= mask
        byte.withUnsafeBytes { put($0, at: offset) }
    }

    /// Replaces everything, durably.
    mutating func replace(_ bytes: [UInt8]) {
        let handles = handles
        self = SimulatedInode()
        self.handles = handles
        bytes.withUnsafeBytes { write($0, at: 0) }
        sync()
    }

    /// Settles what the platter holds after power was cut.
    mutating func crash(_ generator: inout SplitMix64, _ mood: CrashMood) {
        if !isDirty { return }
        var candidates = abandoned
        for (sector, versions) in unsynced {
            candidates[sector] = (candidates[sector] ?? []) + versions
        }
        let seenSize = size
        for sector in candidates.keys.sorted() {
            let versions = candidates[sector] ?? []
            let isAbandoned = abandoned[sector] != nil && unsynced[sector] == nil
            let now = self.sector(sector)
            let kept = mood.pick(versions, now, isAbandoned: isAbandoned, &generator)
            putSector(sector, kept)
        }
        unsynced = [:]
        abandoned = [:]
        size = mood.pickSize(durable: durableSize, seen: seenSize, &generator)
        clearBeyondSize()
        durableSize = size
    }

    // MARK: Sectors

    private mutating func keepVersions(_ range: Range<Int>) {
        let first = range.lowerBound / Self.sectorBytes
        let last = (range.upperBound - 1) / Self.sectorBytes
        for index in first...last {
            var versions = unsynced[index] ?? []
            if versions.isEmpty, let lost = abandoned.removeValue(forKey: index) {
                versions = lost
            }
            versions.append(sector(index))
            if versions.count > Self.versionsMax { versions.remove(at: 1) }
            unsynced[index] = versions
        }
    }

    private func sector(_ index: Int) -> [UInt8] {
        let (chunk, start) = (index * Self.sectorBytes).quotientAndRemainder(
            dividingBy: Self.chunkBytes)
        guard chunk < chunks.count, !chunks[chunk].isEmpty else { return [] }
        return Array(chunks[chunk][start..<(start + Self.sectorBytes)])
    }

    private mutating func putSector(_ index: Int, _ bytes: [UInt8]) {
        let full = bytes.isEmpty ? [UInt8](repeating: 0, count: Self.sectorBytes) : bytes
        full.withUnsafeBytes { put($0, at: index * Self.sectorBytes) }
    }

    private mutating func put(_ source: UnsafeRawBufferPointer, at offset: Int) {
        var done = 0
        while done < source.count {
            let (index, start) = (offset + done).quotientAndRemainder(dividingBy: Self.chunkBytes)
            let step = min(Self.chunkBytes - start, source.count - done)
            while chunks.count <= index { chunks.append([]) }
            if chunks[index].isEmpty {
                chunks[index] = [UInt8](repeating: 0, count: Self.chunkBytes)
            }
            let part = UnsafeRawBufferPointer(rebasing: source[done..<(done + step)])
            chunks[index].withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[start..<(start + step)])
                    .copyMemory(from: part)
            }
            done += step
        }
    }

    private mutating func clearBeyondSize() {
        let (last, start) = size.quotientAndRemainder(dividingBy: Self.chunkBytes)
        let keep = start == 0 ? last : last + 1
        if chunks.count > keep { chunks.removeLast(chunks.count - keep) }
        if start > 0, last < chunks.count, !chunks[last].isEmpty {
            for offset in start..<Self.chunkBytes { chunks[last][offset] = 0 }
        }
    }
}
