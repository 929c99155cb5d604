import Platform
package import SortedTable
import Synchronization

/// Looks keys up in the tree as it was when the reader was made, without a lock, a copy, an
/// allocation or a reference count.
///
/// It stands in the gate of the block cache: what it answers is there until it goes, and so is the
/// memory of everything that is evicted or replaced meanwhile. So it is for a few look-ups, which
/// may block on the disk; a ``Snapshot`` is for longer. For one thread.
package struct TreeReader: ~Copyable {
    private let stay: EpochGate.Stay
    private let gate: Unmanaged<EpochGate>
    private let view: Unmanaged<View>
    private let places: Unmanaged<KeyspacePlaces>
    /// Rows up to this sequence are visible.
    package let sequence: SequenceNumber

    @inline(__always)
    init(
        stay: EpochGate.Stay, gate: EpochGate, view: Unmanaged<View>, places: KeyspacePlaces,
        sequence: SequenceNumber
    ) {
        self.stay = stay
        self.gate = .passUnretained(gate)
        self.view = view
        self.places = .passUnretained(places)
        self.sequence = sequence
    }

    deinit { gate._withUnsafeGuaranteedRef { $0.leave(stay) } }

    /// The value of `key`, or nil; the bytes are there until the reader goes.
    @inline(__always)
    package borrowing func value(
        of key: UnsafeRawBufferPointer, in keyspace: Keyspace
    ) throws(TreeError) -> UnsafeRawBufferPointer? {
        let place = places._withUnsafeGuaranteedRef { $0[keyspace] }
        let plan = view._withUnsafeGuaranteedRef { $0.plans + place }
        do throws(TableError) {
            return try plan.pointee.find(key, at: sequence, stay)
        } catch {
            throw TreeError(error)
        }
    }
}

extension Tree {
    /// A reader of the tree as it is now. The tree must outlive it.
    @inline(__always)
    package func reader() -> TreeReader {
        let stay = store.cache.gate.enter()
        let (view, sequence) = current()
        return TreeReader(
            stay: stay, gate: store.cache.gate, view: view, places: places, sequence: sequence)
    }

    /// The view that is current and the newest sequence that it shows whole. The caller stands in
    /// the gate.
    ///
    /// The sequence is read between two looks at the view: rows up to it were in this view's
    /// memtables or tables, and whatever drops older versions of them shows another view.
    @inline(__always)
    func current() -> (view: Unmanaged<View>, sequence: SequenceNumber) {
        var address = shown.load(ordering: .sequentiallyConsistent)
        while true {
            let sequence = published.load(ordering: .acquiring)
            let again = shown.load(ordering: .acquiring)
            if again == address {
                let pointer = UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped
                return (.fromOpaque(pointer), sequence)
            }
            address = again
        }
    }
}
