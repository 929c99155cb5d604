import Foundation

/// The node processes of a cluster on one machine.
final class ClusterProcesses: @unchecked Sendable {
    // `processes` is set by `start`, before anything else is called, and not changed after.
    private let layout: ClusterLayout
    private var processes: [Process] = []

    init(_ layout: ClusterLayout) {
        self.layout = layout
    }

    /// Process ids, in the order of the nodes.
    var identifiers: [Int32] { processes.map(\.processIdentifier) }

    /// Throws when nodes of the directory run already, when others listen on a port, or when the
    /// directory holds more nodes than are to run: nothing is touched then.
    func requireNobodyElse() throws {
        for number in layout.numbers {
            if let process = holder(number) {
                throw CommandFailure(
                    "\(layout.directory(number)) is in use by process \(process): stop the cluster "
                        + "that runs there, or choose another --data")
            }
            for port in layout.ports(number) where !Self.isFree(port) {
                throw CommandFailure(
                    "port \(port) on 127.0.0.1 is in use; stop the program that has it, or choose "
                        + "another --port")
            }
        }
        let next = layout.numbers.upperBound + 1
        if FileManager.default.fileExists(atPath: layout.directory(next)) {
            throw CommandFailure(
                "\(layout.directory(next)) belongs to a cluster of more nodes than --nodes "
                    + "\(layout.nodes): start them all; to make the cluster smaller remove node "
                    + "\(next) with 'magpie admin remove-node', then its directory")
        }
    }

    /// True when nobody listens on a port of 127.0.0.1.
    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        var reuse: Int32 = 1
        setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// Starts all nodes; what they say goes to their log files.
    func start() throws {
        for number in layout.numbers {
            let path = layout.log(number)
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            guard let log = FileHandle(forWritingAtPath: path) else {
                throw CommandFailure("\(path) cannot be written")
            }
            _ = try log.seekToEnd()
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe")
                .resolvingSymlinksInPath()
            process.arguments = [
                "serve", "--config", layout.config(number), "--log-level", "notice",
            ]
            process.standardOutput = log
            process.standardError = log
            try process.run()
            processes.append(process)
        }
    }

    /// Returns once every node serves, which means that every shard has a leader.
    func waitUntilReady() async throws {
        for number in layout.numbers {
            while !(await isReady(number)) {
                try Task.checkCancellation()
                guard processes[number - 1].isRunning else {
                    throw CommandFailure(
                        "node \(number) ended before it was ready: \(lastWords(number))")
                }
                // An operator's tool looks at files and processes now and then.
                try await ContinuousClock().sleep(for: .milliseconds(50))
            }
        }
    }

    private func isReady(_ number: Int) async -> Bool {
        guard let url = URL(string: layout.url(number) + "/readyz") else { return false }
        return await Fetch.get(url)?.status == 200
    }

    private func lastWords(_ number: Int) -> String {
        let path = layout.log(number)
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").last.map(String.init) ?? "it said nothing"
        return "\(line) (\(path))"
    }

    /// Stops all nodes gracefully, those too that were started again by hand.
    func stop() async {
        for process in processes where process.isRunning { process.terminate() }
        let others = layout.numbers.compactMap(holder)
        for process in others { kill(process, SIGTERM) }
        for process in processes { process.waitUntilExit() }
        // They are nobody's children here: their locks say when they have ended.
        for _ in 0..<200 where layout.numbers.contains(where: { holder($0) != nil }) {
            try? await ContinuousClock().sleep(for: .milliseconds(50))
        }
    }

    /// The process, not one of ours, that serves from a node's directory.
    private func holder(_ number: Int) -> Int32? {
        let path = layout.directory(number) + "/LOCK"
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let process = text.split(whereSeparator: \.isWhitespace).lazy.compactMap({ Int32($0) })
                .first,
            !identifiers.contains(process), kill(process, 0) == 0,
            let line = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(process)/cmdline")),
            String(decoding: line, as: UTF8.self).contains("serve")
        else { return nil }
        return process
    }
}
