/// The few canonical compositions that the fold makes. All other text stays decomposed, which is as
/// good for comparing; these make one unit of what readers see as one.
enum Composition {
    static let breve: UInt32 = 0x0306
    static let voicingMarks: ClosedRange<UInt32> = 0x3099...0x309A

    /// й, a letter of its own, from и and the breve.
    static func shortI(_ starter: UInt32) -> UInt32? {
        starter == 0x0438 ? 0x0439 : nil
    }

    /// A kana with its voicing mark: the voiced form follows the plain one, the half-voiced that.
    static func voiced(_ starter: UInt32, _ mark: UInt32) -> UInt32? {
        let isKatakana = starter >= 0x30A0
        let hiragana = isKatakana ? starter &- 0x60 : starter
        let isHalf = mark == voicingMarks.upperBound
        switch hiragana {
        case 0x306F, 0x3072, 0x3075, 0x3078, 0x307B: return starter &+ (isHalf ? 2 : 1)  // は…ほ
        case _ where isHalf: return nil
        case 0x304B...0x3062 where hiragana & 1 == 1: return starter &+ 1  // か…ち
        case 0x3064, 0x3066, 0x3068, 0x309D: return starter &+ 1  // つ, て, と, ゝ
        case 0x3046: return starter &+ 0x4E  // う
        case 0x308F...0x3092 where isKatakana: return starter &+ 8  // ワ…ヲ
        default: return nil
        }
    }

    /// A syllable of Hangul from leading consonant and vowel, or with its final consonant (Unicode
    /// 15.0, section 3.12).
    static func syllable(_ starter: UInt32, _ jamo: UInt32) -> UInt32? {
        if (0x1161...0x1175).contains(jamo), (0x1100...0x1112).contains(starter) {
            return 0xAC00 &+ ((starter &- 0x1100) &* 21 &+ (jamo &- 0x1161)) &* 28
        }
        if (0x11A8...0x11C2).contains(jamo), (0xAC00...0xD7A3).contains(starter),
            (starter &- 0xAC00) % 28 == 0
        {
            return starter &+ (jamo &- 0x11A7)
        }
        return nil
    }
}
