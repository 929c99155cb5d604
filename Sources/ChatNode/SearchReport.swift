import Synchronization

/// How a node's search index stands, for `/status` and `/metrics`.
package struct SearchReport: Equatable, Sendable {
    /// A shard whose index is opened or made anew.
    package struct Indexing: Equatable, Sendable {
        /// Which.
        package var shard: UInt32
        /// Slots of which all messages are in it.
        package var slotsDone: Int
        /// Slots of the shard.
        package var slots: Int
    }

    /// Messages that can be found, those of ``tailEvents`` apart.
    package var documents = 0
    /// Segments on the disk.
    package var segments = 0
    /// Their bytes.
    package var bytes: UInt64 = 0
    /// Those of segments that something was looked up in since the start. They are mapped: what is
    /// used of them is in the page cache, not in the process's own memory.
    package var openedBytes: UInt64 = 0
    /// Documents whose words are still on the disk although they were edited or erased.
    package var deadDocuments = 0
    /// Changes that are in memory alone.
    package var tailEvents = 0
    /// Shards whose answers may lack something.
    package var indexing: [Indexing] = []
    /// True while segments are merged.
    package var isMerging = false
}

/// The newest report of the indexer's lane.
final class SearchFigures: Sendable {
    private let state = Mutex(SearchReport())

    func get() -> SearchReport { state.withLock { $0 } }
    func set(_ report: SearchReport) { state.withLock { $0 = report } }
}

extension ChatNode {
    /// How the search index stood a moment ago. Any thread.
    package func searchReport() -> SearchReport { searchFigures.get() }
}
