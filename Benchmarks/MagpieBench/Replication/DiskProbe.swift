import ArgumentParser
import Foundation
import Platform

/// How many syncs a second this disk gives to several processes at once: the bound of every engine
/// that syncs. Each appends 300 bytes to a file that was filled before, then fdatasync.
enum DiskProbe {
    private static let fileBytes = 8 << 20

    /// Syncs a second of each of `count` processes that run at the same time.
    static func perform(processes count: Int, directory: String, seconds: Double) throws -> [Double]
    {
        var running: [(Process, Pipe)] = []
        for number in 0..<count {
            let (process, pipe) = (Process(), Pipe())
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe")
                .resolvingSymlinksInPath()
            process.arguments = [
                "disk-probe", "--file", "\(directory)/probe-\(number)-of-\(count)", "--seconds",
                "\(seconds)",
            ]
            process.standardOutput = pipe
            try process.run()
            running.append((process, pipe))
        }
        return try running.map { process, pipe in
            let text = String(
                decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            guard let rate = Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw EngineError("the probe of the disk failed in \(directory)")
            }
            return rate
        }
    }

    /// One process's part: syncs a second.
    static func sync(file path: String, seconds: Double) throws -> Double {
        let file = try LinuxFileSystem().open(path, .create)
        defer { file.close() }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: fileBytes, by: zeros.count) {
            try file.write(zeros, at: UInt64(offset))
        }
        try file.sync()
        let record = [UInt8](repeating: 0x5A, count: Bodies.bytes)
        let start = Meter.now()
        let end = start &+ UInt64(seconds * 1e9)
        var (count, offset, now) = (0, 0, start)
        while now < end {
            if offset + record.count > fileBytes { offset = 0 }
            try file.write(record, at: UInt64(offset))
            try file.sync()
            offset += record.count
            count += 1
            now = Meter.now()
        }
        return Double(count) / (Double(now &- start) / 1e9)
    }
}

/// What `replication` starts three times at once, to see what the disk gives.
struct DiskProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk-probe", abstract: "Sync one file as fast as the disk allows.",
        shouldDisplay: false)

    @Option(help: "The file; overwritten.")
    var file: String

    @Option(help: "How long.")
    var seconds: Double

    func run() throws {
        Terminal.out("\(try DiskProbe.sync(file: file, seconds: seconds))")
    }
}
