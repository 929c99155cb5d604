import Replication
import Synchronization

/// Frames on their way from any thread to the event loop, by peer, each queue bounded by bytes.
///
/// A frame counts from `push` until the loop has handed it to the socket (`release`). The socket
/// itself takes no more than its high-water mark and one batch.
final class Outbox: Sendable {
    /// What a frame takes besides its bytes: the array's head, its place in the queue, its head on
    /// the wire. Counted, so that a queue of very small frames is bounded too.
    static let frameOverheadBytes = 64

    /// What became of a frame.
    enum Outcome { case refused, queued, queuedFirst }

    private struct Queue {
        var frames: [[UInt8]] = []
        var bytes = 0
    }

    private struct State {
        var queues: [NodeNumber: Queue] = [:]
        /// The loop has been asked to drain and has not begun.
        var isScheduled = false
    }

    private let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// Queues a frame; `queuedFirst` asks the caller to wake the loop, once a turn.
    func push(_ frame: [UInt8], to node: NodeNumber) -> Outcome {
        let cost = frame.count + Self.frameOverheadBytes
        return state.withLock { state in
            guard let index = state.queues.index(forKey: node),
                state.queues.values[index].bytes + cost <= bytesMax
            else { return .refused }
            state.queues.values[index].frames.append(frame)
            state.queues.values[index].bytes += cost
            defer { state.isScheduled = true }
            return state.isScheduled ? .queued : .queuedFirst
        }
    }

    /// A channel to the node is open: frames are taken from now on.
    func open(_ node: NodeNumber) {
        state.withLock { $0.queues[node] = Queue() }
    }

    /// The channel is gone, and what waited for it.
    func close(_ node: NodeNumber) {
        state.withLock { _ = $0.queues.removeValue(forKey: node) }
    }

    /// The loop begins to drain: what is pushed from now on wakes it again.
    func beginDrain() {
        state.withLock { $0.isScheduled = false }
    }

    /// All that waits for the node, in order. It still counts until it is released.
    func take(_ node: NodeNumber) -> [[UInt8]] {
        state.withLock { state in
            guard let index = state.queues.index(forKey: node) else { return [] }
            defer { state.queues.values[index].frames = [] }
            return state.queues.values[index].frames
        }
    }

    /// Frames that were taken have been handed to the socket.
    func release(frames: Int, bytes: Int, of node: NodeNumber) {
        state.withLock { state in
            guard let index = state.queues.index(forKey: node) else { return }
            state.queues.values[index].bytes -= bytes + frames * Self.frameOverheadBytes
        }
    }

    /// Bytes that count for the node.
    func bytes(of node: NodeNumber) -> Int {
        state.withLock { $0.queues[node]?.bytes ?? 0 }
    }
}
