import Bytes

/// Texts of 300 bytes, equal for all engines; a few dozen, so that making them costs nothing.
enum Bodies {
    static let bytes = 300
    private static let count = 64

    static let all: [[UInt8]] = (0..<UInt64(count)).map { number in
        var generator = SplitMix64(seed: number)
        let letters = Array("abcdefghijklmnopqrstuvwxyz      0123456789ABCDEFGHIJKLMNOPQRSTUV".utf8)
        // Ends are letters: nobody trims them.
        return [0x61] + (0..<bytes - 2).map { _ in letters[Int(generator.next() & 63)] } + [0x7A]
    }

    static func body(_ number: UInt64) -> [UInt8] { all[Int(number % UInt64(count))] }
}
