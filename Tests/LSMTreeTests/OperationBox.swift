import Simulation
import Synchronization

/// The operation that a fault struck.
final class OperationBox: Sendable {
    private let content = Mutex<DiskOperation?>(nil)

    var value: DiskOperation? {
        get { content.withLock { $0 } }
        set { content.withLock { $0 = newValue } }
    }
}
