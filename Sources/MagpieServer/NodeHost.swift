import Bytes
import ChatModel
import ChatNode
import Gateway
import Platform
import Session
import Synchronization

/// What the front end needs from the program: time, chance, and how the node is.
final class NodeHost: GatewayHost {
    private let node: ChatNode
    private let clock: any Clock
    private let random: any RandomSource
    private let startedMs: Milliseconds
    /// Set once the front end, which needs this host, is made.
    private let gateway = Mutex<Gateway?>(nil)

    init(node: ChatNode, clock: any Clock, random: any RandomSource) {
        self.node = node
        self.clock = clock
        self.random = random
        startedMs = clock.wallMilliseconds()
    }

    /// From now on the front end's figures are told too.
    func attach(_ gateway: Gateway) { self.gateway.withLock { $0 = gateway } }

    func wallMilliseconds() -> Milliseconds { clock.wallMilliseconds() }

    func isReady() -> Bool {
        node.meters.isReady
            && !node.meters.isStopping.load(ordering: .relaxed)
    }

    /// Sockets against what one node takes.
    func nodes() -> [GatewayNode] { node.nodeReports().filter(\.isReady).map(show) }

    func home(of user: UserID) -> GatewayNode? { node.home(of: user).map(show) }

    private func show(_ report: NodeReport) -> GatewayNode {
        GatewayNode(
            id: "\(report.number)", url: report.url, load: report.load, isSelf: report.isSelf)
    }

    func administer(_ call: AdminCall) async throws -> String {
        switch call {
        case .nodes: return ClusterStatus.json(node.nodeReports())
        case .shards: return ClusterStatus.json(node.shardReports())
        case .transfer(let shard, let number):
            try await done { node.transfer(shard: shard, to: number, answer: $0) }
        case .addNode(let number, let peer, let url):
            let added = ClusterMap.Node(number: number, peerAddress: peer, url: url)
            try await done { node.addNode(added, answer: $0) }
        case .replaceNode(let number, let peer, let url):
            let moved = ClusterMap.Node(number: number, peerAddress: peer, url: url)
            try await done { node.replaceNode(moved, answer: $0) }
        case .removeNode(let number):
            try await done { node.removeNode(number, answer: $0) }
        }
        return #"{"done":true}"#
    }

    private func done(_ ask: (@escaping Answer<Void>) -> Void) async throws {
        try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Void, any Error>) in
            ask { continuation.resume(with: $0.mapError { $0 }) }
        }
    }

    func randomSeed() -> UInt64 { random.word() }

    func status() -> String {
        let facts = node.facts
        let report = node.storageReport()
        let levels = report.levels.map { #"{"tables":\#($0.tables),"bytes":\#($0.bytes)}"# }
        return """
            {"version":"\(Release.version)","node":"\(facts.id)","epoch":"\(facts.epoch)",\
            "durability":"quorum-sync","ready":\(isReady()),"startedMs":"\(startedMs)",\
            "serverTimeMs":"\(wallMilliseconds())",\
            "sockets":\(node.meters.sockets.load(ordering: .relaxed)),\
            "commandsApplied":"\(node.meters.commands.load(ordering: .relaxed))",\
            "entriesApplied":"\(node.meters.entries.load(ordering: .relaxed))",\
            "memtableBytes":\(report.memtableBytes),"levels":[\(levels.joined(separator: ","))],\
            \(StorageStatus.json(report)),\
            "search":{\(SearchStatus.json(node.searchReport()))},\
            "clusterNode":\(node.clusterNode),"groupsLed":\(node.groupsLed),\
            "nodes":\(ClusterStatus.list(node.nodeReports())),\
            "shards":\(ClusterStatus.list(node.shardReports()))}
            """
    }

    func metrics() -> String {
        let meters = node.meters
        let report = node.storageReport()
        var text = ""
        func add(_ name: String, _ kind: String, _ help: String, _ value: some BinaryInteger) {
            text += "# HELP magpie_\(name) \(help)\n# TYPE magpie_\(name) \(kind)\n"
            text += "magpie_\(name) \(value)\n"
        }
        add(
            "sockets", "gauge", "Live WebSocket sessions.", meters.sockets.load(ordering: .relaxed))
        add(
            "commands_applied_total", "counter", "Commands applied.",
            meters.commands.load(ordering: .relaxed))
        add(
            "log_entries_applied_total", "counter", "Log entries applied.",
            meters.entries.load(ordering: .relaxed))
        add(
            "deliveries_total", "counter", "Events handed to sockets.",
            meters.deliveries.load(ordering: .relaxed))
        add(
            "incidents_total", "counter", "Internal errors told to clients.",
            meters.incidents.load(ordering: .relaxed))
        add(
            "memtable_bytes", "gauge", "Bytes in the memtable that takes writes.",
            report.memtableBytes)
        add(
            "table_bytes", "gauge", "Bytes in sorted tables.",
            report.levels.reduce(0) { $0 + $1.bytes })
        text += StorageStatus.metrics(report)
        text += SearchStatus.metrics(node.searchReport())
        if let figures = gateway.withLock({ $0 })?.figures {
            add("frames_received_total", "counter", "WebSocket frames in.", figures.framesReceived)
            add("frames_sent_total", "counter", "WebSocket frames out.", figures.framesSent)
            add("sent_bytes_total", "counter", "Bytes of those.", figures.bytesSent)
            add(
                "events_dropped_total", "counter", "Events that a busy event loop dropped.",
                figures.eventsDropped)
        }
        add(
            "commands_refused_total", "counter",
            "Commands refused because writes came faster than tables.",
            meters.refusals.load(ordering: .relaxed))
        add(
            "log_turns_total", "counter", "Turns of the log: one write and one sync each.",
            meters.logTurns.load(ordering: .relaxed))
        add(
            "log_turn_microseconds_total", "counter", "Time that they took.",
            meters.logTurnMicroseconds.load(ordering: .relaxed))
        add(
            "log_turn_microseconds_max", "gauge", "The longest since the start.",
            meters.logTurnMicrosecondsMax.load(ordering: .relaxed))
        let tails = node.pageCounts
        add("page_hits_total", "counter", "Newest pages served from memory.", tails.hits)
        add("page_misses_total", "counter", "Newest pages looked up in the rows.", tails.misses)
        add(
            "page_shared_total", "counter", "Readers that shared another one's look-up.",
            tails.shared)
        text += ClusterStatus.metrics(node.shardReports())
        add(
            "peer_frames_dropped_total", "counter",
            "Frames of other nodes dropped because the node could not keep up.",
            node.meters.peerFramesDropped.load(ordering: .relaxed))
        add("ready", "gauge", "1 when the node serves.", isReady() ? 1 : 0)
        return text
    }
}
