import Platform
import Replication

/// How a node whose directory is empty finds its cluster, before it opens anything.
///
/// The nodes of a new cluster must agree on who the first members are; a node whose disk was wiped
/// must not be one of them, or it would vote as its old self. So:
///
/// - the node with the lowest number founds the cluster, and only after it has heard from **all**
///   other nodes that they belong to none: the founders are the incarnations it heard;
/// - every other node takes the formation from a node that has one. Whoever stands in it with its
///   number *and* incarnation is a founder; whoever does not comes later, and is let into each
///   group as a learner.
///
/// Once formed a node never forms again: that stands in its superblock, synced, before it acts.
// Confined to its lane, but for `start`.
package final class ClusterFormation: @unchecked Sendable {
    private static let interval = Duration.milliseconds(200)

    private let directory: DataDirectory
    private let cluster: ClusterConfiguration
    private let seams: NodeSeams
    private let port: PeerPort
    private let lane: any Lane
    private let notice: @Sendable (String) -> Void
    private let done: @Sendable (Result<Void, StartFailure>) -> Void
    /// Nodes that said they belong to no cluster, by number.
    private var unformed: [NodeNumber: UInt64] = [:]
    private var isOver = false

    private init(
        _ directory: DataDirectory, _ cluster: ClusterConfiguration, _ seams: NodeSeams,
        _ port: PeerPort, _ notice: @escaping @Sendable (String) -> Void,
        _ done: @escaping @Sendable (Result<Void, StartFailure>) -> Void
    ) {
        self.directory = directory
        self.cluster = cluster
        self.seams = seams
        self.port = port
        self.notice = notice
        self.done = done
        lane = seams.scheduler.lane("formation")
    }

    /// Makes sure that the node's directory belongs to a cluster; `done` is called once, on another
    /// thread, as soon as it does. A node without a cluster in its configuration founds its own.
    ///
    /// - Parameter notice: told what is waited for, and which peers are refused.
    package static func run(
        _ configuration: NodeConfiguration, seams: NodeSeams,
        notice: @escaping @Sendable (String) -> Void,
        done: @escaping @Sendable (Result<Void, StartFailure>) -> Void
    ) {
        let answers = seams.scheduler.lane("founding")
        answers.submit {
            do {
                let number = configuration.cluster?.node ?? 1
                let directory = try DataDirectory(
                    configuration.directory, number: number, seams: seams)
                if directory.superblock.formation != nil {
                    directory.release()
                    done(.success(()))
                } else if let cluster = configuration.cluster, let port = seams.peers,
                    cluster.nodes.count > 1
                {
                    let formation = ClusterFormation(
                        directory, cluster, seams, port, notice, done)
                    formation.lane.submit { formation.start() }
                } else {
                    try found(directory, [], seams)
                    directory.release()
                    done(.success(()))
                }
            } catch {
                let failure = error as? StartFailure ?? StartFailure("\(error)")
                done(.failure(failure))
            }
            answers.stop()
        }
    }

    private static func found(
        _ directory: DataDirectory, _ others: [Formation.Founder], _ seams: NodeSeams
    ) throws {
        var block = directory.superblock
        let own = Formation.Founder(number: block.number, incarnation: block.incarnation)
        block.formation = Formation(founders: [own] + others, random: seams.random)
        try block.write(in: directory.path, seams.fileSystem)
    }

    private func start() {
        let block = directory.superblock
        let hello = PeerHello(
            node: cluster.node, incarnation: block.incarnation, cluster: [],
            clusterName: cluster.name)
        let consumer = PeerPort.Consumer(hello: hello) { [self] event in
            lane.submit { self.take(event) }
        }
        do {
            try port.attach(consumer, peers: cluster.nodes.map(\.mapped))
        } catch {
            return finish(.failure(StartFailure("\(error)")))
        }
        notice(
            "waiting for the other nodes of cluster \(cluster.name): "
                + others.map { "\($0.number) at \($0.peerAddress)" }.joined(separator: ", "))
        ask()
    }

    private var others: [ClusterNode] { cluster.nodes.filter { $0.number != cluster.node } }

    private func ask() {
        if isOver { return }
        for node in others { _ = port.send(PeerFrame.formationAsk.encoded(), to: node.number) }
        lane.submit(after: Self.interval) { [self] in ask() }
    }

    private func take(_ event: PeerEvent) {
        if isOver { return }
        switch event {
        case .connected(let hello):
            _ = port.send(PeerFrame.formationAsk.encoded(), to: hello.node)
        case .disconnected(let node, _): unformed[node] = nil
        case .refused(_, let reason): notice(reason)
        case .frame(let hello, let bytes):
            // What does not decode comes from another version: the handshake should have said so.
            switch try? PeerFrame.decode(bytes) {
            case .formationAsk:
                _ = port.send(PeerFrame.formation(nil).encoded(), to: hello.node)
            case .formation(nil):
                unformed[hello.node] = hello.incarnation
                foundIfAllAreHere()
            case .formation(let formation?): adopt(formation)
            default: break
            }
        }
    }

    private func foundIfAllAreHere() {
        guard cluster.nodes.first?.number == cluster.node else { return }
        var founders: [Formation.Founder] = []
        for node in others {
            guard let incarnation = unformed[node.number] else { return }
            founders.append(.init(number: node.number, incarnation: incarnation))
        }
        finish { try Self.found(self.directory, founders, self.seams) }
    }

    private func adopt(_ formation: Formation) {
        var block = directory.superblock
        block.formation = formation
        finish { try block.write(in: self.directory.path, self.seams.fileSystem) }
    }

    private func finish(_ write: () throws -> Void) {
        do {
            try write()
            finish(.success(()))
        } catch {
            finish(.failure(StartFailure("\(directory.path)/SUPERBLOCK: \(error)")))
        }
    }

    private func finish(_ result: Result<Void, StartFailure>) {
        isOver = true
        port.detach()
        directory.release()
        done(result)
        lane.stop()
    }
}
