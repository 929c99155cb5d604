import Foundation
import Glibc

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
    /// Runs it to its end.
    ///
    /// - Throws: ``EngineError`` with its last words when it fails.
    static func run(
        _ command: [String], log: String, _ hear: (DriverRecord) throws -> Void
    ) throws {
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
        defer { if process.isRunning { process.terminate() } }
        var rest = Data()
        let decoder = JSONDecoder()
        while true {
            let data = pipe.fileHandleForReading.availableData
            if data.isEmpty { break }
            rest += data
            guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            for line in rest[..<end].split(separator: UInt8(ascii: "\n")) {
                guard let record = try? decoder.decode(DriverRecord.self, from: line) else {
                    throw EngineError(
                        "a driver said: \(String(decoding: line.prefix(200), as: UTF8.self))")
                }
                try hear(record)
            }
            rest = Data(rest[(end + 1)...])
        }
        process.waitUntilExit()
        if process.terminationStatus != 0 {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            let words = text.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw EngineError("\(command.joined(separator: " ").prefix(120)) failed: \(words)")
        }
    }

    /// Runs this process, and those that it starts, on one processor from now on. Glibc has the
    /// function, its Swift module has not.
    static func pin(to processor: Int) throws {
        typealias Function = @convention(c) (Int32, Int, UnsafeRawPointer) -> Int32
        guard let symbol = dlsym(nil, "sched_setaffinity") else { return }
        var set = [UInt8](repeating: 0, count: 128)
        if processor >= 0, processor / 8 < set.count {
            set[processor / 8] = 1 << UInt8(processor % 8)
        }
        guard unsafeBitCast(symbol, to: Function.self)(0, set.count, set) == 0 else {
            throw UsageError("processor \(processor) cannot be used")
        }
    }
}
