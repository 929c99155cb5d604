internal import Bytes

/// Numbers for words, in the order they come: an open-addressing table over one arena of bytes.
struct TermTable {
    private var arena: [UInt8] = []
    private var starts: [UInt32] = [0]
    private var hashes: [UInt32] = []
    /// Term number + 1, or 0; the size is a power of two.
    private var slots: [UInt32]

    init() { slots = [UInt32](repeating: 0, count: 1024) }

    var count: Int { hashes.count }

    /// Bytes of memory in use.
    var memoryBytes: Int { arena.count + starts.count * 8 + slots.count * 4 }

    /// The number of a word; a new one when it was not there.
    mutating func number(of word: UnsafeRawBufferPointer) -> UInt32 {
        let hash = Checksum.xxh3(word)
        let short = UInt32(truncatingIfNeeded: hash >> 32)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let found = slots[slot] - 1
            if hashes[Int(found)] == short, isEqual(found, word) { return found }
            slot = (slot + 1) & mask
        }
        let number = UInt32(hashes.count)
        arena.append(contentsOf: word)
        starts.append(UInt32(arena.count))
        hashes.append(short)
        slots[slot] = number + 1
        if hashes.count * 2 > slots.count { grow() }
        return number
    }

    private func isEqual(_ number: UInt32, _ word: UnsafeRawBufferPointer) -> Bool {
        withBytes(number) { $0.count == word.count && Bytewise.compare($0, word) == 0 }
    }

    private mutating func grow() {
        var larger = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for number in 0..<hashes.count {
            let hash = withBytes(UInt32(number)) { Checksum.xxh3($0) }
            var slot = Int(truncatingIfNeeded: hash) & mask
            while larger[slot] != 0 { slot = (slot + 1) & mask }
            larger[slot] = UInt32(number) + 1
        }
        slots = larger
    }

    /// Gives the bytes of a word to `body`.
    @inline(__always)
    func withBytes<Value>(_ number: UInt32, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        let range = Int(starts[Int(number)])..<Int(starts[Int(number) + 1])
        return arena.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// All numbers in the order of their words' bytes.
    func sorted() -> [UInt32] {
        arena.withUnsafeBytes { bytes in
            func word(_ number: UInt32) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(
                    rebasing: bytes[
                        Int(starts[Int(number)])..<Int(starts[Int(number) + 1])])
            }
            return (0..<UInt32(hashes.count)).sorted { Bytewise.compare(word($0), word($1)) < 0 }
        }
    }
}
