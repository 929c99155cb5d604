import Bytes
import ChatModel
import Glibc
import Platform
import Synchronization
import Testing

@testable import ChatEngine

/// The newest entries, in memory.
@Suite struct TailCacheTests {
    private static let conversation = Make.conversation(1)

    private static func entries(_ range: ClosedRange<EntrySequence>) -> [Entry] {
        range.map { seq in
            Entry(
                conversation: conversation, seq: seq, m: seq, cid: Make.cid(seq),
                from: Make.user(1), atMs: seq,
                body: .message(
                    Message(content: MessageContent(text: "\(seq)"), revision: seq)))
        }
    }

    /// Asks for a page, and counts how often it was looked up.
    private func ask(
        _ cache: TailCache, _ change: UInt64, _ span: ClosedRange<EntrySequence>
    ) throws -> (entries: [Entry], isLoaded: Bool) {
        var isLoaded = false
        let entries = try cache.newest(of: Self.conversation, change: change, span: span) {
            isLoaded = true
            return Self.entries(span)
        }
        return (entries, isLoaded)
    }

    @Test("A page is looked up once, and again when the conversation changed")
    func once() throws {
        let cache = TailCache()
        #expect(try ask(cache, 5, 1...10).isLoaded)
        let again = try ask(cache, 5, 1...10)
        #expect(!again.isLoaded && again.entries == Self.entries(1...10))
        let shorter = try ask(cache, 5, 7...10)
        #expect(!shorter.isLoaded && shorter.entries == Self.entries(7...10))
        #expect(try ask(cache, 6, 1...10).isLoaded)
        #expect(cache.counts.hits == 2 && cache.counts.misses == 2 && cache.counts.shared == 0)
    }

    @Test("A longer page than the one that is kept is looked up, and kept instead")
    func longer() throws {
        let cache = TailCache()
        #expect(try ask(cache, 5, 8...10).isLoaded)
        #expect(try ask(cache, 5, 2...10).isLoaded)
        #expect(try !ask(cache, 5, 2...10).isLoaded)
    }

    @Test("What is appended is written through; anything else takes the page away")
    func advance() throws {
        let cache = TailCache()
        #expect(try ask(cache, 5, 1...10).isLoaded)
        cache.advance(Self.conversation, from: 5, to: 6, appending: Self.entries(11...11))
        let next = try ask(cache, 6, 2...11)
        #expect(!next.isLoaded && next.entries == Self.entries(2...11))
        // A change without entries, as a mark.
        cache.advance(Self.conversation, from: 6, to: 7, appending: [])
        #expect(try !ask(cache, 7, 2...11).isLoaded)
        // One that the cache did not see.
        cache.advance(Self.conversation, from: 8, to: 9, appending: Self.entries(13...13))
        #expect(!cache.holds(Self.conversation))
        #expect(try ask(cache, 9, 2...13).isLoaded)
        // One of older entries.
        cache.advance(Self.conversation, from: 9, to: 10, appending: nil)
        #expect(!cache.holds(Self.conversation))
    }

    @Test("No more than a page is kept of a conversation, and few conversations")
    func bounded() throws {
        let cache = TailCache(entriesMax: 200)
        #expect(try ask(cache, 1, 1...10).isLoaded)
        for change in 1...100 as ClosedRange<UInt64> {
            cache.advance(
                Self.conversation, from: change, to: change + 1,
                appending: Self.entries((10 + change)...(10 + change)))
        }
        let first = 111 - UInt64(TailCache.tailMax)
        #expect(try !ask(cache, 101, first...110).isLoaded)
        #expect(try ask(cache, 101, (first - 1)...110).isLoaded)
        for number in 2...60 as ClosedRange<UInt64> {
            _ = try cache.newest(of: Make.conversation(number), change: 1, span: 1...10) {
                Self.entries(1...10)
            }
        }
        let held = (1...60 as ClosedRange<UInt64>).count { cache.holds(Make.conversation($0)) }
        #expect(held >= 10 && held <= 21, "\(held) of 10 entries each")
    }

    @Test("A look-up that fails keeps nothing, and the next tries itself")
    func failing() throws {
        let cache = TailCache()
        #expect(throws: Stop.self) {
            try cache.newest(of: Self.conversation, change: 1, span: 1...2) { throw Stop() }
        }
        #expect(try ask(cache, 1, 1...2).isLoaded)
    }

    @Test("Readers that miss the same page at the same time share one look-up")
    func coalescing() throws {
        let cache = TailCache()
        let readers = 8
        let scheduler = ThreadScheduler()
        let lanes = (0..<readers).map { scheduler.lane("reader \($0)") }
        for change in 1...20 as ClosedRange<UInt64> {
            let before = cache.counts
            let round = Round(cache, change: change, readers: readers)
            for lane in lanes { lane.submit { round.read() } }
            round.waitForAll()
            #expect(round.loads == 1, "round \(change)")
            #expect(round.pages.count == readers)
            #expect(round.pages.allSatisfy { $0 == Self.entries(1...change) })
            let after = cache.counts
            #expect(after.misses - before.misses == 1)
            #expect(after.hits + after.shared - before.hits - before.shared == UInt64(readers) - 1)
        }
        #expect(cache.counts.shared > 0)
        for lane in lanes { lane.stop() }
    }

    /// Readers on threads of their own that ask for one page; its look-up takes until all have
    /// come.
    private final class Round: Sendable {
        private let cache: TailCache
        private let change: UInt64
        private let readers: Int
        private let begun = Atomic<Int>(0)
        private let loadCount = Atomic<Int>(0)
        private let results = Mutex<[[Entry]]>([])
        private let latch: Latch

        init(_ cache: TailCache, change: UInt64, readers: Int) {
            self.cache = cache
            self.change = change
            self.readers = readers
            latch = Latch(readers)
        }

        var loads: Int { loadCount.load(ordering: .sequentiallyConsistent) }
        var pages: [[Entry]] { results.withLock { $0 } }

        func read() {
            begun.add(1, ordering: .sequentiallyConsistent)
            let page = try? cache.newest(
                of: TailCacheTests.conversation, change: change, span: 1...change
            ) {
                loadCount.add(1, ordering: .sequentiallyConsistent)
                while begun.load(ordering: .sequentiallyConsistent) < readers { sched_yield() }
                return TailCacheTests.entries(1...change)
            }
            results.withLock { $0.append(page ?? []) }
            latch.countDown()
        }

        func waitForAll() { latch.wait() }
    }
}
