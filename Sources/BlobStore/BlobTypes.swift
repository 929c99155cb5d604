import Bytes
package import Platform

/// The name of a blob: the SHA-256 of its bytes, which the owner computes and vouches for.
package struct BlobHash: Hashable, Comparable, Sendable, CustomStringConvertible {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// The hash in 32 bytes; nil for another count.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        words = bytes.withUnsafeBytes { raw in
            func word(_ index: Int) -> UInt64 {
                UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            return (word(0), word(1), word(2), word(3))
        }
    }

    /// The hash that is all zeros: of no blob.
    static let none = BlobHash(words: (0, 0, 0, 0))

    private init(words: (UInt64, UInt64, UInt64, UInt64)) {
        self.words = words
    }

    /// The 32 bytes.
    package var bytes: [UInt8] {
        var key = OrderedKey(capacity: 32)
        key.append(words.0)
        key.append(words.1)
        key.append(words.2)
        key.append(words.3)
        return key.bytes
    }

    /// Equal when all 32 bytes are.
    package static func == (left: BlobHash, right: BlobHash) -> Bool {
        left.words == right.words
    }

    /// The order of ``bytes``.
    package static func < (left: BlobHash, right: BlobHash) -> Bool {
        left.words < right.words
    }

    /// All 32 bytes.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    /// 64 hexadecimal digits.
    package var description: String { Hex.encode(bytes) }
}

/// Where a blob stands.
package struct BlobLocation: Hashable, Sendable {
    /// The id of the volume.
    package let volume: UInt64
    /// Where the record begins in the volume.
    package let offset: UInt64
    /// Bytes of the blob.
    package let length: UInt64
}

/// Bytes that had been durable and can't be read.
package struct BlobDamage: Equatable, Sendable, CustomStringConvertible {
    /// The volume.
    package let file: String
    /// Where in it.
    package let offset: UInt64
    /// What should be there.
    package let expected: String
    /// What is.
    package let found: String

    /// One line for people.
    package var description: String {
        "\(file) is damaged at byte \(offset): expected \(expected), found \(found)"
    }
}

/// Why the store could not do what it was asked.
package enum BlobError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No such blob, or none that can be read any more.
    case missing(BlobHash)
    /// The range is not inside the blob of this many bytes.
    case range(UInt64)
    /// The blob is longer than the store takes.
    case tooLong(maximum: UInt64)
    /// Stored bytes are damaged.
    case rot(BlobDamage)
    /// The disk refused.
    case disk(DiskError)
    /// An earlier sync failed: the store takes no more blobs.
    case dead
    /// The upload was finished or abandoned before.
    case finished

    /// One line for people.
    package var description: String {
        switch self {
        case .missing(let hash): "no blob \(hash)"
        case .range(let length): "the range is not inside a blob of \(length) bytes"
        case .tooLong(let maximum): "the blob is longer than \(maximum) bytes"
        case .rot(let damage): "\(damage)"
        case .disk(let error): "\(error)"
        case .dead: "the blob store is dead: an earlier sync failed"
        case .finished: "the upload has ended"
        }
    }
}

/// Runs `body` and turns an error of the disk into one of the store.
@inline(__always)
func onDisk<Value>(_ body: () throws(DiskError) -> Value) throws(BlobError) -> Value {
    do {
        return try body()
    } catch {
        throw .disk(error)
    }
}
