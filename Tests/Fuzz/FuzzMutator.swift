import Bytes

/// Changes inputs at random, for runs without libFuzzer.
package struct FuzzMutator: Sendable {
    private var generator: SplitMix64

    /// All changes follow from `seed`.
    package init(seed: UInt64) {
        generator = SplitMix64(seed: seed)
    }

    private mutating func below(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }

    /// A changed copy of one of `seeds`, at most 64 KiB long; in one of 16 nothing but chance.
    package mutating func next(_ seeds: [[UInt8]]) -> [UInt8] {
        if seeds.isEmpty || below(16) == 0 { return random(below(200)) }
        var bytes = seeds[below(seeds.count)]
        for _ in 0...below(4) { change(&bytes, seeds) }
        return Array(bytes.prefix(1 << 16))
    }

    private mutating func random(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    private mutating func change(_ bytes: inout [UInt8], _ seeds: [[UInt8]]) {
        guard !bytes.isEmpty else { return bytes.append(UInt8(below(256))) }
        let place = below(bytes.count)
        switch below(9) {
        case 0: bytes[place] ^= 1 << UInt8(below(8))
        case 1: bytes[place] = UInt8(below(256))
        case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][below(6)]
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
        case 4: bytes.insert(contentsOf: random(1 + below(8)), at: place)
        case 5: bytes.removeSubrange(place...)
        case 6:
            // The largest number that a varint or a field can have.
            bytes.insert(contentsOf: [UInt8](repeating: 0xFF, count: 1 + below(9)), at: place)
        case 7:
            let other = seeds[below(seeds.count)]
            if other.isEmpty { return }
            let start = below(other.count)
            bytes.insert(
                contentsOf: other[start..<min(other.count, start + 1 + below(40))], at: place)
        default:
            let end = min(bytes.count, place + 1 + below(16))
            let piece = Array(bytes[place..<end])
            bytes.insert(contentsOf: piece, at: place)
        }
    }
}
