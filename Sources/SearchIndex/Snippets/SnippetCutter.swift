/// Cuts a snippet out of one text and carries the marks over.
struct SnippetCutter {
    /// Characters that a cut moves to come between words.
    private static let wordSearchMax = 20

    let text: UnsafeRawBufferPointer
    /// Where each character begins, and where the last one ends.
    let starts: [Int]
    /// Parts of the search.
    let leaves: Int

    private var output: [UInt8] = []
    private var units = 0

    init(text: UnsafeRawBufferPointer, starts: [Int], leaves: Int) {
        self.text = text
        self.starts = starts
        self.leaves = leaves
    }

    /// The snippet around the best of `marks`, which are ordered by where they begin.
    mutating func snippet(
        _ marks: [HighlightMark]
    ) -> (text: String, highlights: [Range<Int>]) {
        let placed = marks.map { HighlightMark(range: characters(of: $0.range), leaf: $0.leaf) }
        let window = window(placed)
        output.reserveCapacity(starts[window.upperBound] - starts[window.lowerBound] + 6)
        var highlights: [Range<Int>] = []
        if window.lowerBound > 0 { append(ellipsis: ()) }
        var at = window.lowerBound
        for range in Self.merged(placed.map(\.range)) {
            let range = range.clamped(to: window)
            if range.isEmpty { continue }
            append(at..<range.lowerBound)
            let start = units
            append(range)
            highlights.append(start..<units)
            at = range.upperBound
        }
        append(at..<window.upperBound)
        if window.upperBound < starts.count - 1 { append(ellipsis: ()) }
        return (String(decoding: output, as: UTF8.self), highlights)
    }

    // MARK: Characters

    /// The characters that have a part in some bytes.
    private func characters(of bytes: Range<Int>) -> Range<Int> {
        let lower = firstCharacter(endingBehind: bytes.lowerBound)
        let upper = firstCharacter(endingBehind: bytes.upperBound - 1) + 1
        return lower..<max(lower, min(upper, starts.count - 1))
    }

    private func firstCharacter(endingBehind byte: Int) -> Int {
        var low = 0
        var high = starts.count - 1
        while low < high {
            let middle = (low + high) / 2
            if starts[middle + 1] <= byte { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Ranges in the order of their beginnings, those joined that overlap or touch.
    private static func merged(_ ranges: [Range<Int>]) -> [Range<Int>] {
        var result: [Range<Int>] = []
        for range in ranges {
            if let last = result.last, range.lowerBound <= last.upperBound {
                result[result.count - 1] =
                    last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                result.append(range)
            }
        }
        return result
    }

    // MARK: The window

    /// The characters of the snippet.
    private func window(_ marks: [HighlightMark]) -> Range<Int> {
        let count = starts.count - 1
        let most = Highlighter.charactersMax
        if count <= most { return 0..<count }
        guard let found = densest(marks) else { return 0..<end(near: most, notBefore: 0) }
        let lower = max(0, min(found.lowerBound - Highlighter.leadMax, count - most))
        let start = lower == 0 ? 0 : start(near: lower, notBehind: found.lowerBound)
        let upper = min(count, lower + most)
        let needed = min(found.upperBound, upper)
        return start..<(upper == count ? count : end(near: upper, notBefore: max(start, needed)))
    }

    /// From the first to the last of those marks that have most different parts of the search among
    /// them and fit into a snippet together; of equals the first.
    private func densest(_ marks: [HighlightMark]) -> Range<Int>? {
        let room = Highlighter.charactersMax - Highlighter.leadMax
        var counts = [Int](repeating: 0, count: leaves)
        var different = 0
        var most = 0
        var best: Range<Int>?
        var next = 0
        var end = 0
        for (index, mark) in marks.enumerated() {
            while next < marks.count,
                next == index || marks[next].range.upperBound - mark.range.lowerBound <= room
            {
                if counts[marks[next].leaf] == 0 { different += 1 }
                counts[marks[next].leaf] += 1
                end = max(end, marks[next].range.upperBound)
                next += 1
            }
            if different > most {
                most = different
                best = mark.range.lowerBound..<end
            }
            counts[mark.leaf] -= 1
            if counts[mark.leaf] == 0 { different -= 1 }
        }
        return best
    }

    /// A character between words at or a little behind `wanted`, or `wanted`.
    private func start(near wanted: Int, notBehind limit: Int) -> Int {
        let last = min(limit, wanted + Self.wordSearchMax)
        let boundaries = wordBoundaries(wanted...last)
        var start = boundaries.first ?? wanted
        while start < limit, isSpace(start) { start += 1 }
        return start
    }

    /// A character between words at or a little before `wanted`, or `wanted`.
    private func end(near wanted: Int, notBefore limit: Int) -> Int {
        let first = max(limit, wanted - Self.wordSearchMax)
        let boundaries = wordBoundaries(first...max(first, wanted))
        var end = boundaries.last ?? wanted
        while end > limit, isSpace(end - 1) { end -= 1 }
        return end
    }

    /// Characters of a stretch before which a word begins or ends. The rules want to know a little
    /// of what stands around.
    private func wordBoundaries(_ range: ClosedRange<Int>) -> [Int] {
        let from = starts[max(0, range.lowerBound - 2 * Self.wordSearchMax)]
        let to = starts[min(starts.count - 1, range.upperBound + 2 * Self.wordSearchMax)]
        var offsets: [Int] = []
        WordBoundaries.visit(UnsafeRawBufferPointer(rebasing: text[from..<to])) { offset in
            offsets.append(from + offset)
        }
        var result: [Int] = []
        var place = 0
        for character in range {
            while place < offsets.count, offsets[place] < starts[character] { place += 1 }
            if place < offsets.count, offsets[place] == starts[character] {
                result.append(character)
            }
        }
        return result
    }

    // MARK: Output

    /// The scalar of a character that is white space by itself.
    private func space(_ character: Int) -> UInt32? {
        let scalar = ScalarDecoder.decode(text, at: starts[character]).scalar
        switch scalar {
        case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x2028, 0x2029: return scalar
        default: return nil
        }
    }

    private func isSpace(_ character: Int) -> Bool { space(character) != nil }

    private func isLineBreak(_ character: Int) -> Bool {
        guard let scalar = space(character) else { return false }
        return (0x0A...0x0D).contains(scalar) || scalar == 0x85 || scalar >= 0x2028
    }

    private mutating func append(ellipsis: Void) {
        output += "\u{2026}".utf8
        units += 1
    }

    private mutating func append(_ characters: Range<Int>) {
        for character in characters {
            if isLineBreak(character) {
                output.append(0x20)
                units += 1
                continue
            }
            for byte in text[starts[character]..<starts[character + 1]] {
                output.append(byte)
                // A scalar has one unit, or two when it takes four bytes.
                if byte & 0xC0 != 0x80 { units += byte >= 0xF0 ? 2 : 1 }
            }
        }
    }
}
