import ArgumentParser
import Bytes
import Foundation

/// The program: exit code 0, 1 when it cannot go on, 2 on wrong usage.
@main
enum Main {
    static func main() async {
        do {
            var command = try MagpieCommand.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = MagpieCommand.exitCode(for: error)
            let message = MagpieCommand.fullMessage(for: error)
            let output: FileHandle = code == .success ? .standardOutput : .standardError
            if !message.isEmpty { output.write(Data((message + "\n").utf8)) }
            exit(code == .success ? 0 : code == .failure ? 1 : 2)
        }
    }
}

/// `magpie`, with its subcommands.
struct MagpieCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie",
        abstract: "A chat service that owns its whole storage layer.",
        discussion: """
            One program, nothing beside it: no database, broker, cache or object store.

            Examples:
              magpie serve --data ./data --listen 127.0.0.1:8080
              magpie cluster --nodes 3 --data ./cluster --port 8081
              magpie admin status --url http://127.0.0.1:8081
              magpie serve --data /srv/magpie --listen 0.0.0.0:80 \
            --public-url https://chat.example.org
            """,
        version: Release.version,
        subcommands: [Serve.self, Cluster.self, Admin.self, Certificates.self])
}
