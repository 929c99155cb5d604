import Foundation
import Glibc
import NIOCore

/// Three servers of NATS with JetStream, one or several streams of three replicas in files.
/// Connections go to the stream's leader; with several streams they are dealt to the servers.
///
/// Its variables are set by `start`, before the first link is made.
final class NatsCluster: ReplicaCluster, @unchecked Sendable {
    let engine: ReplicationEngine
    private let setting: ClusterSetting
    private var processes: [ServerProcess] = []
    private var home = 0

    init(_ engine: ReplicationEngine, _ setting: ClusterSetting) {
        self.engine = engine
        self.setting = setting
    }

    var servers: [Int32] { processes.map(\.identifier) }

    /// Settings in words.
    static func settings(_ engine: ReplicationEngine, streams: Int) -> String {
        let sync = engine == .nats ? "sync_interval: always" : "sync_interval at its default"
        let many = streams == 1 ? "1 stream, connected to its leader" : "\(streams) streams"
        return "JetStream, \(many), 3 replicas, file storage, \(sync)"
    }

    private var streams: [String] { (0..<setting.streams).map { "m\($0)" } }
    private func port(_ number: Int) -> Int { setting.port + number }
    private func routePort(_ number: Int) -> Int { setting.port + 1_000 + number }

    func start() throws {
        let root = try setting.makeDirectory()
        let numbers = 0..<ClusterSetting.servers
        let routes = numbers.map { "nats://127.0.0.1:\(routePort($0))" }
        for number in numbers {
            let sync = engine == .nats ? "sync_interval: always" : ""
            let text = """
                server_name: n\(number)
                listen: 127.0.0.1:\(port(number))
                jetstream { store_dir: "\(root)/n\(number)"; max_file_store: 64GB; \(sync) }
                cluster {
                  name: bench
                  listen: 127.0.0.1:\(routePort(number))
                  routes: [ \(routes.map { "\"\($0)\"" }.joined(separator: ", ")) ]
                }

                """
            let file = "\(root)/n\(number).conf"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            processes.append(
                try ServerProcess(setting.program, ["-c", file], log: "\(root)/n\(number).log"))
        }
        for stream in streams {
            let isMade = Pause.until(40) { (try? make(stream)) == true }
            guard isMade else {
                throw EngineError("NATS makes no stream: \(processes[0].lastWords)")
            }
        }
        let isReady = Pause.until(30) { (try? leader()) != nil }
        guard isReady else { throw EngineError("the streams of NATS have no leader after 30 s") }
        home = try leader()
    }

    /// What `$JS.API.STREAM.INFO.…` says, of which this is needed.
    private struct Info: Decodable {
        struct Cluster: Decodable {
            let leader: String?
        }
        struct State: Decodable {
            let messages: UInt64
        }
        struct Failure: Decodable {
            let description: String?
        }

        let cluster: Cluster?
        let state: State?
        let error: Failure?
    }

    private func ask(_ server: Int, _ subject: String, _ payload: String) throws -> Info {
        let answer = try Control.ask(port: port(server), on: setting.loop) {
            NatsLink(subjects: ["none"], inbox: "_C", isDeduplicated: false, report: $0)
        } _: { link, answer in
            link.call(subject, payload, answer)
        }
        return try JSONDecoder().decode(Info.self, from: Data(answer.readableBytesView))
    }

    private func make(_ stream: String) throws -> Bool {
        let body = """
            {"name":"\(stream)","subjects":["\(stream)"],"retention":"limits","storage":"file",\
            "discard":"old","num_replicas":\(ClusterSetting.servers),"max_consumers":-1,\
            "max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msg_size":-1}
            """
        let info = try ask(0, "$JS.API.STREAM.CREATE.\(stream)", body)
        return info.error == nil
    }

    func leader() throws -> Int {
        var led = [Int](repeating: 0, count: ClusterSetting.servers)
        guard let asked = processes.firstIndex(where: \.isRunning) else {
            throw EngineError("no server of NATS runs")
        }
        for stream in streams {
            let info = try ask(asked, "$JS.API.STREAM.INFO.\(stream)", "")
            guard let name = info.cluster?.leader, let number = Int(name.dropFirst()),
                led.indices.contains(number)
            else { throw EngineError("stream \(stream) has no leader") }
            led[number] += 1
        }
        return led.indices.max { led[$0] < led[$1] } ?? 0
    }

    func makeLink(
        _ index: Int, attempt: Int, on loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    ) -> Link {
        let first = setting.streams == 1 ? home : index
        let link = NatsLink(
            subjects: streams, inbox: "_I\(index)x\(attempt)",
            isDeduplicated: setting.isDeduplicated, report: report)
        link.connect(port: port((first + attempt) % ClusterSetting.servers), on: loop)
        return link
    }

    func verify(last: UInt64, open: Set<UInt64>, survivor: Int) throws -> Verdict {
        var count = 0
        for stream in streams {
            let info = try ask(survivor, "$JS.API.STREAM.INFO.\(stream)", "")
            guard let state = info.state else {
                throw EngineError(info.error?.description ?? "stream \(stream) says nothing")
            }
            count += Int(state.messages)
        }
        return Verdict(
            lost: max(0, Int(last) - open.count - count), repeated: max(0, count - Int(last)),
            method: "the streams' messages counted")
    }

    func stop() {
        for process in processes { process.stop() }
    }
}
