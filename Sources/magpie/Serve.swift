import ArgumentParser
import Foundation
import Logging
import MagpieServer

/// `magpie serve`: runs a single node.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a server: one node, alone or of a cluster.",
        discussion: """
            Prints one line, "ready URL", once it serves; open the URL in a browser to chat. \
            SIGTERM and Ctrl-C stop it gracefully. What was shown as sent is on the disk: it \
            survives kill -9.

            Examples:
              magpie serve --data ./data --listen 127.0.0.1:8080
              magpie serve --data ./data --listen 0.0.0.0:8080 --rate-limits off
              magpie serve --config magpie.json

            A configuration file is a JSON object with the keys data, listen, publicUrl, origins, \
            rateLimits (true or false), presenceTtl, memory, diskBudget, scrub and cluster; \
            options on the command line win. cluster is an object: name, number (of this node), \
            nodes (a list of number, peer as HOST:PORT, url), and when wanted peerListen and tls \
            (ca, certificate, key). \
            docs/OPERATIONS.md has an example; "magpie cluster" writes such files.
            """)

    @Option(help: "Directory that holds everything the server keeps.")
    var data: String?

    @Option(help: "Address and port, HOST:PORT; port 0 takes a free one.")
    var listen: String?

    @Option(help: "URL under which clients reach this node, when it is not what they ask for.")
    var publicURL: String?

    @Option(help: "Read settings from a JSON file.")
    var config: String?

    @Option(help: "A further origin whose pages may open WebSockets; may be repeated.")
    var origin: [String] = []

    @Option(help: "on or off.")
    var rateLimits: Switch?

    @Option(
        name: .customLong("presence-ttl"), help: "Seconds after which a silent user is offline.")
    var presenceTTL: Int?

    @Option(help: "Megabytes for memtables and caches.")
    var memory: Int?

    @Option(help: "Megabytes of disk it may take; without it, as many as the volume has.")
    var diskBudget: Int?

    @Option(help: "Megabytes of tables read again per second to find rot; 0 for none.")
    var scrub: Int?

    @Option(
        help: """
            How much is logged on standard error: trace, debug, info, notice, warning, error, \
            critical. What an operator should know of other nodes is a notice.
            """)
    var logLevel: LogLevel = .notice

    /// swift-log's levels, by name.
    enum LogLevel: String, ExpressibleByArgument, CaseIterable {
        case trace
        case debug
        case info
        case notice
        case warning
        case error
        case critical
    }

    /// On or off.
    enum Switch: String, ExpressibleByArgument, CaseIterable {
        case on
        case off
    }

    func validate() throws {
        if let presenceTTL, !(1...86_400).contains(presenceTTL) {
            throw ValidationError("--presence-ttl: 1 to 86400 seconds")
        }
        if let memory, !(64...1_048_576).contains(memory) {
            throw ValidationError("--memory: at least 64 megabytes")
        }
        if let diskBudget, !(ServerConfiguration.diskBudgets ~= diskBudget) {
            throw ValidationError("--disk-budget: at least 1024 megabytes")
        }
        if let scrub, !(ServerConfiguration.scrubs ~= scrub) {
            throw ValidationError("--scrub: 0 to 1024 megabytes a second")
        }
        _ = try settings()
    }

    func run() async throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "magpie")
        logger.logLevel = Logger.Level(rawValue: logLevel.rawValue) ?? .notice
        let server = MagpieServer(try settings(), logger: logger)
        do {
            try await server.run(
                onReady: { url in
                    FileHandle.standardOutput.write(Data("ready \(url)\n".utf8))
                },
                onFailure: { message in
                    complain(message)
                    _exit(1)
                })
        } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
    }

    private func settings() throws -> ServerConfiguration {
        let file = try config.map { try ServerConfiguration.File.read($0) } ?? .init()
        guard let data = data ?? file.data else {
            throw ValidationError("--data: name the directory that holds what the server keeps")
        }
        var settings: ServerConfiguration
        do {
            settings = try ServerConfiguration(
                data: data, listen: listen ?? file.listen ?? "127.0.0.1:8080")
        } catch {
            throw ValidationError(error.description)
        }
        settings.publicURL = publicURL ?? file.publicUrl
        settings.origins = origin.isEmpty ? file.origins ?? [] : origin
        settings.isRateLimited = rateLimits.map { $0 == .on } ?? file.rateLimits ?? true
        settings.presenceSeconds = presenceTTL ?? file.presenceTtl ?? settings.presenceSeconds
        settings.memoryMegabytes = memory ?? file.memory ?? settings.memoryMegabytes
        settings.diskBudgetMegabytes = diskBudget ?? file.diskBudget
        settings.scrubMegabytes = scrub ?? file.scrub ?? settings.scrubMegabytes
        settings.cluster = file.cluster
        return settings
    }
}

/// One line on standard error.
private func complain(_ message: String) {
    FileHandle.standardError.write(Data("magpie: \(message)\n".utf8))
}
