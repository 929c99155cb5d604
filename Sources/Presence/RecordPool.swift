/// Records of one type by 32-bit number, in chunks: growing never copies what is there.
struct RecordPool<Record> {
    private static var chunkBits: Int { 12 }
    private var chunks: [[Record]] = []
    private var free: [UInt32] = []
    private var used: UInt32 = 0
    private let blank: Record

    /// An empty pool; fresh places are filled with `blank`.
    init(blank: Record) { self.blank = blank }

    /// Records in use.
    var count: Int { Int(used) - free.count }

    subscript(number: UInt32) -> Record {
        get { chunks[Int(number) >> Self.chunkBits][Int(number) & (1 << Self.chunkBits - 1)] }
        _modify {
            yield &chunks[Int(number) >> Self.chunkBits][Int(number) & (1 << Self.chunkBits - 1)]
        }
    }

    mutating func take(_ record: Record) -> UInt32 {
        if let number = free.popLast() {
            self[number] = record
            return number
        }
        if Int(used) >> Self.chunkBits == chunks.count {
            chunks.append(Array(repeating: blank, count: 1 << Self.chunkBits))
        }
        let number = used
        used += 1
        self[number] = record
        return number
    }

    mutating func release(_ number: UInt32) {
        self[number] = blank
        free.append(number)
    }
}
