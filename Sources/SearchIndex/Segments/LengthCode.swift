/// The length of a message in one byte: exact up to 40 words, then in steps of about a sixteenth.
///
/// Of real chat messages 99.9 % are at most 40 words long. Relevance needs no more of the others;
/// code 255 stands for everything from about 20 million words on.
enum LengthCode {
    static let exactMax = 40

    /// The length that each code stands for, ascending.
    static let lengths: [UInt32] = {
        var table: [UInt32] = []
        for code in 0...255 {
            let last = table.last ?? 0
            table.append(code <= exactMax ? UInt32(code) : last + max(1, last / 16))
        }
        return table
    }()

    /// The highest code whose length is at most `length`.
    static func encode(_ length: Int) -> UInt8 {
        if length <= exactMax { return UInt8(max(0, length)) }
        var low = exactMax
        var high = 255
        while low < high {
            let middle = (low + high + 1) / 2
            if Int(lengths[middle]) <= length { low = middle } else { high = middle - 1 }
        }
        return UInt8(low)
    }
}
