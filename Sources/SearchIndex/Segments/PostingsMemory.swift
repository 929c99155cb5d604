/// Memory that one cursor decodes into.
///
/// Used by one cursor, on one thread at a time.
final class PostingsMemory {
    /// 128 documents, 128 frequencies, 129 starts of positions, and room for some positions.
    let numbers = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    private var more: UnsafeMutablePointer<UInt32>?
    private var moreCount = 0

    static let positionsStart = 388
    private static let positionsRoom = 124
    private static let count = positionsStart + positionsRoom

    init() { numbers.initialize(repeating: 0, count: Self.count) }

    deinit {
        numbers.deallocate()
        more?.deallocate()
    }

    /// Room for `count` positions; what was there is gone.
    @inline(__always)
    func room(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        count <= Self.positionsRoom ? numbers + Self.positionsStart : moreRoom(count)
    }

    private func moreRoom(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        if let more, count <= moreCount { return more }
        more?.deallocate()
        let new = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
        more = new
        moreCount = count
        return new
    }
}
