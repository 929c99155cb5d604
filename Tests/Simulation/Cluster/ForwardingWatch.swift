import Bytes
import ChatNode
import Replication

/// What the simulator reads of commands on their way to another node, and of the answers. It reads
/// by itself: the product's own reading is among what is checked.
///
///     u8 4 | v request | v flight | v shard | v map epoch | …
///     u8 5 | v request | u8 outcome, 1: accepted | …
enum ForwardedFrame {
    case batch(request: UInt64, epoch: UInt64)
    case answer(request: UInt64, isAccepted: Bool)

    /// Nil for other frames.
    init?(_ frame: [UInt8]) {
        guard frame.first == 4 || frame.first == 5 else { return nil }
        let read = try? frame.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            return try Self.read(&reader)
        }
        guard let read else { return nil }
        self = read
    }

    private static func read(_ reader: inout ByteReader) throws(DecodeError) -> ForwardedFrame {
        let kind = try reader.readByte()
        let request = try reader.readVarint()
        if kind == 5 {
            return .answer(request: request, isAccepted: try reader.readByte() == 1)
        }
        _ = try reader.readVarint()
        _ = try reader.readVarint()
        return .batch(request: request, epoch: try reader.readVarint())
    }
}

/// Tells the ownership checker of forwarded commands, and by which map the node went that they
/// reached.
// Confined to the thread that steps the scheduler.
final class ForwardingWatch: FrameWatch, @unchecked Sendable {
    private unowned let world: SimulatedWorld

    init(world: SimulatedWorld) { self.world = world }

    func takes(_ frame: [UInt8], from sender: NodeNumber, on receiver: NodeNumber) {
        guard case .batch(let request, let epoch)? = ForwardedFrame(frame),
            let node = world.members.first(where: { $0.number == receiver })?.node
        else { return }
        world.ownership.goes(receiver, by: node.clusterMap)
        world.ownership.arrived(request, epoch: epoch, from: sender, on: receiver)
    }

    func sends(_ frame: [UInt8], from sender: NodeNumber, to receiver: NodeNumber) {
        guard case .answer(let request, let isAccepted)? = ForwardedFrame(frame) else { return }
        world.ownership.answered(request, isAccepted: isAccepted, by: sender, to: receiver)
    }
}
