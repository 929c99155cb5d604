import ArgumentParser
import Bytes
import Foundation
import Platform
import Synchronization

/// The program: `magpie-torture`.
@main
struct MagpieTorture: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie-torture",
        abstract: "Kills the storage engine with SIGKILL, over and over, on a real file system.",
        usage: "magpie-torture [OPTION…]",
        discussion: """
            A worker process opens a store as a node does and writes. This process keeps what was \
            submitted and what was acknowledged, kills the worker at a random moment, starts it \
            again, and compares all rows: they must be those of a prefix of the batches that \
            holds every acknowledged one. All choices come from the seed; the moments of the \
            kills cannot, so the same seed may die elsewhere.

            EXAMPLES
              magpie-torture                          50 kills in a temporary directory
              magpie-torture --seed 4711 --kills 2000 another world, for half an hour
              magpie-torture --directory /mnt/xfs/t   on the file system that matters
              magpie-torture --flip                   and bits flip in the stopped store
              sudo magpie-torture --full              on a disk that is full now and then

            EXIT STATUS
              0  every promise was kept
              1  one was broken: seed, life and what differs are printed, the files are kept
              2  it could not be tried
            """,
        version: "magpie-torture \(Release.version)", subcommands: [Worker.self])

    @OptionGroup var options: TortureOptions

    /// Parses, runs, and ends with the status that the discussion above promises.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as ExitCode {
            exit(withError: error)
        } catch let error where exitCode(for: error) == .success {
            exit(withError: error)
        } catch let error as TortureError {
            Console.tell("magpie-torture: \(error)")
            exit(withError: ExitCode(2))
        } catch {
            Console.tell(fullMessage(for: error))
            exit(withError: ExitCode(2))
        }
    }

    func run() throws {
        let directory = try makeDirectory()
        var disk: FullDisk?
        if options.full {
            do {
                disk = try FullDisk(at: directory)
            } catch {
                print("trust: 0 full disks survived")
                Console.tell("\(error); --full needs root. Nothing was tried.")
                return
            }
        }
        let torture = Torture(options, directory: directory, disk: disk)
        let problem: String?
        do {
            problem = try torture.run { Console.progress($0) }
        } catch {
            disk?.unmount()
            throw error
        }
        Console.endProgress()
        if let problem {
            print("FAILED  seed \(options.seed), life \(torture.life)")
            print("        \(problem)")
            print("        the files are in \(directory)")
            throw ExitCode(1)
        }
        disk?.unmount()
        if options.directory == nil { try FileManager.default.removeItem(atPath: directory) }
        for line in torture.counts.lines { print(line) }
    }

    private func makeDirectory() throws -> String {
        let files = FileManager.default
        let directory =
            options.directory
            ?? files.temporaryDirectory.path + "/magpie-torture-\(options.seed)-\(getpid())"
        do {
            try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
            guard try files.contentsOfDirectory(atPath: directory).isEmpty else {
                throw TortureError("\(directory) is not empty")
            }
        } catch let error as TortureError {
            throw error
        } catch {
            throw TortureError("\(directory): \(error.localizedDescription)")
        }
        return directory
    }
}

/// What can be asked for.
struct TortureOptions: ParsableArguments {
    @Option(help: "What everything is drawn from.")
    var seed: UInt64 = 1

    @Option(help: "How often the worker is killed.")
    var kills = 50

    @Option(help: "An empty directory, kept at the end; without it a temporary one.")
    var directory: String?

    @Flag(help: "After each life, flip one bit of one file in copies of the store.")
    var flip = false

    @Flag(help: "Run on a small file system in memory that is full now and then; needs root.")
    var full = false

    @Option(help: .hidden)
    var lie: Lie?

    var flipsPerLife: Int { flip ? 3 : 0 }

    func validate() throws {
        if kills < 1 { throw ValidationError("--kills must be at least 1") }
    }
}

/// What the terminal shows beside the result.
enum Console {
    private static let isTerminal = isatty(STDERR_FILENO) != 0
    private static let clock = LinuxClock()
    private static let lastLine = Mutex<UInt64>(clock.monotonicNanoseconds())
    /// Between lines where they stay.
    private static let lineNanoseconds: UInt64 = 60_000_000_000

    /// Replaces the progress line; where there is no terminal, a line a minute.
    static func progress(_ line: String) {
        if isTerminal { return write("\r\u{1B}[K" + line) }
        let now = clock.monotonicNanoseconds()
        let isDue = lastLine.withLock { last in
            if now < last + lineNanoseconds { return false }
            last = now
            return true
        }
        if isDue { tell(line) }
    }

    static func endProgress() {
        if isTerminal { write("\r\u{1B}[K") }
    }

    static func tell(_ line: String) {
        write(line + "\n")
    }

    private static func write(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
