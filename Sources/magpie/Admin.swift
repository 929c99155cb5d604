import ArgumentParser
import Foundation

/// `magpie admin`: looks at a cluster and moves things in it. It speaks to a node on this machine:
/// the calls are open to loopback alone.
struct Admin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at a cluster and operate it.",
        discussion: """
            Run it on the machine of a node: these calls are answered to the same machine alone. \
            docs/OPERATIONS.md tells how to restart, replace and lose nodes.

            Examples:
              magpie admin status --url http://127.0.0.1:8081
              magpie admin shards --url http://127.0.0.1:8081 --json
              magpie admin transfer --shard 3 --node 2 --url http://127.0.0.1:8081
            """,
        subcommands: [
            Status.self, Nodes.self, Shards.self, Transfer.self, AddNode.self, RemoveNode.self,
            ReplaceNode.self,
        ])

    /// Where the node is, and how to show its answer.
    struct Target: ParsableArguments {
        @Option(help: "The node's URL for clients.")
        var url = "http://127.0.0.1:8080"

        @Flag(help: "Print the node's answer as it is.")
        var json = false

        /// The node's answer; throws one line when there is none or it refuses.
        func ask(_ path: String, method: String = "GET") async throws -> Data {
            guard let address = URL(string: url + path), address.host() != nil,
                ["http", "https"].contains(address.scheme)
            else {
                throw ValidationError("--url \(url): expected http://HOST:PORT")
            }
            guard let answer = await Fetch.get(address, method: method) else {
                throw CommandFailure("no node answers at \(url)")
            }
            guard answer.status == 200 else {
                let problem = try? JSONDecoder().decode(Problem.self, from: answer.body)
                throw CommandFailure(problem?.detail ?? "\(url) answers \(answer.status)")
            }
            if json { print(String(decoding: answer.body, as: UTF8.self)) }
            return answer.body
        }
    }

    private struct Problem: Decodable {
        let detail: String
    }

    struct NodeLine: Decodable {
        let node: Int
        let url: String
        let peer: String
        let connected: Bool
        let ready: Bool
        let load: Double
        let groupsLed: Int
        let leaving: Bool
        let refusal: String?
    }

    struct ShardLine: Decodable {
        let shard: Int
        let role: String
        let term: String
        let leader: Int?
        let commit: String
        let applied: String
        let last: String
        let base: String
        let voters: [Int]
        let learners: [Int]
        let lag: Int?
    }

    private struct Whole: Decodable {
        let version: String
        let ready: Bool
        let clusterNode: Int
        let sockets: Int
        let nodes: [NodeLine]
        let shards: [ShardLine]
    }

    /// How the cluster is, in a few lines.
    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How the cluster is, in a few lines.")
        @OptionGroup var target: Target

        func run() async throws {
            let body = try await target.ask("/status")
            if target.json { return }
            let status = try JSONDecoder().decode(Whole.self, from: body)
            let leaderless = status.shards.filter { $0.leader == nil }.map(\.shard)
            print(
                "node \(status.clusterNode), version \(status.version), "
                    + (status.ready ? "ready" : "not ready") + ", \(status.sockets) sockets")
            Nodes.show(status.nodes)
            print(
                leaderless.isEmpty
                    ? "all \(status.shards.count) shards have a leader"
                    : "shards without a leader: \(list(leaderless))")
            let behind = status.shards.filter { !$0.learners.isEmpty }
            for shard in behind {
                print("shard \(shard.shard): node \(list(shard.learners)) is catching up")
            }
        }
    }

    /// All nodes.
    struct Nodes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "All nodes, as the asked one sees them.")
        @OptionGroup var target: Target

        private struct List: Decodable {
            let nodes: [NodeLine]
        }

        func run() async throws {
            let body = try await target.ask("/admin/nodes")
            if target.json { return }
            Self.show(try JSONDecoder().decode(List.self, from: body).nodes)
        }

        static func show(_ nodes: [NodeLine]) {
            print("node  state         leads  load  url")
            for node in nodes {
                let state =
                    !node.connected
                    ? "unreachable" : node.leaving ? "leaving" : node.ready ? "ready" : "starting"
                print(
                    column("\(node.node)", 6) + column(state, 14) + column("\(node.groupsLed)", 7)
                        + column("\(Int(node.load * 100)) %", 6) + node.url)
                if let refusal = node.refusal { print("      \(refusal)") }
            }
        }
    }

    /// All shards.
    struct Shards: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "All shards, as the asked node has them.")
        @OptionGroup var target: Target

        private struct List: Decodable {
            let shards: [ShardLine]
        }

        func run() async throws {
            let body = try await target.ask("/admin/shards")
            if target.json { return }
            print("shard role       term  leader commit     applied    lag    voters   learners")
            for shard in try JSONDecoder().decode(List.self, from: body).shards {
                print(
                    column("\(shard.shard)", 6) + column(shard.role, 11) + column(shard.term, 6)
                        + column(shard.leader.map { "\($0)" } ?? "none", 7)
                        + column(shard.commit, 11) + column(shard.applied, 11)
                        + column(shard.lag.map { "\($0)" } ?? "-", 7)
                        + column(list(shard.voters), 9) + list(shard.learners))
            }
        }
    }

    /// Hands a shard's leadership over.
    struct Transfer: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Hand a shard's leadership to another node.",
            discussion: """
                Ask the node that leads the shard. No data moves. It is for the moment: a shard \
                returns to the node that the placement prefers once that node is up to date.
                """)
        @OptionGroup var target: Target
        @Option(help: "The shard.") var shard: UInt32
        @Option(help: "The node that is to lead it.") var node: UInt16

        func run() async throws {
            _ = try await target.ask(
                "/admin/transfer?shard=\(shard)&node=\(node)", method: "POST")
            if !target.json { print("shard \(shard) goes to node \(node)") }
        }
    }
}

