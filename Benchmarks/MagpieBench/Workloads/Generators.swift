import Bytes
import Foundation

/// Keys as `db_bench` makes them: the number in 8 bytes, big endian, then zeros of text.
struct PlainKeys {
    /// Bytes of a key.
    static let bytes = 16
    private var buffer: [UInt8]

    /// - Parameter isMissing: keys one byte longer, which no fill writes.
    init(isMissing: Bool = false) {
        buffer = [UInt8](repeating: UInt8(ascii: "0"), count: Self.bytes + (isMissing ? 1 : 0))
    }

    /// Gives the bytes of a key to `body`.
    @inline(__always)
    mutating func with<Value>(
        _ number: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        try buffer.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: number.bigEndian, as: UInt64.self)
            return try body(UnsafeRawBufferPointer(raw))
        }
    }
}

/// Values as `db_bench` makes them: slices of one pool of 1 MiB that compresses to half.
// The pool is filled by init and never written again.
final class PlainValues: @unchecked Sendable {
    /// Bytes of a value.
    static let bytes = 100
    private let pool: UnsafeMutableRawBufferPointer

    init(seed: UInt64) {
        pool = .allocate(byteCount: 1 << 20, alignment: 8)
        var generator = SplitMix64(seed: seed)
        var offset = 0
        while offset < pool.count {
            let half = (0..<(Self.bytes / 2)).map { _ in
                UInt8(ascii: " ") + UInt8(truncatingIfNeeded: generator.next() % 95)
            }
            for byte in half + half where offset < pool.count {
                pool[offset] = byte
                offset += 1
            }
        }
    }

    deinit { pool.deallocate() }

    /// The value of the `index`-th write.
    @inline(__always)
    func value(_ index: Int) -> UnsafeRawBufferPointer {
        let slots = pool.count / Self.bytes - 1
        let start = (index % slots) * Self.bytes
        return UnsafeRawBufferPointer(rebasing: pool[start..<(start + Self.bytes)])
    }
}

/// Numbers below `count` whose frequency falls with their rank: P(rank) ~ 1 / rank^0.99, as YCSB
/// has it. Ranks are scattered over the numbers.
struct ZipfNumbers: Sendable {
    private let cumulative: [Double]
    private let numbers: [Int]

    init(count: Int, exponent: Double = 0.99, seed: UInt64) {
        precondition(count > 0, "numbers to draw from")
        var total = 0.0
        cumulative = (1...count).map { rank in
            total += 1 / pow(Double(rank), exponent)
            return total
        }
        var generator = SplitMix64(seed: seed)
        numbers = (0..<count).shuffled(using: &generator)
    }

    /// A number drawn with `generator`: binary search in the cumulated frequencies.
    func next(_ generator: inout SplitMix64) -> Int {
        let unit = Double(generator.next() >> 11) * 0x1p-53
        let target = unit * cumulative[cumulative.count - 1]
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] < target { low = middle + 1 } else { high = middle }
        }
        return numbers[low]
    }
}

/// Bodies of messages, 36 to 300 bytes, in memory that does not move.
// Filled by init and never written again.
final class MessageBodies: @unchecked Sendable {
    /// Bytes of a body.
    static let bytes = 36...300
    /// Where the texts come from, for the results.
    let source: String
    private let pool: UnsafeMutableRawBufferPointer
    private let ranges: [Range<Int>]

    /// Bodies of a corpus file, or made up when there is none.
    ///
    /// - Throws: ``UsageError`` when the file cannot be read or holds no texts.
    init(corpus: String?, seed: UInt64) throws {
        let texts = try corpus.map(Self.read) ?? Self.makeUp(seed: seed)
        if let corpus {
            let name = corpus.split(separator: "/").last.map(String.init) ?? corpus
            source = "\(texts.count) bodies of \(name)"
        } else {
            source = "synthetic words, log-normal lengths (median 90 B)"
        }
        pool = .allocate(byteCount: texts.reduce(0) { $0 + $1.count }, alignment: 8)
        var offset = 0
        var ranges: [Range<Int>] = []
        for text in texts {
            UnsafeMutableRawBufferPointer(rebasing: pool[offset..<(offset + text.count)])
                .copyBytes(from: text)
            ranges.append(offset..<(offset + text.count))
            offset += text.count
        }
        self.ranges = ranges
    }

    deinit { pool.deallocate() }

    /// A body chosen by a number.
    func body(_ number: UInt64) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: pool[ranges[Int(number % UInt64(ranges.count))]])
    }

    private struct Line: Decodable { let text: String }

    /// Texts shorter than the least length are joined with the next, longer ones are cut.
    private static func read(_ path: String) throws -> [[UInt8]] {
        guard let file = FileManager.default.contents(atPath: path) else {
            throw UsageError("cannot read \(path)")
        }
        var texts: [[UInt8]] = []
        var text: [UInt8] = []
        let decoder = JSONDecoder()
        for line in file.split(separator: UInt8(ascii: "\n")).prefix(200_000) {
            guard let message = try? decoder.decode(Line.self, from: line) else {
                throw UsageError("\(path): a line is not an object with a key \"text\"")
            }
            text += Array(message.text.utf8)
            if text.count < bytes.lowerBound {
                text.append(UInt8(ascii: " "))
                continue
            }
            texts.append(Array(text.prefix(bytes.upperBound)))
            text = []
        }
        guard !texts.isEmpty else { throw UsageError("\(path) holds no texts") }
        return texts
    }

    private static func makeUp(seed: UInt64) -> [[UInt8]] {
        var generator = SplitMix64(seed: seed)
        let words = (0..<2_000).map { _ in word(&generator) }
        let ranks = ZipfNumbers(count: words.count, seed: seed)
        return (0..<20_000).map { _ in
            // Box and Muller: a normal number from two uniform ones.
            let first = Double(generator.next() >> 11 | 1) * 0x1p-53
            let second = Double(generator.next() >> 11) * 0x1p-53
            let normal = (-2 * log(first)).squareRoot() * cos(2 * .pi * second)
            let length = min(max(Int(90 * exp(0.6 * normal)), bytes.lowerBound), bytes.upperBound)
            var text: [UInt8] = []
            while text.count < length { text += words[ranks.next(&generator)] + [0x20] }
            return Array(text.prefix(length))
        }
    }

    private static func word(_ generator: inout SplitMix64) -> [UInt8] {
        let consonants = Array("bcdfghklmnprstvw".utf8)
        let vowels = Array("aeiou".utf8)
        return (0..<(1 + generator.next() % 4)).flatMap { _ in
            [
                consonants[Int(generator.next() % UInt64(consonants.count))],
                vowels[Int(generator.next() % UInt64(vowels.count))],
            ]
        }
    }
}
