/// The token that a `Tokenizer` is gathering. Offsets are of its buffer unless they are said to be
/// of the text.
struct OpenToken {
    enum Form { case none, word, run }

    var form = Form.none
    /// The bytes in the buffer.
    var size = 0
    /// Of the text: where the token begins and ends.
    var start = 0
    var end = 0

    /// The last scalar of combining class 0, and where it is: what a composing scalar may join. 0
    /// when nothing can be joined.
    var starter: UInt32 = 0
    var starterAt = 0
    /// True when a mark above stands between the starter and what may join it.
    var isBreveBlocked = false

    /// Kept marks behind the starter in canonical order: rank << 24 | scalar.
    var marks = InlineArray<16, UInt32>(repeating: 0)
    var marksCount = 0
    /// All kept marks since the last letter or unit.
    var marksOfBase = 0

    /// Of a run: its units, and the last two of them. `unitStart` and `previousStart` are of the
    /// text.
    var units = 0
    var unitAt = 0
    var unitStart = 0
    var previousAt = 0
    var previousStart = 0
    /// True while the run is of Hangul alone and in the buffer from its beginning.
    var isHangul = false

    /// Takes a kept mark that has a combining class; marks of equal class keep their order.
    mutating func insert(mark: UInt32, rank: UInt32) {
        var index = marksCount
        while index > 0, marks[index &- 1] &>> 24 > rank {
            marks[index] = marks[index &- 1]
            index &-= 1
        }
        marks[index] = rank &<< 24 | mark
        marksCount &+= 1
    }

    /// True when a mark of this class waits, which keeps another from joining the starter.
    func hasMark(ofRank rank: UInt32) -> Bool {
        for index in 0..<marksCount where marks[index] &>> 24 == rank { return true }
        return false
    }
}
