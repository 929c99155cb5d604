import ArgumentParser
import Glibc

/// `magpie-bench`: measures Magpie beside others, in one process on one machine.
struct MagpieBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie-bench",
        abstract: "Measures Magpie side by side with its peers.",
        discussion: """
            Only ratios inside one run mean something: absolute figures differ between machines \
            and days.

            Exit codes: 0 measured; 1 an engine failed; 2 wrong usage, or an engine that is not \
            linked.
            """,
        version: "magpie-bench \(Versions.bench)",
        subcommands: [
            StorageCommand.self, ReplicationCommand.self, SearchCommand.self,
            DiskProbeCommand.self, VictimCommand.self, SearchDriverCommand.self,
        ])
}

@main
enum Main {
    static func main() {
        do {
            var command = try MagpieBench.parseAsRoot()
            try command.run()
        } catch let error as UsageError {
            Terminal.error("magpie-bench: \(error)")
            exit(2)
        } catch let error as EngineError {
            Terminal.error("magpie-bench: \(error)")
            exit(1)
        } catch {
            let code = MagpieBench.exitCode(for: error)
            if code == .success {
                Terminal.out(MagpieBench.fullMessage(for: error))
                exit(0)
            }
            Terminal.error(MagpieBench.fullMessage(for: error))
            exit(code == .failure ? 1 : 2)
        }
    }
}

/// The two streams of a terminal.
enum Terminal {
    /// A line on standard error.
    static func error(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    /// A line on standard output.
    static func out(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    /// True when people look at standard error.
    static var isWatched: Bool { isatty(STDERR_FILENO) == 1 }

    /// Replaces the current line of standard error.
    static func status(_ text: String) { write("\r\u{1B}[K" + text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = ArraySlice(Array(text.utf8))
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // Nobody listens any more.
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// A wish that cannot be fulfilled as it was put.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
