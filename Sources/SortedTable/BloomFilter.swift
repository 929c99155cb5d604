internal import Bytes

/// A blocked Bloom filter (Putze, Sanders, Singler: "Cache-, hash- and space-efficient Bloom
/// filters", 2007): all bits of a key lie in one line of 64 bytes, so a look-up costs one cache
/// miss. At 10 bits a key about one absent key in a hundred passes.
///
/// Content: the lines, then the number of probes in one byte. With `h` the XXH3-64 (seed 0) of the
/// key and n lines, the line is `(h >> 32) * n >> 32`; the bits are the top nine bits of the low
/// half of `h`, multiplied by 0x9E3779B9 (modulo 2^32) from probe to probe.
enum BloomFilter {
    static let lineBytes = 64
    static let probesMax = 16

    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { Checksum.xxh3(key) }

    /// Probes that suit a line filled with so many bits a key.
    static func probes(bitsPerKey: Int) -> Int {
        min(probesMax, max(1, bitsPerKey * 3 / 5))
    }

    /// Appends the filter of `hashes` to `target`.
    static func build(_ hashes: ArraySlice<UInt64>, bitsPerKey: Int, into target: inout RawBuilder)
    {
        let lines = max(1, (hashes.count * bitsPerKey + lineBytes * 8 - 1) / (lineBytes * 8))
        let probes = probes(bitsPerKey: bitsPerKey)
        let start = target.count
        target.append(zeros: lines * lineBytes)
        let base = target.base + start
        for hash in hashes {
            let line = base + lineOffset(hash, lines: lines)
            var bits = UInt32(truncatingIfNeeded: hash)
            for _ in 0..<probes {
                let bit = Int(bits &>> 23)
                let byte = line.load(fromByteOffset: bit &>> 3, as: UInt8.self)
                let mask = UInt8(1) &<< UInt8(bit & 7)
                line.storeBytes(of: byte | mask, toByteOffset: bit &>> 3, as: UInt8.self)
                bits = bits &* 0x9E37_79B9
            }
        }
        target.append(byte: UInt8(probes))
    }

    /// What is wrong with a filter's content, or nil.
    static func problem(_ content: UnsafeRawBufferPointer) -> String? {
        guard content.count > lineBytes, content.count % lineBytes == 1 else {
            return "\(content.count) filter bytes"
        }
        let probes = Int(content[content.count - 1])
        return probes >= 1 && probes <= probesMax ? nil : "\(probes) probes"
    }

    /// False when the key of this hash was never added. The block was checked when it was loaded.
    @inline(__always)
    static func mayContain(_ block: TableBlock, _ hash: UInt64) -> Bool {
        let lines = block.count &>> 6
        let probes = Int(block.base.load(fromByteOffset: lines &<< 6, as: UInt8.self))
        let line = block.base + lineOffset(hash, lines: lines)
        var bits = UInt32(truncatingIfNeeded: hash)
        var probe = 0
        while probe < probes {
            let bit = Int(bits &>> 23)
            let byte = line.load(fromByteOffset: bit &>> 3, as: UInt8.self)
            if byte & (1 &<< UInt8(bit & 7)) == 0 { return false }
            bits = bits &* 0x9E37_79B9
            probe &+= 1
        }
        return true
    }

    @inline(__always)
    private static func lineOffset(_ hash: UInt64, lines: Int) -> Int {
        let product = (hash &>> 32) &* UInt64(truncatingIfNeeded: lines)
        return Int(truncatingIfNeeded: product &>> 32) &* lineBytes
    }
}
