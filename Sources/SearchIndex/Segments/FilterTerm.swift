/// A term of the dictionary that is no word: its list is that of the documents of a sender, or of
/// those that have a flag.
///
/// It begins with ``mark``, with which no word begins: so words and these terms stand in one
/// dictionary, all of these first, and are merged alike. Their lists have no positions.
package enum FilterTerm: Equatable, Sendable {
    /// Documents that one user said.
    case sender(SearchID)
    /// Documents that have one flag.
    case flag(DocumentFlags)

    /// The first byte.
    static let mark: UInt8 = 0
    private static let flagKind: UInt8 = 1
    private static let senderKind: UInt8 = 2
    /// Above all of these terms, and not above any word.
    static let end: [UInt8] = [1]

    /// The term.
    package var bytes: [UInt8] {
        switch self {
        case .flag(let flag): return [Self.mark, Self.flagKind, flag.rawValue]
        case .sender(let id):
            var bytes = [Self.mark, Self.senderKind]
            for half in [id.high, id.low] {
                withUnsafeBytes(of: half.bigEndian) { bytes.append(contentsOf: $0) }
            }
            return bytes
        }
    }

    /// What a term stands for; nil: a word, or bytes that no segment has.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count > 2, bytes[0] == Self.mark else { return nil }
        switch (bytes[1], bytes.count) {
        case (Self.flagKind, 3):
            let flag = DocumentFlags(rawValue: bytes[2])
            guard DocumentFlags.each.contains(flag) else { return nil }
            self = .flag(flag)
        case (Self.senderKind, 18):
            func half(_ range: Range<Int>) -> UInt64 {
                bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
            }
            self = .sender(SearchID(high: half(2..<10), low: half(10..<18)))
        default: return nil
        }
    }

    /// True when a term is none of words.
    @inline(__always)
    static func isFilter(_ term: some Collection<UInt8>) -> Bool { term.first == mark }
}
