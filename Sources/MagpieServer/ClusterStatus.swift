import ChatNode

/// How nodes and shards stand, in JSON for people's scripts and as Prometheus figures.
enum ClusterStatus {
    static func json(_ nodes: [NodeReport]) -> String { #"{"nodes":\#(list(nodes))}"# }

    static func json(_ shards: [ShardReport]) -> String { #"{"shards":\#(list(shards))}"# }

    static func list(_ nodes: [NodeReport]) -> String {
        let items = nodes.map { node in
            let refusal = node.refusal.map { #","refusal":\#(text($0))"# } ?? ""
            return """
                {"node":\(node.number),"url":\(text(node.url)),"peer":\(text(node.peerAddress)),\
                "self":\(node.isSelf),"connected":\(node.isConnected),"ready":\(node.isReady),\
                "leaving":\(node.isLeaving),\
                "load":\(node.load),"groupsLed":\(node.groupsLed)\(refusal)}
                """
        }
        return "[\(items.joined(separator: ","))]"
    }

    static func list(_ shards: [ShardReport]) -> String {
        let items = shards.map { shard in
            let leader = shard.leader.map { "\($0)" } ?? "null"
            var lag = shard.lag.map { #","lag":\#($0)"# } ?? ""
            lag += shard.verifiedIndex.map { #","verified":"\#($0)""# } ?? ""
            return """
                {"shard":\(shard.shard),"role":"\(shard.role)","term":"\(shard.term)",\
                "leader":\(leader),"commit":"\(shard.commitIndex)",\
                "applied":"\(shard.appliedIndex)","durable":"\(shard.durableIndex)",\
                "last":"\(shard.lastIndex)","base":"\(shard.baseIndex)",\
                "voters":\(shard.voters),"learners":\(shard.learners)\(lag)}
                """
        }
        return "[\(items.joined(separator: ","))]"
    }

    static func metrics(_ shards: [ShardReport]) -> String {
        var text = ""
        func add(_ name: String, _ help: String, _ value: (ShardReport) -> UInt64?) {
            text += "# HELP magpie_shard_\(name) \(help)\n# TYPE magpie_shard_\(name) gauge\n"
            for shard in shards {
                guard let value = value(shard) else { continue }
                text += "magpie_shard_\(name){shard=\"\(shard.shard)\"} \(value)\n"
            }
        }
        add("leader", "1 on the node that leads the shard.") { $0.role == "leader" ? 1 : 0 }
        add("term", "The term the shard is in.") { $0.term }
        add("commit_index", "Decided up to this entry.") { $0.commitIndex }
        add("applied_index", "Rows hold everything up to this entry.") { $0.appliedIndex }
        add("durable_index", "On this node's disk up to this entry.") { $0.durableIndex }
        add("verified_index", "Equal to another node's replica up to this entry.") {
            $0.verifiedIndex
        }
        add("lag_entries", "On the leader: entries that the slowest voter lacks.") { $0.lag }
        return text
    }

    /// A JSON string.
    static func text(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case let control where control.value < 0x20: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
