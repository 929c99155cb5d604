import Bytes
import ChatModel
import Foundation
import MagpieClient
import NIOCore
import WireProtocol

/// Three nodes of Magpie, started by `magpie cluster`. Each connection is the WebSocket of a user
/// with groups of their own; connections are dealt to the nodes, and a node passes on what
/// another one leads, as in life.
///
/// Its variables are set by `start`, before the first link is made.
final class MagpieCluster: ReplicaCluster, @unchecked Sendable {
    let engine = ReplicationEngine.magpie
    private let setting: ClusterSetting
    private var process: ServerProcess?
    private(set) var servers: [Int32] = []
    private var users: [MagpieLink.User] = []

    init(_ setting: ClusterSetting) { self.setting = setting }

    /// Settings in words.
    static func settings(groups: Int, members: Int) -> String {
        """
        magpie cluster --nodes 3 --rate-limits off, 16 data shards; \(groups) groups of \(members) \
        (the sender, the others away); connections dealt to the nodes
        """
    }

    private func port(_ number: Int) -> Int { setting.port + number }

    /// `cluster.json`, of which this is needed.
    private struct Index: Decodable {
        struct Node: Decodable {
            let pid: Int32
        }

        let nodes: [Node]
    }

    func start() throws {
        let root = try setting.makeDirectory()
        let data = "\(root)/data"
        let process = try ServerProcess(
            setting.program,
            [
                "cluster", "--nodes", "\(ClusterSetting.servers)", "--data", data, "--port",
                "\(setting.port)", "--rate-limits", "off",
            ], log: "\(root)/cluster.log")
        self.process = process
        let isReady = Pause.until(60) { process.hasSaid("ready") || !process.isRunning }
        guard isReady, process.isRunning else {
            throw EngineError("magpie cluster is not ready: \(process.lastWords)")
        }
        let index = try Data(contentsOf: URL(fileURLWithPath: data + "/cluster.json"))
        servers = try JSONDecoder().decode(Index.self, from: index).nodes.map(\.pid)
        let setting = setting
        users = try setting.loop.makeFutureWithTask { try await Self.populate(setting) }.wait()
    }

    // MARK: Users and groups

    private static func populate(_ setting: ClusterSetting) async throws -> [MagpieLink.User] {
        let clients = clients(setting)
        var away: [UserID] = []
        for number in 1..<max(1, setting.members) {
            away.append(try await register("away\(number)", clients[0]).session.user.id)
        }
        let others = away
        return try await withThrowingTaskGroup(of: (Int, MagpieLink.User).self) { group in
            for index in 0..<setting.connections {
                let api = clients[index % clients.count]
                group.addTask {
                    let answer = try await register("sender\(index)", api)
                    var conversations: [ConversationID] = []
                    for _ in 0..<setting.conversations {
                        let body = ConversationBody.group(members: others, title: "", cid: nil)
                        let view = try await api.createConversation(
                            body, token: answer.session.token)
                        conversations.append(view.state.conversation)
                    }
                    let token = answer.session.token
                    return (index, MagpieLink.User(token: token, conversations: conversations))
                }
            }
            var all: [(Int, MagpieLink.User)] = []
            for try await item in group { all.append(item) }
            return all.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private static func register(
        _ name: String, _ api: APIClient
    ) async throws -> SignedInAnswer {
        try await api.register(
            AccountBody(
                username: name, password: "correct horse battery", displayName: nil,
                deviceName: "magpie-bench"))
    }

    /// A caller of each node.
    private static func clients(_ setting: ClusterSetting) -> [APIClient] {
        (0..<ClusterSetting.servers).compactMap { number in
            ServerAddress("http://127.0.0.1:\(setting.port + number)").map {
                APIClient(HTTPClient($0, on: setting.loop, connectionsMax: 4), .binary)
            }
        }
    }

    // MARK: What a run asks for

    /// `GET /admin/nodes`, of which this is needed.
    private struct Nodes: Decodable {
        struct Node: Decodable {
            let groupsLed: Int
        }

        let nodes: [Node]
    }

    func leader() throws -> Int {
        guard let address = ServerAddress("http://127.0.0.1:\(port(0))") else {
            throw EngineError("no address")
        }
        let loop = setting.loop
        let reply = try loop.makeFutureWithTask {
            try await HTTPClient(address, on: loop).call(HTTPCall("GET", "/admin/nodes"))
        }.wait()
        guard reply.status == 200 else {
            throw EngineError("/admin/nodes answers \(reply.status)")
        }
        let led = try JSONDecoder().decode(Nodes.self, from: Data(reply.body)).nodes.map(
            \.groupsLed)
        return led.indices.max { led[$0] < led[$1] } ?? 0
    }

    func makeLink(
        _ index: Int, attempt: Int, on loop: any EventLoop, report: @escaping (LinkEvent) -> Void
    ) -> Link {
        let port = port((index + attempt) % ClusterSetting.servers)
        let link = MagpieLink(
            user: users[index], port: port, seed: UInt64(index << 16 | attempt), report: report)
        link.connect(port: port, on: loop)
        return link
    }

    func verify(last: UInt64, open: Set<UInt64>, survivor: Int) throws -> Verdict {
        let (users, setting) = (users, setting)
        let times = try setting.loop.makeFutureWithTask {
            try await Self.count(users, last, Self.clients(setting)[survivor])
        }.wait()
        var verdict = Verdict(lost: 0, repeated: 0, method: "every message read back")
        for number in 1...max(1, last) {
            let count = Int(times[Int(number)])
            if count == 0, number <= last, !open.contains(number) { verdict.lost += 1 }
            if count > 1 { verdict.repeated = (verdict.repeated ?? 0) + 1 }
        }
        return verdict
    }

    /// How often each number stands in the conversations, and whether a text is another's.
    private static func count(
        _ users: [MagpieLink.User], _ last: UInt64, _ api: APIClient
    ) async throws -> [UInt8] {
        var times = [UInt8](repeating: 0, count: Int(last) + 2)
        for user in users {
            for conversation in user.conversations {
                var seq: EntrySequence = 0
                while true {
                    let page = try await api.page(
                        conversation, .after(seq), limit: 200, token: user.token
                    ).page
                    for entry in page.entries {
                        guard case .message(let message) = entry.body, let cid = entry.cid else {
                            continue
                        }
                        guard cid == MagpieLink.cid(cid.low), cid.low <= last,
                            Array(message.content.text.utf8) == Bodies.body(cid.low)
                        else { throw EngineError("a message that nobody sent: \(cid)") }
                        times[Int(cid.low)] &+= 1
                    }
                    guard page.hasMore, let end = page.entries.last?.seq else { break }
                    seq = end
                }
            }
        }
        return times
    }

    func stop() { process?.stop() }
}
