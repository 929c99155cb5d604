import Bytes
import RaftCore
import Testing

@Suite("LogView")
struct LogViewTests {
    @Test("It agrees with a plain array on random operations", arguments: 0..<30 as Range<UInt64>)
    func itAgreesWithAPlainArrayOnRandomOperations(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var log = LogView()
        // The model: every entry there is, and how many from the front have no payload.
        var model: [Entry] = []
        var base: LogIndex = 0
        var baseTerm: Term = 0
        var released: LogIndex = 0
        for _ in 0..<600 {
            let last = base + LogIndex(model.count)
            switch generator.next() % 10 {
            case 0..<6:
                let term = (model.last?.term ?? baseTerm) + (generator.next() % 8 == 0 ? 1 : 0)
                let size = Int(generator.next() % 9)
                let entry = Entry(
                    index: last + 1, term: term, kind: .command,
                    payload: Array(repeating: UInt8(truncatingIfNeeded: last), count: size))
                log.append(entry)
                model.append(entry)
            case 6 where last > max(base, released):
                let floor = max(base, released)
                let first = floor + 1 + generator.next() % (last - floor)
                log.truncate(from: first)
                model.removeLast(Int(last - first) + 1)
            case 7 where last > base:
                released = max(released, base + generator.next() % (last - base + 1))
                log.releasePayloads(through: released)
            case 8 where last > base && generator.next() % 4 == 0:
                let index = base + 1 + generator.next() % (last - base)
                baseTerm = model[Int(index - base) - 1].term
                model.removeFirst(Int(index - base))
                base = index
                released = max(released, base)
                log.compact(through: index)
            default: break
            }
            check(log, model, base, baseTerm, released, seed)
        }
    }

    private func check(
        _ log: LogView, _ model: [Entry], _ base: LogIndex, _ baseTerm: Term,
        _ released: LogIndex, _ seed: UInt64
    ) {
        let last = base + LogIndex(model.count)
        #expect(log.lastIndex == last && log.baseIndex == base, "seed \(seed)")
        #expect(log.lastTerm == model.last?.term ?? baseTerm, "seed \(seed)")
        #expect(log.cachedFirst == min(max(released, base), last) + 1, "seed \(seed)")
        #expect(log.term(at: base) == baseTerm && log.term(at: last + 1) == nil, "seed \(seed)")
        if base > 0 { #expect(log.term(at: base - 1) == nil, "seed \(seed)") }
        let isEqual = model.allSatisfy { entry in
            log.term(at: entry.index) == entry.term
                && (entry.index < log.cachedFirst || log.entry(at: entry.index) == entry)
        }
        #expect(isEqual, "seed \(seed)")
    }
}
