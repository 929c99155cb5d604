import Bytes
import Platform
import Simulation

@testable import BlobStore

/// Blobs whose bytes follow from a number, under names that follow from it too. The store takes the
/// name on the owner's word, so no real SHA-256 is needed here.
enum BlobWorld {
    static func bytes(_ number: UInt64, _ count: Int) -> [UInt8] {
        var generator = SplitMix64(seed: number)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    static func hash(_ number: UInt64) -> BlobHash {
        guard let hash = BlobHash(bytes(number ^ 0xFACE, 32)) else {
            preconditionFailure("32 bytes are a hash")
        }
        return hash
    }

    /// Lengths around pages and around the limit of memory, from a number.
    static func length(_ number: UInt64) -> Int {
        var generator = SplitMix64(seed: number &+ 99)
        let around = [0, 1, 700, 65_535, 65_536, 65_537, 100_000, 131_072, 200_000, 400_000]
        return around[Int(generator.next() % UInt64(around.count))]
    }

    static let options = BlobStoreOptions(
        volumeBytes: 300_000, sharedBytesMax: 120_000, blobBytesMax: 10 << 20, openFilesMax: 3)

    static func open(
        _ disk: any FileSystem, options: BlobStoreOptions = BlobWorld.options
    ) throws(BlobError) -> BlobStore {
        try BlobStore.open(
            fileSystem: disk, directory: "/blobs", options: options,
            random: SimulatedRandom(seed: 5))
    }

    /// Uploads blob `number` in pieces.
    @discardableResult
    static func put(
        _ store: BlobStore, _ number: UInt64, count: Int? = nil
    ) throws(BlobError) -> BlobLocation {
        let bytes = bytes(number, count ?? length(number))
        let writer = try store.begin()
        var start = 0
        var step = 1000
        while start < bytes.count {
            let end = min(bytes.count, start + step)
            try writer.append(Array(bytes[start..<end]))
            start = end
            step = step * 3 + 7
        }
        return try writer.finish(as: hash(number))
    }
}
