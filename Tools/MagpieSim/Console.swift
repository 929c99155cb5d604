import Foundation
import Platform
import Simulation
import Synchronization

/// What the terminal shows.
enum Console {
    private static let isTerminal = isatty(FileHandle.standardError.fileDescriptor) != 0

    /// Cores for seeds to run on.
    static var coreCount: Int { ProcessInfo.processInfo.activeProcessorCount }

    private static let clock = LinuxClock()
    private static let lastLine = Mutex<UInt64>(clock.monotonicNanoseconds())
    /// Between lines where they stay.
    private static let lineNanoseconds: UInt64 = 60_000_000_000

    /// Replaces the progress line; where there is no terminal, a line a minute.
    static func progress(_ line: String) {
        if isTerminal { return write("\r\u{1B}[K" + line, to: .standardError) }
        let now = clock.monotonicNanoseconds()
        let isDue = lastLine.withLock { last in
            if now < last + lineNanoseconds { return false }
            last = now
            return true
        }
        if isDue { write(line + "\n", to: .standardError) }
    }

    /// Leaves the progress line.
    static func endProgress() {
        if isTerminal { write("\r\u{1B}[K", to: .standardError) }
    }

    /// Says a line at once.
    static func tell(_ line: String) {
        write(line + "\n", to: .standardOutput)
    }

    private static func write(_ text: String, to handle: FileHandle) {
        try? handle.write(contentsOf: Data(text.utf8))
    }

    /// A broken promise: how to see it again, what was broken, and what came before.
    static func show(_ failure: SimulationFailure) {
        for line in failure.trace { print(line) }
        let plant = failure.plant.map { " --plant \($0.rawValue)" } ?? ""
        print("")
        print(failure.options)
        print("FAILED  seed \(failure.seed)")
        print("        \(failure.violation)")
        print("again:  magpie-sim --seed \(failure.seed)\(plant) --verbose")
    }
}
