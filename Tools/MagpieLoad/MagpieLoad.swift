import ArgumentParser
import Bytes
import Foundation

/// `magpie-load`: real clients against a running server.
struct MagpieLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie-load",
        abstract: "Loads a Magpie server the way clients do, and checks what it keeps.",
        discussion: """
            Exit codes: 0 all is well; 1 something was lost, doubled or differs; 2 wrong usage.
            """,
        version: Release.version,
        subcommands: [Replay.self, Chat.self])
}

@main
enum Main {
    static func main() async {
        do {
            var command = try MagpieLoad.parseAsRoot()
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
        } catch let failure as LoadFailure {
            Terminal.error("magpie-load: \(failure.description)")
            exit(1)
        } catch {
            let code = MagpieLoad.exitCode(for: error)
            if code == .success {
                Terminal.out(MagpieLoad.fullMessage(for: error))
                exit(0)
            }
            Terminal.error(MagpieLoad.fullMessage(for: error))
            exit(code == .failure ? 1 : 2)
        }
    }
}

/// Why a run ends with exit code 1.
struct LoadFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Options that all commands share.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server, or several nodes after commas.", valueName: "URL"))
    var url: String

    @Option(help: "How frames are written: json or proto.")
    var encoding: FrameEncoding = .json

    enum FrameEncoding: String, ExpressibleByArgument, CaseIterable {
        case json
        case proto
    }

    mutating func validate() throws {
        for part in url.split(separator: ",") where ServerList.address(String(part)) == nil {
            throw ValidationError("--url: \(part) is not http://HOST:PORT")
        }
        guard !url.isEmpty else { throw ValidationError("--url: names no server") }
    }
}
