private import CXXHash

/// XXH3-64 (Yann Collet's xxHash, release 0.8): the checksum and hash of everything Magpie writes.
package enum Checksum {
    /// XXH3-64 of `bytes` with a seed.
    @inline(__always)
    package static func xxh3(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        XXH3_64bits_withSeed(bytes.baseAddress, bytes.count, seed)
    }

    /// XXH3-64 of `bytes` with a seed.
    package static func xxh3(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { xxh3($0, seed: seed) }
    }

    /// The seed of a checksum that holds only at one place: mixes a file id with an offset, so
    /// bytes read from the wrong place fail their check.
    package static func seed(file: UInt64, offset: UInt64) -> UInt64 {
        SplitMix64.mix(file &* 0x9E37_79B9_7F4A_7C15 ^ SplitMix64.mix(offset &+ 1))
    }
}