extension Admin {
    /// Adds a node.
    struct AddNode: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a node to the cluster.",
            discussion: """
                Start the new node with a configuration file that names all nodes, itself \
                included; it waits until this command tells the others. It gets every shard's \
                state, and then votes.

                Example:
                  magpie admin add-node --node 4 --peer db4:9080 --node-url https://db4:8080
                """)
        @OptionGroup var target: Target
        @Option(help: "The new node's number.") var node: UInt16
        @Option(help: "Where other nodes reach it, HOST:PORT.") var peer: String
        @Option(name: .customLong("node-url"), help: "Where clients reach it.") var nodeURL: String

        func run() async throws {
            try await Admin.place(target, node, peer, nodeURL, "POST")
            if !target.json { print("node \(node) is added; see: magpie admin status") }
        }
    }

    /// Removes a node.
    struct RemoveNode: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a node out of the cluster, for good.",
            discussion: """
                Its replicas leave their groups; then it is no peer any more. If it lives, let it \
                run until status does not show it, and stop it then. One node at a time; refused \
                where the others would have no majority.
                """)
        @OptionGroup var target: Target
        @Option(help: "The node's number.") var node: UInt16

        func run() async throws {
            _ = try await target.ask("/admin/nodes?node=\(node)", method: "DELETE")
            if !target.json { print("node \(node) leaves; see: magpie admin status") }
        }
    }

    /// Replaces a node by one elsewhere.
    struct ReplaceNode: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a new machine in the place of a lost node, under the same number.",
            discussion: """
                The new machine starts with an empty data directory and the same number; this \
                tells the others where it is now. When only the disk was lost and the addresses \
                are the same, nothing need be said: start the node with an empty directory.
                """)
        @OptionGroup var target: Target
        @Option(help: "The node's number.") var node: UInt16
        @Option(help: "Where other nodes reach it now, HOST:PORT.") var peer: String
        @Option(name: .customLong("node-url"), help: "Where clients reach it.") var nodeURL: String

        func run() async throws {
            try await Admin.place(target, node, peer, nodeURL, "PUT")
            if !target.json { print("node \(node) is at \(peer) now; see: magpie admin status") }
        }
    }

    private static func place(
        _ target: Target, _ node: UInt16, _ peer: String, _ url: String, _ method: String
    ) async throws {
        var query = URLComponents()
        query.queryItems = [
            URLQueryItem(name: "node", value: "\(node)"),
            URLQueryItem(name: "peer", value: peer), URLQueryItem(name: "url", value: url),
        ]
        _ = try await target.ask("/admin/nodes\(query.string ?? "")", method: method)
    }
}

private func column(_ text: String, _ width: Int) -> String {
    text.count >= width ? text + " " : text + String(repeating: " ", count: width - text.count)
}

private func list(_ numbers: [Int]) -> String { numbers.map { "\($0)" }.joined(separator: ",") }
