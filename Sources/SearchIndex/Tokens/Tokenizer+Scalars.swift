/// Text that is not ASCII alone: one scalar after the other, until a token ends where the loop for
/// ASCII can go on.
extension Tokenizer {
    /// Takes up the text at `start`, where no token is open; gives where to go on.
    @inline(never)
    mutating func scanScalars(
        _ text: UnsafeRawBufferPointer, from start: Int, _ sink: Sink
    ) -> Int {
        let ascii = ScalarTables.ascii
        var offset = start
        while offset < text.count {
            let byte = text[offset]
            if byte < 0x80 {
                let folded = ascii[Int(byte)]
                if folded < Self.wordBytes.lowerBound || token.form == .run { break }
                if token.form == .none, offset > start { break }
                addLetter(UInt32(folded), start: offset, end: offset &+ 1, sink)
                offset &+= 1
                continue
            }
            let (scalar, length) = ScalarDecoder.decode(text, at: offset)
            if length == 0 {
                offset &+= 1
                break
            }
            let profile = ScalarProfile(scalar)
            let next = offset &+ length
            switch profile.action {
            case .separator:
                close(sink)
                offset = next
            case .pictograph:
                close(sink)
                offset = scanPictograph(text, scalar, from: offset, next: next, sink)
            case .regional:
                close(sink)
                offset = scanFlag(text, scalar, from: offset, next: next, sink)
            case .mapped:
                let expansion = ScalarTables.expansion(of: scalar)
                var place = 0
                while place < expansion.count {
                    let (part, size) = ScalarDecoder.decode(expansion, at: place)
                    add(part, ScalarProfile(part), start: offset, end: next, sink)
                    place &+= max(size, 1)
                }
                offset = next
            default:
                add(scalar, profile, start: offset, end: next, sink)
                offset = next
            }
        }
        close(sink)
        return offset
    }

    /// Adds what a scalar folds to; `start` and `end` are the scalar's in the text.
    @inline(__always)
    private mutating func add(
        _ scalar: UInt32, _ profile: ScalarProfile, start: Int, end: Int, _ sink: Sink
    ) {
        switch profile.action {
        case .letter: addLetter(scalar, start: start, end: end, sink)
        case .unit: addUnit(scalar, isHangul: false, start: start, end: end, sink)
        case .hangul: addUnit(scalar, isHangul: true, start: start, end: end, sink)
        case .mark: addMark(scalar, rank: profile.combiningRank, end: end)
        case .composing:
            compose(scalar, rank: profile.combiningRank, start: start, end: end, sink)
        case .ignored, .stripped: token.end = end
        case .strippedAbove:
            token.isBreveBlocked = true
            token.end = end
        case .separator, .mapped, .regional: close(sink)
        case .pictograph:
            close(sink)
            appendStarter(scalar)
            _ = closePictograph(start, end, sink)
        }
    }

    private mutating func addLetter(_ scalar: UInt32, start: Int, end: Int, _ sink: Sink) {
        if token.form != .word {
            close(sink)
            token.form = .word
            token.start = start
        }
        flushMarks()
        appendStarter(scalar)
        token.marksOfBase = 0
        token.end = end
    }

    private mutating func addUnit(
        _ scalar: UInt32, isHangul: Bool, start: Int, end: Int, _ sink: Sink
    ) {
        if token.form == .run {
            closeUnit(sink)
        } else {
            close(sink)
            token.form = .run
            token.start = start
            token.units = 0
            token.isHangul = true
        }
        if !isHangul { token.isHangul = false }
        token.units &+= 1
        token.unitAt = token.size
        token.unitStart = start
        appendStarter(scalar)
        token.marksOfBase = 0
        token.end = end
    }

    /// A mark without a base, and the 17th of one base, are dropped.
    private mutating func addMark(_ scalar: UInt32, rank: UInt32, end: Int) {
        guard token.form != .none else { return }
        token.end = end
        guard token.marksOfBase < Self.marksMax else { return }
        token.marksOfBase &+= 1
        if rank == 0 {
            flushMarks()
            appendStarter(scalar)
        } else {
            token.insert(mark: scalar, rank: rank)
        }
    }

    private mutating func compose(
        _ scalar: UInt32, rank: UInt32, start: Int, end: Int, _ sink: Sink
    ) {
        if let composed = composition(of: scalar, rank: rank) {
            // All that composes is as long as what it composes from.
            _ = ScalarDecoder.encode(composed, to: buffer + token.starterAt)
            token.starter = composed
            token.end = end
        } else if scalar == Composition.breve {
            token.isBreveBlocked = true
            token.end = end
        } else if Composition.voicingMarks.contains(scalar) {
            addMark(scalar, rank: rank, end: end)
        } else {
            addUnit(scalar, isHangul: true, start: start, end: end, sink)
        }
    }

