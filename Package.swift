// swift-tools-version: 6.3
import Foundation
import PackageDescription

// The house. Rank order is import order: see docs/ARCHITECTURE.md. Tools/Tidy holds the table and
// fails on any import that a row does not name.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1 = Target.Dependency.product(
    name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let signals = Target.Dependency.product(
    name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")

func library(
    _ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil,
    exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path, exclude: exclude,
        resources: resources, swiftSettings: settings)
}

func tool(_ name: String, _ dependencies: [Target.Dependency], path: String) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency], copies: [String] = []
) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies,
        resources: copies.map { .copy($0) }, swiftSettings: settings)
}

/// The web client's files, built into the program.
let webClient = [
    "api.js", "app.js", "dom.js", "icon.svg", "index.html", "list.js", "pane.js", "search.js",
    "socket.js", "store.js", "style.css",
]

/// Engines to compare with, linked into the benchmarks only where their headers are installed.
let peers = [("CRocksDB", "/usr/include/rocksdb/c.h"), ("CLevelDB", "/usr/include/leveldb/c.h")]
    .filter { FileManager.default.fileExists(atPath: $0.1) }
    .map(\.0)

let package = Package(
    name: "magpie",
    products: [
        .executable(name: "magpie", targets: ["magpie"]),
        .executable(name: "magpie-dump", targets: ["MagpieDump"]),
        .executable(name: "magpie-load", targets: ["MagpieLoad"]),
        .executable(name: "magpie-bench", targets: ["MagpieBench"]),
        .executable(name: "magpie-sim", targets: ["MagpieSim"]),
        .executable(name: "magpie-torture", targets: ["MagpieTorture"]),
        .library(name: "MagpieClient", targets: ["MagpieClient"]),
        .library(name: "MagpieFuzz", type: .static, targets: ["Fuzz"]),
    ],
    traits: [
        .trait(
            name: "PlantedBugs",
            description: "Bugs that the simulator must catch; never in a product.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // System libraries
        .systemLibrary(name: "CLZ4"),
        .systemLibrary(name: "CXXHash"),
        .systemLibrary(name: "CCrypto"),

        // Rank 0
        library("Bytes", ["CLZ4", "CXXHash"]),
        library("Platform", ["Bytes"]),
        library("RaftCore", ["Bytes"]),
        // Rank 1
        library("ChatModel", ["Bytes"]),
        library("Secrets", ["Bytes", "CCrypto"]),
        library("RecordLog", ["Bytes", "Platform"]),
        library("SortedTable", ["Bytes", "Platform"]),
        library("BlobStore", ["Bytes", "Platform"]),
        // Rank 2
        library("LSMTree", ["Bytes", "Platform", "RecordLog", "SortedTable"]),
        library("Replication", ["Bytes", "Platform", "RecordLog", "RaftCore"]),
        library("SearchIndex", ["Bytes", "Platform"]),
        library("Presence", ["Bytes", "ChatModel"]),
        library("FanOut", ["Bytes", "ChatModel"]),
        library("WireProtocol", ["Bytes", "ChatModel", protobuf], exclude: ["magpie.proto"]),
        library("WebSocketCodec", [nioCore]),
        // Rank 3
        library(
            "ShardStore",
            ["Bytes", "Platform", "RecordLog", "RaftCore", "Replication", "LSMTree"]),
        library("ChatEngine", ["Bytes", "ChatModel", "LSMTree"]),
        library("Session", ["Bytes", "ChatModel", "FanOut"]),
        // Rank 4
        library(
            "ChatNode",
            [
                "Bytes", "Platform", "RaftCore", "ChatModel", "Secrets", "RecordLog",
                "SortedTable", "BlobStore", "LSMTree", "Replication", "SearchIndex", "Presence",
                "FanOut", "ShardStore", "ChatEngine", "Session",
            ]),
        library(
            "Gateway",
            [
                "Bytes", "ChatModel", "WireProtocol", "WebSocketCodec", "Session", "FanOut",
                httpTypes, nioCore, nioPosix, nioHTTP1, nioHTTPTypes, nioHTTPTypesHTTP1,
                hummingbird, hummingbirdCore, logging, lifecycle,
            ]),
        library("PeerLink", ["Bytes", "Replication", nioCore, nioPosix, nioSSL, logging]),
        // Rank 5
        library(
            "MagpieServer",
            [
                "Bytes", "Platform", "ChatModel", "RecordLog", "LSMTree", "ChatNode", "Replication",
                "Session", "Secrets", "Gateway", "PeerLink", logging, lifecycle, nioCore, nioPosix,
                signals,
            ],
            resources: webClient.map { .embedInCode("Web/" + $0) }),
        library(
            "MagpieClient",
            [
                "Bytes", "Platform", "ChatModel", "WireProtocol", "WebSocketCodec", nioCore,
                nioPosix, nioHTTP1,
            ]),
        // Rank 6
        tool(
            "magpie", ["Bytes", "MagpieServer", argumentParser, logging],
            path: "Sources/magpie"),
        tool(
            "MagpieDump",
            [
                "Bytes", "Platform", "ChatModel", "ChatEngine", "RaftCore", "RecordLog",
                "SortedTable", "LSMTree", "Replication", "SearchIndex", "ShardStore",
                argumentParser,
            ], path: "Tools/MagpieDump"),
        tool(
            "MagpieLoad",
            [
                "Bytes", "Platform", "ChatModel", "WireProtocol", "MagpieClient", histogram,
                nioCore, nioPosix, argumentParser,
            ], path: "Tools/MagpieLoad"),
        tool(
            "MagpieSim", ["Bytes", "Platform", "Simulation", argumentParser],
            path: "Tools/MagpieSim"),
        tool(
            "MagpieTorture",
            [
                "Bytes", "Platform", "RaftCore", "RecordLog", "LSMTree", "Replication",
                "ShardStore", argumentParser,
            ], path: "Tools/MagpieTorture"),
        tool("Tidy", [], path: "Tools/Tidy"),
        tool(
            "MagpieBench",
            [
                "Bytes", "Platform", "ChatModel", "ChatEngine", "RaftCore", "RecordLog",
                "SortedTable", "LSMTree", "Replication", "SearchIndex", "ShardStore",
                "WireProtocol", "WebSocketCodec", "MagpieClient", argumentParser, histogram,
                nioCore, nioPosix,
            ] + peers.map { .byName(name: $0) }, path: "Benchmarks/MagpieBench"),

        // Tests
        library(
            "Simulation",
            [
                "Bytes", "Platform", "RaftCore", "ChatModel", "Secrets", "FanOut", "LSMTree",
                "Replication", "ShardStore", "ChatEngine", "Session", "ChatNode",
            ], path: "Tests/Simulation"),
        library(
            "Fuzz",
            [
                "Bytes", "Platform", "RaftCore", "RecordLog", "SortedTable", "LSMTree",
                "Replication", "SearchIndex", "ShardStore",
            ], path: "Tests/Fuzz"),
        tests(
            "Simulation",
            ["Bytes", "Platform", "ChatModel", "Replication", "Session", "ChatNode"]),
        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        tests("Platform", ["Bytes", "Simulation"]),
        tests("RaftCore", ["Bytes"], copies: ["Scenarios"]),
        tests("ChatModel", ["Bytes"], copies: ["Golden"]),
        tests("Secrets", ["Bytes"]),
        tests("RecordLog", ["Bytes", "Platform", "Simulation"], copies: ["Golden"]),
        tests("SortedTable", ["Bytes", "Platform"], copies: ["Golden"]),
        tests("BlobStore", ["Bytes", "Platform", "Simulation"], copies: ["Golden"]),
        tests(
            "LSMTree",
            ["Bytes", "Platform", "RecordLog", "SortedTable", "Simulation", "CAllocationCount"],
            copies: ["Golden"]),
        tests(
            "Replication", ["Bytes", "Platform", "RaftCore", "RecordLog", "Simulation"],
            copies: ["Golden"]),
        tests(
            "PeerLink",
            ["Bytes", "Replication", "Secrets", nioCore, nioPosix, nioSSL, logging],
            copies: ["Golden"]),
        tests("SearchIndex", ["Bytes", "Platform", "Simulation"], copies: ["Golden"]),
        tests("Presence", ["Bytes", "ChatModel"]),
        tests("FanOut", ["Bytes", "ChatModel"]),
        tests("WireProtocol", ["Bytes", "ChatModel"]),
        tests("WebSocketCodec", ["Bytes", nioCore]),
        tests(
            "ShardStore",
            [
                "Bytes", "Platform", "RaftCore", "RecordLog", "SortedTable", "Replication",
                "LSMTree", "Simulation", "Fuzz",
            ],
            copies: ["Golden"]),
        tests(
            "ChatEngine", ["Bytes", "Platform", "ChatModel", "LSMTree", "Simulation"],
            copies: ["Golden"]),
        tests("Session", ["Bytes", "ChatModel", "FanOut"]),
        tests(
            "ChatNode",
            [
                "Bytes", "Platform", "RaftCore", "ChatModel", "ChatEngine", "Secrets", "FanOut",
                "LSMTree", "Replication", "SearchIndex", "Session", "ShardStore", "Simulation",
            ], copies: ["Golden"]),
        tests(
            "Gateway",
            [
                "Bytes", "ChatModel", "FanOut", "Session", "WebSocketCodec", "WireProtocol",
                logging, nioCore, nioPosix, nioHTTP1,
            ]),
        tests(
            "MagpieDump",
            [
                "Bytes", "Platform", "ChatModel", "ChatEngine", "RaftCore", "RecordLog",
                "SortedTable", "LSMTree", "Replication", "SearchIndex", "ShardStore", "Simulation",
            ]),
        tests(
            "MagpieClient",
            [
                "Bytes", "Platform", "ChatModel", "WireProtocol", "WebSocketCodec", nioCore,
                nioPosix, nioHTTP1,
            ]),
        tests("MagpieTorture", ["Bytes", "LSMTree"]),
        tests(
            "MagpieBench",
            ["Bytes", "ChatModel", "SearchIndex", "WireProtocol", nioCore, nioEmbedded]),
        tests(
            "MagpieServer",
            [
                "Bytes", "Platform", "ChatModel", "ChatNode", "Secrets", "Gateway",
                "MagpieClient", "WireProtocol", logging, nioCore, nioPosix,
            ]),
        tests("Tidy", []),
    ] + peers.map { .systemLibrary(name: $0, path: "Benchmarks/\($0)") }
)
