import Foundation
import Glibc
import NIOCore

/// Three members of etcd. Connections go to the leader: on one machine that saves the
/// forwarding, and the members' processor time is what is scarce.
///
/// Its variables are set by `start`, before the first link is made.
final class EtcdCluster: ReplicaCluster, @unchecked Sendable {
    let engine = ReplicationEngine.etcd
    private let setting: ClusterSetting
    private var processes: [ServerProcess] = []
    private var home = 0

    init(_ setting: ClusterSetting) { self.setting = setting }

    var servers: [Int32] { processes.map(\.identifier) }

    /// Settings in words.
    static let settings = """
        --pre-vote=true, heartbeat 100 ms, election 600 ms (600 to 1,200, as Magpie's), \
        quota 8 GiB; 8 B keys, a new one for each message; connected to the leader
        """

    func start() throws {
        let root = try setting.makeDirectory()
        let numbers = 0..<ClusterSetting.servers
        let members = numbers.map { "n\($0)=http://127.0.0.1:\(peerPort($0))" }
        for number in numbers {
            let client = "http://127.0.0.1:\(port(number))"
            let peer = "http://127.0.0.1:\(peerPort(number))"
            processes.append(
                try ServerProcess(
                    setting.program,
                    [
                        "--name", "n\(number)", "--data-dir", "\(root)/n\(number)",
                        "--listen-client-urls", client, "--advertise-client-urls", client,
                        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                        "--initial-cluster", members.joined(separator: ","),
                        "--initial-cluster-state", "new", "--pre-vote=true",
                        "--heartbeat-interval", "100", "--election-timeout", "600",
                        "--quota-backend-bytes", "8589934592", "--logger", "zap",
                        "--log-level", "error",
                    ], log: "\(root)/n\(number).log"))
        }
        let isReady = Pause.until(30) { (try? leader()) != nil }
        guard isReady else {
            throw EngineError("etcd has no leader after 30 s: \(processes[0].lastWords)")
        }
        home = try leader()
    }

    private func port(_ number: Int) -> Int { setting.port + number }
    private func peerPort(_ number: Int) -> Int { setting.port + 1_000 + number }

    func leader() throws -> Int {
        for number in 0..<ClusterSetting.servers where processes[number].isRunning {
            let status = try status(number)
            if status.member == status.leader, status.leader != 0 { return number }
        }
        throw EngineError("etcd has no leader")
    }

    /// `StatusResponse {header {member_id = 2} = 1, leader = 4}`.
    private func status(_ number: Int) throws -> (member: UInt64, leader: UInt64) {
        var answer = try call(number, "/etcdserverpb.Maintenance/Status", ByteBuffer())
        var (member, leader) = (UInt64(0), UInt64(0))
        while let field = answer.readField() {
            if field.number == 1, var header = field.bytes {
                while let field = header.readField() {
                    if field.number == 2 { member = field.integer ?? 0 }
                }
            }
            if field.number == 4 { leader = field.integer ?? 0 }
        }
        return (member, leader)
    }

    private func call(_ number: Int, _ path: String, _ message: ByteBuffer) throws -> ByteBuffer {
        try Control.ask(port: port(number), on: setting.loop) {
            EtcdLink(report: $0)
        } _: { link, answer in
            link.call(path, message, answer)
        }
    }

    func makeLink(
        _ index: Int, attempt: Int, on loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    ) -> Link {
        let link = EtcdLink(report: report)
        link.connect(port: port((home + attempt) % ClusterSetting.servers), on: loop)
        return link
    }

    func verify(last: UInt64, open: Set<UInt64>, survivor: Int) throws -> Verdict {
        // RangeRequest {key = 1, range_end = 2, count_only = 9}: from the first key on.
        var request = ByteBuffer()
        request.writeField(1, [0])
        request.writeField(2, [0])
        request.writeField(9, 1)
        var answer = try call(survivor, "/etcdserverpb.KV/Range", request)
        var count: UInt64 = 0
        while let field = answer.readField() {
            if field.number == 4 { count = field.integer ?? 0 }
        }
        let missing = Int(last) - open.count - Int(count)
        return Verdict(
            lost: max(0, missing), repeated: nil,
            method: "keys counted; a Put again under its key leaves no trace")
    }

    func stop() {
        for process in processes { process.stop() }
    }
}
