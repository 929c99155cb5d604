import Logging
import NIOCore
import NIOPosix
import Replication

/// Keeps a channel to one peer: dials, waits a little longer after each failure, dials again.
/// It lives on the event loop.
final class Dialer {
    let node: NodeNumber
    let address: String
    private let loop: PeerLoop
    private var backoff: Backoff
    private var connection: PeerConnection?
    private var retry: Scheduled<Void>?
    private var isConnecting = false
    private var isStopped = false

    init(node: NodeNumber, address: String, loop: PeerLoop) {
        self.node = node
        self.address = address
        self.loop = loop
        backoff = Backoff(
            min: loop.configuration.reconnectMin, max: loop.configuration.reconnectMax)
    }

    /// Begins an attempt, unless one runs.
    func dial() {
        guard !isStopped, !isConnecting, connection == nil else { return }
        guard let target = PeerAddress(address) else {
            loop.refused(
                node,
                "the address \"\(PeerRules.forPeople(address))\" of node \(node) is not HOST:PORT: "
                    + "correct it in this node's configuration")
            return
        }
        isConnecting = true
        ClientBootstrap(group: loop.eventLoop)
            .connectTimeout(loop.configuration.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: PeerLoop.waterMark)
            .connect(host: target.host, port: target.port)
            .assumeIsolated()
            .whenComplete { self.connected($0) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        isConnecting = false
        switch result {
        case .success(let channel):
            guard !isStopped, let made = loop.makeConnection(.dialed(node, address: address))
            else {
                channel.close(promise: nil)
                return
            }
            connection = made
            do {
                // Nothing has been read from it yet: this is the loop's turn that connected it.
                try loop.install(made, in: channel)
            } catch {
                channel.close(promise: nil)
                connection = nil
                failed(error)
            }
        case .failure(let error): failed(error)
        }
    }

    private func failed(_ error: any Error) {
        loop.logger.debug(
            "peer is not reached",
            metadata: ["node": "\(node)", "address": "\(address)", "error": "\(error)"])
        dialLater()
    }

    /// The channel works.
    func opened() { backoff.reset() }

    /// The connection has ended, open or not.
    func ended(_ ended: PeerConnection) {
        guard ended === connection else { return }
        connection = nil
        dialLater()
    }

    /// Hands the outbox's frames to the socket.
    func drain() { connection?.drain() }

    /// Ends the channel and all attempts.
    func stop() {
        isStopped = true
        retry?.cancel()
        retry = nil
        connection?.close()
    }

    private func dialLater() {
        guard !isStopped else { return }
        retry?.cancel()
        let wait = backoff.next(using: &loop.generator)
        retry = loop.eventLoop.assumeIsolated().scheduleTask(in: wait) { self.dial() }
    }
}
