import Foundation
import Glibc
import Platform

/// A server of the comparison as a process of its own.
final class ServerProcess {
    private let process = Process()
    private let log: String

    /// Starts it; what it says goes to `log`.
    init(_ path: String, _ arguments: [String], log: String, environment: [String: String] = [:])
        throws
    {
        self.log = log
        guard FileManager.default.createFile(atPath: log, contents: nil),
            let output = FileHandle(forWritingAtPath: log)
        else { throw EngineError("\(log) cannot be written") }
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    var identifier: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }

    /// The last line that it said.
    var lastWords: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
    }

    /// Whether its log holds a line.
    func hasSaid(_ line: String) -> Bool {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").contains { $0 == line }
    }

    /// SIGTERM, and SIGKILL when that does not help within 20 seconds.
    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        for _ in 0..<400 where process.isRunning { Pause.milliseconds(50) }
        if process.isRunning { kill(identifier, SIGKILL) }
        process.waitUntilExit()
    }
}

/// Waiting, on the command's own thread.
enum Pause {
    static func milliseconds(_ count: Int) { _ = Latch(1).wait(.milliseconds(count)) }

    static func seconds(_ count: Double) { _ = Latch(1).wait(.milliseconds(Int64(count * 1_000))) }

    /// Asks until `condition` holds; false after `seconds`.
    static func until(_ seconds: Int, _ condition: () throws -> Bool) rethrows -> Bool {
        let end = Meter.now() &+ UInt64(seconds) * 1_000_000_000
        while Meter.now() < end {
            if try condition() { return true }
            milliseconds(50)
        }
        return false
    }
}

/// What a cluster's processes and the disk have used so far.
struct ServerMeter {
    /// Seconds of processor of all servers, with children that ended.
    var cpuSeconds = 0.0
    /// Seconds of processor of this process: the load generator.
    var clientCPUSeconds = 0.0
    /// Bytes and flushes that the device took, from the whole machine.
    var deviceBytes: UInt64 = 0
    var deviceFlushes: UInt64 = 0
    var residentBytes: UInt64 = 0
    /// Seconds of processor of the whole machine.
    var machineCPUSeconds = 0.0

    init(servers: [Int32], directory: String) {
        for server in servers {
            cpuSeconds += Self.cpuSeconds(of: server)
            residentBytes += Self.residentBytes(of: server)
        }
        clientCPUSeconds = Meter.cpuSeconds()
        machineCPUSeconds = Self.machineCPUSeconds
        let fields = Self.deviceFields(directory)
        // Documentation/block/stat.txt: sectors written, flushes done.
        if fields.count > 6 { deviceBytes = fields[6] * 512 }
        if fields.count > 15 { deviceFlushes = fields[15] }
    }

    /// Seconds of processor of everybody but the servers and this process.
    var othersCPUSeconds: Double { machineCPUSeconds - cpuSeconds - clientCPUSeconds }

    private static func cpuSeconds(of process: Int32) -> Double {
        // What follows the name, which may hold blanks.
        guard let text = contents("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
            return 0
        }
        let fields = text[end...].split(separator: " ").dropFirst()
        // proc(5): utime, stime, cutime, cstime are fields 14 to 17; the state was field 3.
        let ticks = fields.dropFirst(11).prefix(4).compactMap { Double($0) }.reduce(0, +)
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static var machineCPUSeconds: Double {
        let line = contents("/proc/stat")?.split(separator: "\n").first ?? ""
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        guard ticks.count == 8 else { return 0 }
        let busy = ticks.reduce(0, +) - ticks[3] - ticks[4]
        return busy / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func residentBytes(of process: Int32) -> UInt64 {
        let pages = contents("/proc/\(process)/statm")?.split(separator: " ").dropFirst().first
        return (pages.flatMap { UInt64($0) } ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func deviceFields(_ directory: String) -> [UInt64] {
        var status = stat()
        guard lstat(directory, &status) == 0 else { return [] }
        let (major, minor) = ((status.st_dev >> 8) & 0xfff, status.st_dev & 0xff)
        let text = contents("/sys/dev/block/\(major):\(minor)/stat") ?? ""
        return text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
    }

    private static func contents(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The load average of the last minute.
    static var loadAverage: Double {
        contents("/proc/loadavg")?.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }
}
