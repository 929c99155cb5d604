/// The word-break class of a scalar (UAX #29, table 3). The order is that of the generated tables.
enum WordClass: UInt8 {
    case other, carriageReturn, lineFeed, newline, extend, joiner, format, regional, katakana
    case hebrewLetter, letter, singleQuote, doubleQuote, midNumLet, midLetter, midNumber, numeric
    case extendNumLet, segmentSpace
}

/// What the tokenizer does with a scalar. The order is that of the generated tables.
enum ScalarAction: UInt8 {
    /// Ends a token.
    case separator
    /// Is as if it were not there: joiners, selectors, soft hyphens.
    case ignored
    /// A mark that the fold removes.
    case stripped
    /// A removed mark of combining class 230: no breve behind it joins the letter before it.
    case strippedAbove
    /// A mark that stays with its base.
    case mark
    /// Of a word that is separated from the next.
    case letter
    /// Of a script without spaces between words.
    case unit
    /// A unit of Hangul.
    case hangul
    /// May join the scalar before it: vowels and finals of Hangul, voicing marks, the breve.
    case composing
    /// Becomes other scalars.
    case mapped
    /// An emoji by itself.
    case pictograph
    /// One half of a flag.
    case regional
}

/// What the generated tables say of one scalar.
struct ScalarProfile {
    private let entry: Int

    /// Any 21-bit number has a profile; numbers that are no scalar are separators.
    @inline(__always)
    init(_ scalar: UInt32) {
        let number = Int(scalar & 0x1F_FFFF)
        guard number < 0x11_0000 else {
            entry = 0
            return
        }
        let block = ScalarTables.pair(UnicodeClasses.profileFirst, number &>> 10)
        let leaf = ScalarTables.pair(
            UnicodeClasses.profileMiddle, block &<< 5 | (number &>> 5 & 31))
        let profile = ScalarTables.digit(
            UnicodeClasses.profileLeaf, leaf &<< 5 | (number & 31))
        entry = profile &<< 2
    }

    @inline(__always)
    var action: ScalarAction {
        let number = ScalarTables.digit(UnicodeClasses.profiles, entry)
        return ScalarAction(rawValue: UInt8(truncatingIfNeeded: number)) ?? .separator
    }

    var wordClass: WordClass {
        let number = ScalarTables.digit(UnicodeClasses.profiles, entry &+ 1)
        return WordClass(rawValue: UInt8(truncatingIfNeeded: number)) ?? .other
    }

    /// The place of the combining class among all: 0 for starters, and for what is not kept.
    var combiningRank: UInt32 {
        UInt32(truncatingIfNeeded: ScalarTables.digit(UnicodeClasses.profiles, entry &+ 2))
    }

    var isPictographic: Bool {
        ScalarTables.digit(UnicodeClasses.profiles, entry &+ 3) == 1
    }
}

/// Reads the generated tables: text whose characters from "0" on are digits to the base 64. Text
/// because it compiles at once into read-only data, which an array of 40,000 literals does not.
enum ScalarTables {
    @inline(__always)
    static func digit(_ table: UnsafePointer<UInt8>, _ index: Int) -> Int {
        Int(table[index]) &- 48
    }

    /// The `index`th number of two digits.
    @inline(__always)
    static func pair(_ table: UnsafePointer<UInt8>, _ index: Int) -> Int {
        digit(table, 2 &* index) &<< 6 | digit(table, 2 &* index &+ 1)
    }

    /// The UTF-8 that a scalar with the action `mapped` becomes.
    static func expansion(of scalar: UInt32) -> UnsafeRawBufferPointer {
        let number = Int(scalar)
        let block = pair(UnicodeFolds.foldFirst, number &>> 10)
        let leaf = pair(UnicodeFolds.foldMiddle, block &<< 5 | (number &>> 5 & 31))
        let entry = pair(UnicodeFolds.foldLeaf, leaf &<< 5 | (number & 31)) &* 4
        let places = UnicodeExpansions.places
        let offset =
            digit(places, entry) &<< 12 | digit(places, entry &+ 1) &<< 6
            | digit(places, entry &+ 2)
        return UnsafeRawBufferPointer(
            start: UnicodeExpansions.pool + offset, count: digit(places, entry &+ 3))
    }

    /// What becomes of each byte: letters of ASCII in lower case and digits as they are; "." for
    /// what separates; "~" for bytes of longer scalars. Words are thus all between "0" and "z".
    static var ascii: UnsafePointer<UInt8> {
        let text: StaticString = """
            ................................................0123456789......\
            .abcdefghijklmnopqrstuvwxyz......abcdefghijklmnopqrstuvwxyz.....\
            ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\
            ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
            """
        return text.utf8Start
    }
}
