import Bytes
import ChatModel
import Testing

@testable import ChatNode

/// Changes that are looked up first.
@Suite("Detours")
struct DetoursTests {
    private struct Log {
        var begun: [String] = []
        var waiting: [String: @Sendable () -> Void] = [:]
    }

    private static let ann = UserID(high: 1, low: 1)
    private static let bob = UserID(high: 2, low: 2)

    /// A job that begins, and is over when the test says so.
    private func job(_ name: String, _ log: Box<Log>) -> Detours.Job {
        { done in
            log.change {
                $0.begun.append(name)
                $0.waiting[name] = done
            }
        }
    }

    private func finish(_ name: String, _ log: Box<Log>) {
        log.value.waiting[name]?()
    }

    @Test("A user's changes begin one by one in order; others do not wait for them")
    func order() {
        let (detours, log) = (Detours(limit: 10), Box(Log()))
        for name in ["a1", "a2", "a3"] { #expect(detours.run(Self.ann, job(name, log))) }
        #expect(detours.run(Self.bob, job("b1", log)))
        #expect(log.value.begun == ["a1", "b1"])
        finish("a1", log)
        #expect(log.value.begun == ["a1", "b1", "a2"])
        finish("b1", log)
        #expect(!detours.isUnderWay(Self.bob) && detours.isUnderWay(Self.ann))
        finish("a2", log)
        finish("a3", log)
        #expect(log.value.begun == ["a1", "b1", "a2", "a3"] && !detours.isUnderWay(Self.ann))
        #expect(detours.run(Self.ann, job("a4", log)))
        #expect(log.value.begun.last == "a4")
    }

    @Test("No more wait than may; what is refused never begins, and room comes back")
    func bounded() {
        let (detours, log) = (Detours(limit: 2), Box(Log()))
        #expect(detours.run(Self.ann, job("a1", log)))
        #expect(detours.run(Self.ann, job("a2", log)))
        #expect(detours.run(Self.bob, job("b1", log)))
        #expect(detours.run(Self.bob, job("b2", log)))
        #expect(!detours.run(Self.ann, job("a3", log)))
        #expect(!detours.run(Self.bob, job("b3", log)))
        finish("a1", log)
        #expect(detours.run(Self.ann, job("a4", log)))
        for name in ["a2", "a4", "b1", "b2"] { finish(name, log) }
        #expect(log.value.begun == ["a1", "b1", "a2", "a4", "b2"])
    }

    @Test("A long queue of jobs that are over at once takes no deep stack")
    func long() {
        let (detours, count) = (Detours(limit: 100_000), Box(0))
        let first = Box<(@Sendable () -> Void)?>(nil)
        #expect(detours.run(Self.ann) { done in first.change { $0 = done } })
        for _ in 0..<100_000 {
            let isQueued = detours.run(Self.ann) { done in
                count.change { $0 += 1 }
                done()
            }
            #expect(isQueued)
        }
        first.value?()
        #expect(count.value == 100_000 && !detours.isUnderWay(Self.ann))
    }

    @Test("Jobs that are over at once keep their order", arguments: 0..<4)
    func random(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let (detours, order) = (Detours(limit: 1_000), Box<[UInt64: [Int]]>([:]))
        let waiting = Box<[@Sendable () -> Void]>([])
        for number in 0..<400 {
            let user = random.next() % 5
            let isAtOnce = random.next() % 2 == 0
            #expect(
                detours.run(UserID(high: user, low: 0)) { done in
                    order.change { $0[user, default: []].append(number) }
                    if isAtOnce { return done() }
                    waiting.change { $0.append(done) }
                })
            if random.next() % 3 == 0, let done = waiting.value.randomElement(using: &random) {
                waiting.change { $0 = [] }
                done()
            }
        }
        for numbers in order.value.values { #expect(numbers == numbers.sorted(), "seed \(seed)") }
    }
}
