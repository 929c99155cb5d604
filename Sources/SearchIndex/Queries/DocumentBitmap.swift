/// A set of a segment's documents, one bit each.
struct DocumentBitmap {
    private var words: [UInt64]
    private let documents: Int

    init(documents: Int) {
        self.documents = documents
        words = [UInt64](repeating: 0, count: (documents + 63) / 64)
    }

    @inline(__always)
    func contains(_ document: UInt32) -> Bool {
        words[Int(document &>> 6)] &>> UInt64(document & 63) & 1 == 1
    }

    @inline(__always)
    mutating func insert(_ document: UInt32) {
        words[Int(document &>> 6)] |= 1 &<< UInt64(document & 63)
    }

    /// Adds the documents of a list from where it stands, at least those below `limit`.
    mutating func insert(_ cursor: inout PostingsCursor, below limit: UInt32) {
        words.withUnsafeMutableBufferPointer { words in
            while cursor.document < limit {
                for document in cursor.loaded {
                    words[Int(document &>> 6)] |= 1 &<< UInt64(document & 63)
                }
                cursor.nextBlock()
            }
        }
    }

    /// The first document at or above `document`, or ``PostingsCursor/end``.
    func next(from document: UInt32) -> UInt32 {
        if document >= documents { return PostingsCursor.end }
        var index = Int(document &>> 6)
        var word = words[index] & (UInt64.max &<< UInt64(document & 63))
        while word == 0 {
            index += 1
            if index >= words.count { return PostingsCursor.end }
            word = words[index]
        }
        return UInt32(index * 64 + word.trailingZeroBitCount)
    }

    mutating func formUnion(_ other: DocumentBitmap) {
        for index in words.indices { words[index] |= other.words[index] }
    }
}
