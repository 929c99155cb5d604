import Bytes
import Logging
import NIOCore
import Replication

/// One connection between two nodes, in either direction: greeting, then frames and pings.
///
/// The side that dialed says hello first and sends frames; the side that accepted answers and
/// sends pings only. Both ping at every tick, unasked, so that a long queue in one direction never
/// looks like silence in the other.
final class PeerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Which side opened it.
    enum Role {
        case dialed(NodeNumber, address: String)
        case accepted
    }

    private enum Phase { case greeting, open, closing }

    /// Frames are copied into batches of about this size, each one write.
    private static let batchBytes = 256 << 10
    /// A batch's buffer that a long frame has made larger than this is not kept.
    private static let keptBatchBytesMax = 1 << 20

    let role: Role
    /// Who the peer is, once it is welcome.
    private(set) var peer: PeerHello?
    private let loop: PeerLoop
    /// What this node says of itself on this connection.
    private let own: PeerHello
    private var phase = Phase.greeting
    private var context: ChannelHandlerContext?
    private let startedAt = NIODeadline.now()
    private var heardAt = NIODeadline.now()
    /// Received and not yet understood: at most one frame and one read.
    private var pending = ByteBuffer()
    private var receivedCount: UInt64 = 0
    private var sentCount: UInt64 = 0
    /// Frames taken from the outbox; those before `next` are in the socket.
    private var backlog: [[UInt8]] = []
    private var next = 0
    private var batch = ByteBuffer()

    init(role: Role, own: PeerHello, loop: PeerLoop) {
        self.role = role
        self.own = own
        self.loop = loop
    }

    /// An accepted connection that has not said who it is, or was refused and is still closing.
    var isStranger: Bool {
        if case .accepted = role { peer == nil } else { false }
    }

    /// Where the peer is, without its port, which changes with every connection.
    private var place: String {
        switch role {
        case .dialed(let node, let address): "node \(node) at \(address)"
        case .accepted: context?.remoteAddress?.ipAddress ?? "an unknown address"
        }
    }

    /// The number that belongs into events about this connection, where it is known.
    private var number: NodeNumber? {
        if case .dialed(let node, _) = role { node } else { peer?.node }
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        if case .dialed = role { say(.hello(own)) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        loop.remove(self)
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A connection that breaks says nothing about the peer; TLS that does not come about does.
        if phase == .greeting, !(error is IOError), !(error is ChannelError) {
            loop.refused(
                number,
                "TLS with \(place) failed: \(PeerRules.forPeople("\(error)", 256)); both nodes "
                    + "need certificates of the same cluster authority that are valid now")
        }
        close()
    }

    /// Ends the connection; nothing comes from it any more.
    func close() {
        end()
        context?.close(promise: nil)
    }

    /// Completes when the socket is closed; nil when it is already.
    var closed: EventLoopFuture<Void>? { context?.channel.closeFuture }

    private func end() {
        guard phase != .closing else { return }
        let wasOpen = phase == .open
        phase = .closing
        backlog = []
        next = 0
        pending = ByteBuffer()
        loop.ended(self, wasOpen: wasOpen)
    }

    /// The clock's tick: closes what has been silent too long, says that this side lives.
    func tick(now: NIODeadline) {
        switch phase {
        case .greeting:
            guard now - startedAt >= loop.configuration.handshakeTimeout else { return }
            loop.logger.debug("peer handshake timed out", metadata: ["peer": "\(place)"])
            close()
        case .open:
            if now - heardAt >= loop.configuration.silenceMax {
                loop.logger.info("peer is silent", metadata: ["peer": "\(place)"])
                close()
            } else if let context, context.channel.isWritable {
                // Otherwise bytes are on their way that say as much.
                startBatch(capacity: PeerLinkFormat.frameHeadBytes)
                appendFrame([])
                context.writeAndFlush(wrapOutboundOut(batch), promise: nil)
            }
        case .closing: return
        }
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard phase != .closing else { return }
        heardAt = .now()
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            pending.discardReadBytes()
            pending.writeBuffer(&bytes)
        }
        if phase == .greeting { readGreeting() }
        readFrames()
    }

    private func readGreeting() {
        do throws(GreetingError) {
            let decoded = try pending.withUnsafeReadableBytes { raw throws(GreetingError) in
                try PeerLinkFormat.decode(raw)
            }
            guard let decoded else { return }
            pending.moveReaderIndex(forwardBy: decoded.byteCount)
            switch (decoded.greeting, role) {
            case (.hello(let hello), .accepted): welcome(hello)
            case (.hello(let hello), .dialed(let node, _)): understand(hello, from: node)
            case (.refusal(let refusal), _):
                loop.refused(
                    number, "\(place) refused this node: \(PeerRules.forPeople(refusal.text))")
                close()
            }
        } catch {
            switch error {
            case .notAPeer:
                // No answer: a stranger learns nothing here.
                loop.refused(
                    number,
                    "\(place) does not speak Magpie's peer protocol: this port is for nodes of "
                        + "the cluster, and all of them use TLS or none does")
                close()
            case .version(let version):
                refuse(PeerRules.versionRefusal(version, own: own.node), node: number)
            case .malformed(let error):
                refuse(PeerRules.malformedRefusal(error), node: number)
            }
        }
    }

    /// A node has introduced itself on a connection that it opened.
    private func welcome(_ hello: PeerHello) {
        if let refusal = certificateRefusal(hello) ?? loop.refusal(of: hello, own: own) {
            refuse(refusal, node: hello.node)
            return
        }
        peer = hello
        phase = .open
        loop.welcomed(self, hello)
        say(.hello(own))
    }

    /// The node that was dialed has answered.
    private func understand(_ hello: PeerHello, from node: NodeNumber) {
        let refusal =
            certificateRefusal(hello)
            ?? PeerRules.refusal(ofAnswer: hello, own: own, expected: node)
        if let refusal {
            refuse(refusal, node: node)
            return
        }
        peer = hello
        phase = .open
        loop.opened(self, node, hello)
    }

    private func certificateRefusal(_ hello: PeerHello) -> PeerRefusal? {
        guard loop.usesTLS, let context else { return nil }
        let name = PeerTLS.certificateName(hello.node, cluster: own.clusterName)
        return PeerTLSContexts.peer(of: context.pipeline.syncOperations, carries: name)
            ? nil : PeerRules.certificateRefusal(claimed: hello.node, name: name)
    }

    /// Refuses the peer; only the side that accepted tells it why, since the other side has said
    /// all that it may say in a handshake.
    private func refuse(_ refusal: PeerRefusal, node: NodeNumber?) {
        loop.refused(node, "refused \(place): \(refusal.text)")
        // The socket is empty, so these few bytes leave at once, before it closes.
        if case .accepted = role { say(.refusal(refusal)) }
        close()
    }

    private func readFrames() {
        let framesMax = if case .accepted = role { loop.configuration.frameBytesMax } else { 0 }
        while phase == .open, let peer,
            pending.readableBytes >= PeerLinkFormat.frameHeadBytes
        {
            let head = pending.withUnsafeReadableBytes { raw in
                PeerLinkFormat.decodeFrameHead(
                    UnsafeRawBufferPointer(rebasing: raw[..<PeerLinkFormat.frameHeadBytes]))
            }
            guard head.length <= framesMax else {
                refuseFrame("a frame of \(head.length) bytes, and \(framesMax) are allowed", peer)
                return
            }
            let end = PeerLinkFormat.frameHeadBytes + head.length
            guard pending.readableBytes >= end else { return }
            let payload: [UInt8]? = pending.withUnsafeReadableBytes { raw in
                let body = UnsafeRawBufferPointer(
                    rebasing: raw[PeerLinkFormat.frameHeadBytes..<end])
                let checksum = PeerLinkFormat.checksum(
                    body, incarnation: peer.incarnation, number: receivedCount)
                return checksum == head.checksum ? [UInt8](body) : nil
            }
            guard let payload else {
                refuseFrame("a damaged frame", peer)
                return
            }
            pending.moveReaderIndex(forwardBy: end)
            receivedCount += 1
            if !payload.isEmpty { loop.received(payload, from: peer) }
        }
    }

    private func refuseFrame(_ what: String, _ peer: PeerHello) {
        loop.refused(
            peer.node,
            "\(place) sent \(what): the channel is closed and will be opened anew; "
                + "check the network, and that both nodes run the same release")
        close()
    }

    // MARK: Sending

    private func say(_ greeting: Greeting) {
        let buffer = ByteBuffer(bytes: PeerLinkFormat.encode(greeting))
        context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        drain()
        context.fireChannelWritabilityChanged()
    }

    /// Hands what waits in the outbox to the socket, as long as it takes something.
    ///
    /// Frames are copied into one buffer per turn, so a turn with many small frames is one write,
    /// one flush and, under TLS, few records. What the socket doesn't take stays in the outbox's
    /// account.
    func drain() {
        guard phase == .open, case .dialed(let node, _) = role, let context else { return }
        while phase == .open, context.channel.isWritable {
            if next == backlog.count {
                backlog = loop.outbox.take(node)
                next = 0
                if backlog.isEmpty { return }
            }
            startBatch(capacity: Self.batchBytes)
            let first = next
            var bytes = 0
            while next < backlog.count, batch.readableBytes < Self.batchBytes {
                appendFrame(backlog[next])
                bytes += backlog[next].count
                backlog[next] = []
                next += 1
            }
            loop.outbox.release(frames: next - first, bytes: bytes, of: node)
            context.writeAndFlush(wrapOutboundOut(batch), promise: nil)
        }
    }

    private func startBatch(capacity: Int) {
        // When the last batch is written its storage is ours alone, and used again.
        if batch.capacity > Self.keptBatchBytesMax { batch = ByteBuffer() }
        batch.clear()
        batch.reserveCapacity(min(capacity, Self.batchBytes))
    }

    private func appendFrame(_ payload: [UInt8]) {
        let checksum = payload.withUnsafeBytes {
            PeerLinkFormat.checksum($0, incarnation: own.incarnation, number: sentCount)
        }
        sentCount += 1
        batch.writeInteger(UInt32(payload.count), endianness: .little)
        batch.writeInteger(checksum, endianness: .little)
        batch.writeBytes(payload)
    }
}
