import Replication
import Synchronization

/// Which shards this node leads now, for lanes that do a leader's work. A hint: who acts on it must
/// not break anything when it is out of date.
final class Leadership: Sendable {
    private let led = Mutex<Set<GroupID>>([])

    func leads(_ shard: GroupID) -> Bool { led.withLock { $0.contains(shard) } }

    var count: Int { led.withLock { $0.count } }

    /// True when this is news.
    func note(_ shard: GroupID, isLed: Bool) -> Bool {
        led.withLock { led in
            isLed ? led.insert(shard).inserted : led.remove(shard) != nil
        }
    }
}
