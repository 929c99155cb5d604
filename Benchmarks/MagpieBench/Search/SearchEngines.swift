import Foundation
import Glibc
import Platform

/// Search engines of the comparison, in the order of the columns.
enum SearchEngineKind: String, CaseIterable, Codable, Sendable {
    case magpie
    case tantivy
    case fts5
    case xapian

    /// About how many times as long as Magpie it takes for everything.
    var weight: Double {
        switch self {
        case .magpie: 1
        case .tantivy: 2
        case .fts5: 12
        case .xapian: 12
        }
    }

    static func parse(_ names: String) throws(UsageError) -> [SearchEngineKind] {
        var kinds: [SearchEngineKind] = []
        for name in names.split(separator: ",") {
            guard let kind = SearchEngineKind(rawValue: String(name)) else {
                let all = allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("no search engine '\(name)'; there are \(all)")
            }
            kinds.append(kind)
        }
        if kinds.isEmpty { throw UsageError("no engines") }
        return kinds
    }

    /// Program and first arguments of its driver.
    func command(drivers: String, environment: String) -> [String] {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        let system = "/usr/bin/python3"
        switch self {
        case .magpie: return [own, "search-magpie"]
        case .tantivy:
            let python = "\(environment)/bin/python3"
            let isThere = FileManager.default.isExecutableFile(atPath: python)
            return [isThere ? python : system, "\(drivers)/tantivy_driver.py"]
        case .fts5: return [system, "\(drivers)/fts5_driver.py"]
        case .xapian: return [system, "\(drivers)/xapian_driver.py"]
        }
    }
}

/// A driver as a process of its own whose records are read while it runs.
enum DriverProcess {
    /// Runs it to its end, or until it has taken too long: then it is ended.
    ///
    /// - Returns: false when it took too long.
    /// - Throws: ``EngineError`` with its last words when it fails.
    static func run(
        _ command: [String], log: String, seconds: Int, _ hear: (DriverRecord) throws -> Void
    ) throws -> Bool {
        guard FileManager.default.createFile(atPath: log, contents: nil),
            let errors = FileHandle(forWritingAtPath: log)
        else { throw EngineError("\(log) cannot be written") }
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = errors
        try process.run()
        defer { if process.isRunning { end(process) } }
        var rest = Data()
        let decoder = JSONDecoder()
        let deadline = Meter.now() &+ UInt64(seconds) * 1_000_000_000
        while true {
            guard isReadable(pipe.fileHandleForReading.fileDescriptor, until: deadline) else {
                end(process)
                return false
            }
            let data = pipe.fileHandleForReading.availableData
            if data.isEmpty { break }
            rest += data
            guard let last = rest.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            for line in rest[..<last].split(separator: UInt8(ascii: "\n")) {
                guard let record = try? decoder.decode(DriverRecord.self, from: line) else {
                    throw EngineError(
                        "a driver said: \(String(decoding: line.prefix(200), as: UTF8.self))")
                }
                try hear(record)
            }
            rest = Data(rest[(last + 1)...])
        }
        // Whoever has nothing to say any more ends soon.
        while process.isRunning {
            if Meter.now() >= deadline {
                end(process)
                return false
            }
            _ = Latch(1).wait(.milliseconds(5))
        }
        if process.terminationStatus != 0 {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            let words = text.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw EngineError("\(command.joined(separator: " ").prefix(120)) failed: \(words)")
        }
        return true
    }

    /// A polite signal may be blocked: a child has the mask of the thread that started it.
    private static func end(_ process: Process) {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Waits until something can be read; false when it is too late.
    private static func isReadable(_ descriptor: Int32, until end: UInt64) -> Bool {
        while true {
            let now = Meter.now()
            if now >= end { return false }
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let milliseconds = min((end - now) / 1_000_000 + 1, 1_000)
            if poll(&wanted, 1, Int32(milliseconds)) > 0 { return true }
        }
    }

    /// Runs this thread, and what it starts, on one processor from now on.
    static func pin(to processor: Int) throws {
        guard setAffinity({ $0 == processor }) else {
            throw UsageError("processor \(processor) cannot be used")
        }
    }

    /// Runs this thread on the other processors from now on, if there are any.
    static func leave(_ processor: Int) {
        if !setAffinity({ $0 != processor }) { _ = setAffinity { _ in true } }
    }

    /// The one on which this thread runs.
    static var processor: Int {
        typealias Function = @convention(c) () -> Int32
        guard let symbol = dlsym(nil, "sched_getcpu") else { return 0 }
        return Int(unsafeBitCast(symbol, to: Function.self)())
    }

    /// Glibc has these functions, its Swift module has not.
    private static func setAffinity(_ isWanted: (Int) -> Bool) -> Bool {
        typealias Function = @convention(c) (Int32, Int, UnsafeRawPointer) -> Int32
        guard let symbol = dlsym(nil, "sched_setaffinity") else { return true }
        var set = [UInt8](repeating: 0, count: 128)
        for processor in 0..<(set.count * 8) where isWanted(processor) {
            set[processor / 8] |= 1 << UInt8(processor % 8)
        }
        return unsafeBitCast(symbol, to: Function.self)(0, set.count, set) == 0
    }
}
