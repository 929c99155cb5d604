/// The best hits so far, at most `limit` of them: a heap with the worst on top.
struct TopHits {
    /// A document of one part of a snapshot; its key is looked up only when it decides.
    struct Entry {
        let score: UInt64
        let time: UInt64
        let part: Int
        let document: UInt32

        /// The score as a number.
        var value: Double { Double(bitPattern: score) }
    }

    private var parts: [SearchSnapshot.Part]
    private let limit: Int
    private let after: SearchPosition?
    private var heap: [Entry] = []

    init(_ parts: [SearchSnapshot.Part], limit: Int, after: SearchPosition?) {
        self.parts = parts
        self.limit = limit
        self.after = after
        heap.reserveCapacity(limit)
    }

    /// Adds a part that hits may be of.
    mutating func append(_ part: SearchSnapshot.Part) { parts.append(part) }

    /// The worst hit, when there are so many that a better one would replace it.
    @inline(__always)
    var worst: Entry? { heap.count >= limit ? heap.first : nil }

    /// True when nothing is wanted.
    var wantsNone: Bool { limit == 0 }

    /// Takes a hit when it is among the best; false when it is not behind the place to continue
    /// from.
    mutating func offer(_ entry: Entry) -> Bool {
        if let after, !isBehind(entry, after) { return false }
        if heap.count < limit {
            heap.append(entry)
            siftUp(heap.count - 1)
        } else if let worst = heap.first, precedes(entry, worst) {
            heap[0] = entry
            siftDown(0)
        }
        return true
    }

    /// The hits in their order.
    func hits() -> [SearchHit] {
        heap.sorted(by: precedes).map { entry in
            let document = parts[entry.part].reader.document(entry.document)
            return SearchHit(
                document: document,
                position: SearchPosition(score: entry.score, time: entry.time, key: document.key))
        }
    }

    private func key(_ entry: Entry) -> DocumentKey {
        parts[entry.part].reader.key(entry.document)
    }

    private func position(_ entry: Entry) -> SearchPosition {
        SearchPosition(score: entry.score, time: entry.time, key: key(entry))
    }

    private func isBehind(_ entry: Entry, _ place: SearchPosition) -> Bool {
        if entry.score != place.score { return entry.score < place.score }
        if entry.time != place.time { return entry.time < place.time }
        return place.precedes(position(entry))
    }

    private func precedes(_ left: Entry, _ right: Entry) -> Bool {
        if left.score != right.score { return left.score > right.score }
        if left.time != right.time { return left.time > right.time }
        return position(left).precedes(position(right))
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            if !precedes(heap[parent], heap[place]) { return }
            heap.swapAt(place, parent)
            place = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        while true {
            var worst = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && precedes(heap[worst], heap[child]) {
                worst = child
            }
            if worst == place { return }
            heap.swapAt(place, worst)
            place = worst
        }
    }
}
