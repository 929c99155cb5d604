import Foundation
import Glibc
import NIOCore
import NIOPosix

/// Runs the engines one after the other, in every repetition all of them: a slow minute of the
/// machine hits all alike. Each time three fresh servers are started in an empty directory.
struct ReplicationRun {
    /// What is wanted.
    struct Plan: Sendable {
        var engines: [ReplicationEngine]
        var programs: [ReplicationEngine: String]
        var inFlight: [Int]
        var repetitions: Int
        var seconds: Double
        var warmUp: Double
        var kills: Int
        /// Nil: what is best for each engine.
        var connections: Int?
        var conversations: Int
        var members: Int
        var streams: Int
        var directory: String
        var port: Int
    }

    /// Messages under way when a leader is killed.
    static let killInFlight = 64

    private let plan: Plan
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private var progress: Progress
    private var starts = 0

    init(_ plan: Plan, isQuiet: Bool = false) {
        self.plan = plan
        progress = Progress(
            steps: plan.repetitions * plan.engines.count * plan.inFlight.count
                + plan.kills * Self.killed(plan.engines).count, isQuiet: isQuiet)
    }

    /// Engines whose leader is killed: that syncs are late shows only when power fails.
    private static func killed(_ engines: [ReplicationEngine]) -> [ReplicationEngine] {
        engines.filter { $0 != .natsDefault }
    }

    /// Measures everything.
    mutating func perform() throws -> (loads: [LoadMeasurement], kills: [KillMeasurement]) {
        defer { try? group.syncShutdownGracefully() }
        var loads: [LoadMeasurement] = []
        var kills: [KillMeasurement] = []
        for repetition in 0..<plan.repetitions {
            // Another engine is first in each repetition.
            for place in plan.engines.indices {
                let engine = plan.engines[(place + repetition) % plan.engines.count]
                loads += try withCluster(engine, isDeduplicated: false) { run, cluster, directory in
                    try run.load(cluster, directory)
                }
            }
        }
        for _ in 0..<plan.kills {
            for engine in Self.killed(plan.engines) {
                kills.append(
                    try withCluster(engine, isDeduplicated: true) { run, cluster, _ in
                        try run.kill(cluster)
                    })
            }
        }
        progress.end()
        return (loads, kills)
    }

    // MARK: A cluster's life

    private mutating func withCluster<Result>(
        _ engine: ReplicationEngine, isDeduplicated: Bool,
        _ body: (inout ReplicationRun, any ReplicaCluster, String) throws -> Result
    ) throws -> Result {
        starts += 1
        let directory = "\(plan.directory)/\(starts)-\(engine.rawValue)"
        let setting = ClusterSetting(
            directory: directory, program: plan.programs[engine] ?? "",
            // Not the ports of the last cluster: its connections may linger.
            port: plan.port + starts % 100 * ClusterSetting.servers,
            connections: plan.connections ?? engine.connections, conversations: plan.conversations,
            members: plan.members, streams: plan.streams, isDeduplicated: isDeduplicated,
            loop: group.any())
        let cluster: any ReplicaCluster =
            switch engine {
            case .magpie: MagpieCluster(setting)
            case .etcd: EtcdCluster(setting)
            case .nats, .natsDefault: NatsCluster(engine, setting)
            }
        defer {
            cluster.stop()
            try? FileManager.default.removeItem(atPath: directory)
        }
        progress.note("starting \(engine.rawValue)")
        try cluster.start()
        return try body(&self, cluster, directory)
    }

    /// Waits for a future of the load generator, for so long.
    private func wait(_ future: EventLoopFuture<Void>, seconds: Int64) -> Bool {
        let promise = group.any().makePromise(of: Bool.self)
        let limit = group.any().scheduleTask(in: .seconds(seconds)) { promise.succeed(false) }
        future.whenComplete { result in
            limit.cancel()
            if case .success = result { promise.succeed(true) } else { promise.succeed(false) }
        }
        return (try? promise.futureResult.wait()) ?? false
    }

