import ArgumentParser
import MagpieServer

/// The program: `magpie serve`.
@main
struct MagpieCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie",
        abstract: "A chat service that owns its whole storage layer.",
        discussion: """
            One program, nothing beside it: no database, broker, cache or object store.

            Examples:
              magpie serve --data ./data --listen 127.0.0.1:8080
              magpie serve --data /srv/magpie --listen 0.0.0.0:80 \
            --public-url https://chat.example.org
            """,
        version: Magpie.version,
        subcommands: [Serve.self])
}
