import Bytes

/// How hard a power cut hits: drawn once a crash, so that some crashes lose all, some nothing, and
/// most a mixture.
struct CrashMood {
    /// Of 256: how often an unsynced change survives.
    let survival: UInt64
    /// Of 256: how often a sector that would survive is damaged where it was being changed.
    let damage: UInt64

    init(_ generator: inout SplitMix64) {
        switch generator.next() % 8 {
        case 0: (survival, damage) = (0, 0)
        case 1: (survival, damage) = (256, 0)
        case 2: (survival, damage) = (256, 32)
        default: (survival, damage) = (generator.next() % 257, generator.next() % 64)
        }
    }

    /// True when a change survives.
    func survives(_ generator: inout SplitMix64) -> Bool {
        generator.next() % 256 < survival
    }

    /// The contents of one sector: an earlier version, the last one, or a damaged mixture.
    ///
    /// Damage touches only bytes between the first and the last that differ: a drive does not
    /// lose bytes of a sector that a write leaves as they are.
    func pick(
        _ versions: [[UInt8]], _ now: [UInt8], isAbandoned: Bool, _ generator: inout SplitMix64
    ) -> [UInt8] {
        let platter = versions.first ?? now
        if isAbandoned, generator.next() % 8 != 0 { return platter }
        guard survives(&generator) else {
            // Mostly what the platter had; sometimes a write in between got through.
            let place =
                generator.next() % 4 == 0 ? generator.next() % UInt64(max(1, versions.count)) : 0
            return versions.isEmpty ? now : versions[Int(place)]
        }
        guard generator.next() % 256 < damage else { return now }
        return damaged(Self.full(platter), Self.full(now), &generator)
    }

    private func damaged(
        _ old: [UInt8], _ new: [UInt8], _ generator: inout SplitMix64
    ) -> [UInt8] {
        let changed = old.indices.filter { old[$0] != new[$0] }
        guard let first = changed.first, let last = changed.last else { return new }
        var mixed = new
        let cut = first + Int(generator.next() % UInt64(last - first + 1))
        switch generator.next() % 4 {
        case 0: for index in cut...last { mixed[index] = old[index] }
        case 1: for index in first...cut { mixed[index] = old[index] }
        case 2: for index in cut...last { mixed[index] = 0 }
        default:
            for index in cut...last { mixed[index] = UInt8(truncatingIfNeeded: generator.next()) }
        }
        return mixed
    }

    private static func full(_ bytes: [UInt8]) -> [UInt8] {
        bytes.isEmpty ? [UInt8](repeating: 0, count: SimulatedInode.sectorBytes) : bytes
    }

    /// The size after a crash: the platter's, the last one, or one in between.
    func pickSize(durable: Int, seen: Int, _ generator: inout SplitMix64) -> Int {
        if durable == seen { return seen }
        let (low, high) = (min(durable, seen), max(durable, seen))
        switch generator.next() % 4 {
        case 0 where survival > 0 && survival < 256:
            return low + Int(generator.next() % UInt64(high - low + 1))
        default:
            return survives(&generator) ? seen : durable
        }
    }
}