    private func makeGenerator(
        _ cluster: any ReplicaCluster, inFlight: Int, after last: UInt64, resendAfter: Duration
    ) throws -> LoadGenerator {
        let generator = LoadGenerator(
            cluster, on: group.any(),
            options: .init(
                connections: min(plan.connections ?? cluster.engine.connections, inFlight),
                resendAfter: resendAfter),
            after: last)
        guard wait(group.any().flatSubmit { generator.open() }, seconds: 20) else {
            throw EngineError("\(cluster.engine.rawValue): no connection within 20 s")
        }
        return generator
    }

    // MARK: Load

    private mutating func load(
        _ cluster: any ReplicaCluster, _ directory: String
    ) throws -> [LoadMeasurement] {
        let loop = group.any()
        var last: UInt64 = 0
        var all: [LoadMeasurement] = []
        for inFlight in plan.inFlight {
            progress.step("\(cluster.engine.rawValue), \(inFlight) in flight")
            let generator = try makeGenerator(
                cluster, inFlight: inFlight, after: last, resendAfter: .seconds(10))
            try loop.submit { generator.start(inFlight: inFlight) }.wait()
            Pause.seconds(plan.warmUp)
            let before = ServerMeter(servers: cluster.servers, directory: directory)
            let start = Meter.now()
            try loop.submit { generator.beginWindow() }.wait()
            Pause.seconds(plan.seconds)
            let window = try loop.submit { generator.endWindow() }.wait()
            let seconds = Double(Meter.now() &- start) / 1e9
            let after = ServerMeter(servers: cluster.servers, directory: directory)
            let isDrained = wait(loop.flatSubmit { generator.drain() }, seconds: 60)
            last = try loop.submit {
                generator.close()
                return generator.lastNumber
            }.wait()
            guard isDrained, window.acknowledged > 0 else {
                throw EngineError(
                    "\(cluster.engine.rawValue) stopped answering at \(inFlight) in flight: "
                        + window.reason)
            }
            all.append(
                LoadMeasurement(
                    engine: cluster.engine, inFlight: inFlight, seconds: seconds,
                    acknowledged: window.acknowledged,
                    p50Us: window.latencies.microseconds(at: 50),
                    p99Us: window.latencies.microseconds(at: 99),
                    p999Us: window.latencies.microseconds(at: 99.9),
                    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
                    clientCPUSeconds: after.clientCPUSeconds - before.clientCPUSeconds,
                    otherCPUSeconds: after.othersCPUSeconds - before.othersCPUSeconds,
                    deviceBytes: after.deviceBytes - before.deviceBytes,
                    deviceFlushes: after.deviceFlushes - before.deviceFlushes,
                    residentBytes: after.residentBytes, errors: window.errors,
                    reason: window.reason))
        }
        return all
    }

    // MARK: Kill

    private mutating func kill(_ cluster: any ReplicaCluster) throws -> KillMeasurement {
        progress.step("\(cluster.engine.rawValue), kill -9 of the leader")
        let loop = group.any()
        let generator = try makeGenerator(
            cluster, inFlight: Self.killInFlight, after: 0, resendAfter: .milliseconds(500))
        try loop.submit { generator.start(inFlight: Self.killInFlight) }.wait()
        Pause.seconds(2)
        let victim = try cluster.leader()
        try loop.submit { generator.watchGaps() }.wait()
        _ = Glibc.kill(cluster.servers[victim], SIGKILL)
        Pause.seconds(3)
        // Until every slot is served again, and a little longer.
        _ = try Pause.until(30) { try loop.submit { generator.isServing }.wait() }
        Pause.seconds(1)
        let gaps = try loop.submit { generator.readGaps() }.wait()
        _ = wait(loop.flatSubmit { generator.drain() }, seconds: 30)
        let (last, open) = try loop.submit {
            defer { generator.close() }
            return (generator.lastNumber, generator.unanswered)
        }.wait()
        progress.note("reading \(cluster.engine.rawValue) back")
        let verdict = try cluster.verify(
            last: last, open: open, survivor: (victim + 1) % ClusterSetting.servers)
        return KillMeasurement(
            engine: cluster.engine, slotGap: Double(gaps.slot) / 1e9,
            allGap: Double(gaps.all) / 1e9, sent: Int(last), unanswered: open.count,
            verdict: verdict)
    }
}
