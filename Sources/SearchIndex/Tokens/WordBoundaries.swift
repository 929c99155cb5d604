/// Where words begin and end by UAX #29 (Unicode 15.0), untailored: where an excerpt may be cut.
/// The tokenizer tailors these rules, by the same tables: see `Tokenizer`.
package enum WordBoundaries {
    /// Calls `body` with the byte offset of every boundary, ascending, the text's beginning and end
    /// among them; an empty text has none. A byte that belongs to no scalar counts as a symbol.
    package static func visit(_ text: UnsafeRawBufferPointer, _ body: (Int) -> Void) {
        guard !text.isEmpty else { return }
        var state = State()
        var offset = 0
        while offset < text.count {
            let (profile, next) = step(text, offset)
            if state.isBoundary(before: profile, rest: text, from: next) { body(offset) }
            offset = next
        }
        body(offset)
    }

    private static func step(
        _ text: UnsafeRawBufferPointer, _ offset: Int
    ) -> (profile: ScalarProfile, next: Int) {
        let (scalar, length) = ScalarDecoder.decode(text, at: offset)
        return length == 0
            ? (ScalarProfile(0xFFFD), offset + 1) : (ScalarProfile(scalar), offset + length)
    }

    /// The class of the first scalar that rule WB4 does not skip.
    private static func significant(
        _ text: UnsafeRawBufferPointer, from offset: Int
    ) -> WordClass? {
        var offset = offset
        while offset < text.count {
            let (profile, next) = step(text, offset)
            if !profile.wordClass.isSkipped { return profile.wordClass }
            offset = next
        }
        return nil
    }

    private struct State {
        /// The scalar before, as it is.
        private var last: WordClass?
        /// The last two scalars that WB4 does not skip.
        private var left: WordClass = .other
        private var leftOfLeft: WordClass = .other
        /// True after an odd number of regional indicators.
        private var isFlagHalf = false

        mutating func isBoundary(
            before profile: ScalarProfile, rest: UnsafeRawBufferPointer, from offset: Int
        ) -> Bool {
            let right = profile.wordClass
            defer { move(past: right) }
            guard let last else { return true }  // WB1
            if last == .carriageReturn, right == .lineFeed { return false }  // WB3
            if last.isLineEnd || right.isLineEnd { return true }  // WB3a, WB3b
            if last == .joiner, profile.isPictographic { return false }  // WB3c
            if last == .segmentSpace, right == .segmentSpace { return false }  // WB3d
            if right.isSkipped { return false }  // WB4
            return !joins(right, rest: rest, from: offset)
        }

        private mutating func move(past right: WordClass) {
            let isFirst = last == nil || last.map(\.isLineEnd) == true
            last = right
            if right.isSkipped, !isFirst { return }
            leftOfLeft = left
            left = right
            isFlagHalf = right == .regional && !isFlagHalf
        }

        private func joins(
            _ right: WordClass, rest: UnsafeRawBufferPointer, from offset: Int
        ) -> Bool {
            if left.isLetter || left == .numeric {
                if right.isLetter || right == .numeric { return true }  // WB5, WB8, WB9, WB10
            }
            if left.isLetter, right.joinsLetters || right == .doubleQuote {
                if left == .hebrewLetter, right == .singleQuote { return true }  // WB7a
                let next = WordBoundaries.significant(rest, from: offset)
                if right.joinsLetters, next.map(\.isLetter) == true { return true }  // WB6
                if left == .hebrewLetter, right == .doubleQuote, next == .hebrewLetter {
                    return true  // WB7b
                }
            }
            if left.joinsLetters, leftOfLeft.isLetter, right.isLetter { return true }  // WB7
            if left == .doubleQuote, leftOfLeft == .hebrewLetter, right == .hebrewLetter {
                return true  // WB7c
            }
            if left.joinsNumbers, leftOfLeft == .numeric, right == .numeric { return true }  // WB11
            if left == .numeric, right.joinsNumbers {
                return WordBoundaries.significant(rest, from: offset) == .numeric  // WB12
            }
            if left == .katakana, right == .katakana { return true }  // WB13
            let extends = left.isLetter || [.numeric, .katakana, .extendNumLet].contains(left)
            if extends, right == .extendNumLet { return true }  // WB13a
            if left == .extendNumLet {
                return right.isLetter || right == .numeric || right == .katakana  // WB13b
            }
            return left == .regional && right == .regional && isFlagHalf  // WB15, WB16
        }
    }
}

extension WordClass {
    fileprivate var isLineEnd: Bool {
        self == .carriageReturn || self == .lineFeed || self == .newline
    }

    /// Skipped by WB4.
    fileprivate var isSkipped: Bool { self == .extend || self == .format || self == .joiner }

    /// AHLetter.
    fileprivate var isLetter: Bool { self == .letter || self == .hebrewLetter }

    /// MidLetter or MidNumLetQ.
    fileprivate var joinsLetters: Bool {
        self == .midLetter || self == .midNumLet || self == .singleQuote
    }

    /// MidNum or MidNumLetQ.
    fileprivate var joinsNumbers: Bool {
        self == .midNumber || self == .midNumLet || self == .singleQuote
    }
}
