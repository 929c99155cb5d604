/// The house: who may look into whom. A target's file may import only what its row names, the
/// standard library, and `Bytes`, which is open to all. Rank order is import order.
enum House {
    /// One target's row.
    struct Room {
        let rank: Int
        let house: Set<String>
        let outside: Set<String>
    }

    private static func room(
        _ rank: Int, _ house: Set<String> = [], _ outside: Set<String> = []
    ) -> Room {
        Room(rank: rank, house: house, outside: outside)
    }

    /// Modules of the toolchain that any target may import.
    static let standard: Set<String> = ["Swift", "Synchronization"]

    private static let nio: Set<String> = [
        "NIOCore", "NIOPosix", "NIOHTTP1", "NIOConcurrencyHelpers", "NIOEmbedded",
    ]
    private static let storage: Set<String> = [
        "Platform", "RecordLog", "RaftCore", "Replication", "LSMTree", "SortedTable",
    ]

    /// The rows of the design's table that stand today.
    static let rooms: [String: Room] = [
        "Bytes": room(0, [], ["CLZ4", "CXXHash"]),
        "Platform": room(0, [], ["Glibc"]),
        "RaftCore": room(0),
        "ChatModel": room(1),
        "Secrets": room(1, [], ["CCrypto"]),
        "RecordLog": room(1, ["Platform"]),
        "SortedTable": room(1, ["Platform"]),
        "BlobStore": room(1, ["Platform"]),
        "LSMTree": room(2, ["Platform", "RecordLog", "SortedTable"]),
        "Replication": room(2, ["Platform", "RecordLog", "RaftCore"]),
        "Presence": room(2, ["ChatModel"]),
        "SearchIndex": room(2, ["Platform"]),
        "FanOut": room(2, ["ChatModel"]),
        "WireProtocol": room(
            2, ["ChatModel"], ["SwiftProtobuf", "Foundation", "FoundationEssentials"]),
        "WebSocketCodec": room(2, [], ["NIOCore"]),
        "ShardStore": room(
            3, ["Platform", "RecordLog", "RaftCore", "Replication", "LSMTree", "SortedTable"]),
        "ChatEngine": room(3, ["ChatModel", "LSMTree"]),
        "Session": room(3, ["ChatModel", "FanOut"]),
        "ChatNode": room(
            4,
            storage.union([
                "ChatModel", "Secrets", "BlobStore", "Presence", "FanOut", "SearchIndex",
                "ShardStore", "ChatEngine", "Session",
            ])),
        "Gateway": room(
            4, ["ChatModel", "WireProtocol", "WebSocketCodec", "Session", "FanOut"],
            nio.union([
                "Hummingbird", "HummingbirdCore", "HTTPTypes", "Logging", "ServiceLifecycle",
                "Foundation", "FoundationEssentials", "SwiftProtobuf", "NIOHTTPTypes",
                "NIOHTTPTypesHTTP1",
            ])),
        "PeerLink": room(
            4, ["Replication"], nio.union(["NIOSSL", "Logging"])),
        "MagpieDump": room(
            6,
            [
                "Platform", "ChatModel", "ChatEngine", "RecordLog", "RaftCore", "SortedTable",
                "SearchIndex", "LSMTree", "Replication", "ShardStore",
            ], ["ArgumentParser", "Glibc"]),
        "MagpieBench": room(
            6,
            storage.union([
                "ChatModel", "ChatEngine", "ShardStore", "WireProtocol", "WebSocketCodec",
                "MagpieClient", "SearchIndex",
            ]),
            nio.union([
                "ArgumentParser", "Histogram", "Foundation", "Glibc", "CRocksDB", "CLevelDB",
            ])),
        "MagpieLoad": room(
            6, ["Platform", "ChatModel", "WireProtocol", "MagpieClient"],
            nio.union(["ArgumentParser", "Foundation", "Histogram"])),
        "MagpieTorture": room(
            6, storage.union(["ShardStore"]), ["ArgumentParser", "Foundation", "Glibc"]),
        "magpie": room(
            6, ["MagpieServer"],
            ["ArgumentParser", "Logging", "Foundation", "FoundationNetworking"]),
        "MagpieServer": room(
            5,
            storage.union([
                "ChatModel", "Secrets", "BlobStore", "Presence", "FanOut", "ShardStore",
                "ChatEngine", "Session", "ChatNode", "Gateway", "PeerLink", "WireProtocol",
            ]),
            nio.union([
                "Logging", "ServiceLifecycle", "UnixSignals", "Foundation",
            ])),
        "MagpieClient": room(
            5,
            ["Platform", "ChatModel", "RecordLog", "Secrets", "WireProtocol", "WebSocketCodec"],
            nio),
    ]

    /// What `module` may not be imported for, or nil when `target` may import it.
    static func objection(to module: String, in target: String) -> String? {
        guard let room = rooms[target] else {
            return "target \(target) has no row in the import table (Tools/Tidy/House.swift)"
        }
        if standard.contains(module) || module == "Bytes" || room.outside.contains(module)
            || room.house.contains(module)
        {
            return nil
        }
        if let other = rooms[module], other.rank >= room.rank {
            return
                "\(target) (rank \(room.rank)) may not look up into \(module) (rank \(other.rank))"
        }
        return "\(target)'s row does not name \(module)"
    }
}