    /// What the open token's last starter becomes together with `scalar`.
    private func composition(of scalar: UInt32, rank: UInt32) -> UInt32? {
        let starter = token.starter
        switch scalar {
        case Composition.breve:
            return token.isBreveBlocked ? nil : Composition.shortI(starter)
        case Composition.voicingMarks:
            return token.hasMark(ofRank: rank) ? nil : Composition.voiced(starter, scalar)
        default:
            return token.marksCount > 0 ? nil : Composition.syllable(starter, scalar)
        }
    }

    private mutating func flushMarks() {
        guard token.marksCount > 0 else { return }
        for index in 0..<token.marksCount { _ = append(token.marks[index] & 0xFF_FFFF) }
        token.marksCount = 0
    }

    private mutating func appendStarter(_ scalar: UInt32) {
        token.starterAt = token.size
        token.starter = append(scalar) ? scalar : 0
        token.isBreveBlocked = false
    }

    /// False when the buffer is full: the rest of an endless word is not looked at.
    @inline(__always)
    private mutating func append(_ scalar: UInt32) -> Bool {
        guard token.size &+ 4 <= Self.bufferBytes else { return false }
        token.size &+= ScalarDecoder.encode(scalar, to: buffer + token.size)
        return true
    }

    /// Gives the pair that the last unit completes. No scalar joins the starter after that.
    private mutating func closeUnit(_ sink: Sink) {
        flushMarks()
        if token.units > 1 {
            emit(.pair, token.previousAt..<token.size, token.previousStart, token.end, sink)
        }
        if token.unitAt > Self.runBytesMax {
            token.size &-= token.unitAt
            buffer.update(from: buffer + token.unitAt, count: token.size)
            token.unitAt = 0
            token.isHangul = false
        }
        token.previousAt = token.unitAt
        token.previousStart = token.unitStart
    }

    /// Gives the open token, if there is one.
    private mutating func close(_ sink: Sink) {
        switch token.form {
        case .none: return
        case .word:
            flushMarks()
            emit(.word, 0..<token.size, token.start, token.end, sink)
        case .run:
            closeUnit(sink)
            let last = token.unitAt..<token.size
            emit(token.units > 1 ? .last : .lone, last, token.unitStart, token.end, sink)
            if token.isHangul, token.units > 2, token.size <= Self.tokenBytesMax {
                emit(.whole, 0..<token.size, token.start, token.end, sink)
            }
        }
        token.form = .none
        token.size = 0
        token.starter = 0
        token.marksCount = 0
    }

    /// An emoji with its joined parts and tags, without selectors, skin tones and keycaps.
    private mutating func scanPictograph(
        _ text: UnsafeRawBufferPointer, _ scalar: UInt32, from start: Int, next: Int, _ sink: Sink
    ) -> Int {
        appendStarter(scalar)
        var offset = next
        while offset < text.count {
            let (part, length) = ScalarDecoder.decode(text, at: offset)
            if part == 0x200D {
                let joined = offset &+ length
                guard joined < text.count else { break }
                let (other, size) = ScalarDecoder.decode(text, at: joined)
                guard size > 0, ScalarProfile(other).isPictographic else { break }
                _ = append(part)
                _ = append(other)
                offset = joined &+ size
                continue
            }
            switch part {
            case 0xFE0E, 0xFE0F, 0x20E3, 0x1F3FB...0x1F3FF: break
            case 0xE0020...0xE007F: _ = append(part)
            default: return closePictograph(start, offset, sink)
            }
            offset &+= length
        }
        return closePictograph(start, offset, sink)
    }

    /// Two regional indicators are a flag; one alone is a token as well.
    private mutating func scanFlag(
        _ text: UnsafeRawBufferPointer, _ scalar: UInt32, from start: Int, next: Int, _ sink: Sink
    ) -> Int {
        appendStarter(scalar)
        var end = next
        if next < text.count {
            let (other, length) = ScalarDecoder.decode(text, at: next)
            if length > 0, ScalarProfile(other).action == .regional {
                _ = append(other)
                end = next &+ length
            }
        }
        return closePictograph(start, end, sink)
    }

    private mutating func closePictograph(_ start: Int, _ end: Int, _ sink: Sink) -> Int {
        emit(.word, 0..<token.size, start, end, sink)
        token.size = 0
        token.starter = 0
        return end
    }
}
