import NIOCore

/// Three servers of one engine, started for a run and stopped after it.
///
/// Called from the command's thread, which it may block; only `makeLink` is called on the event
/// loop.
protocol ReplicaCluster: AnyObject {
    /// The engine's name in the results.
    var engine: ReplicationEngine { get }
    /// The servers' processes, in order.
    var servers: [Int32] { get }

    /// Starts the servers and makes what messages go into; returns when a message would be taken.
    func start() throws
    /// Which server leads, or leads most.
    func leader() throws -> Int
    /// The connection number `index` of a run, at its `attempt`th server.
    func makeLink(
        _ index: Int, attempt: Int, on loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    )
        -> Link
    /// Compares what is stored with what was sent: messages 1…`last`, of which those in `open` were
    /// never acknowledged. `survivor` is a server that runs.
    func verify(last: UInt64, open: Set<UInt64>, survivor: Int) throws -> Verdict
    /// Stops what still runs.
    func stop()
}

/// What stands of the messages that were acknowledged.
struct Verdict: Codable, Sendable {
    /// Acknowledged and not there.
    var lost: Int
    /// More than once there; nil where the engine cannot tell.
    var repeated: Int?
    /// How it was found out.
    var method: String
}

/// The engines of the comparison.
enum ReplicationEngine: String, CaseIterable, Codable, Sendable {
    case magpie
    case etcd
    case nats
    /// NATS as it comes: it acknowledges first and syncs every two minutes.
    case natsDefault = "nats-default"

    /// When a message counts as acknowledged.
    var durability: String {
        switch self {
        case .magpie: "two of three logs synced, applied by the leader"
        case .etcd: "two of three logs synced, applied by the member asked"
        case .nats: "stored by two of three servers, every write synced"
        case .natsDefault: "acks before sync: synced every two minutes"
        }
    }

    /// Connections of the load generator unless told otherwise: for the peers, the best of 1, 4, 12
    /// and 48 in their throughput and processor time.
    var connections: Int {
        switch self {
        case .magpie: 12
        case .etcd: 4
        case .nats, .natsDefault: 1
        }
    }

    /// Reads names after commas.
    static func parse(_ list: String) throws(UsageError) -> [ReplicationEngine] {
        var engines: [ReplicationEngine] = []
        for name in list.split(separator: ",", omittingEmptySubsequences: false) {
            guard let engine = ReplicationEngine(rawValue: String(name)) else {
                let known = allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--engines: \"\(name)\" is none of \(known)")
            }
            engines.append(engine)
        }
        return engines
    }
}
