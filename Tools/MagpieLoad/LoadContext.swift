import ChatModel
import Foundation
import MagpieClient
import NIOCore
import NIOPosix
import Platform
import Synchronization
import WireProtocol

/// Reads a list of servers.
enum ServerList {
    /// One address, a trailing slash allowed.
    static func address(_ url: String) -> ServerAddress? { ServerAddress(url) }

    /// All of them; the options were validated before.
    static func addresses(_ list: String) -> [ServerAddress] {
        list.split(separator: ",").compactMap { address(String($0)) }
    }
}

/// What a run shares: event loops, chance, clock, servers.
final class LoadContext: Sendable {
    let group: MultiThreadedEventLoopGroup
    let clock = LinuxClock()
    let random = SystemRandom()
    let addresses: [ServerAddress]
    let options: ClientOptions
    let encoding: WireEncoding
    let giveUpSeconds: Int
    private let clients: [APIClient]
    private let turns = Atomic<Int>(0)

    init(_ server: ServerOptions, giveUpSeconds: Int, httpConnections: Int) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        addresses = ServerList.addresses(server.url)
        var options = ClientOptions()
        options.isBinary = server.encoding == .proto
        options.backoffCap = .seconds(3)
        self.options = options
        let encoding: WireEncoding = options.isBinary ? .binary : .json
        self.encoding = encoding
        self.giveUpSeconds = giveUpSeconds
        let group = group
        clients = addresses.map { address in
            APIClient(
                HTTPClient(address, on: group.next(), connectionsMax: httpConnections), encoding)
        }
    }

    /// Milliseconds that only grow.
    func nowMs() -> UInt64 { clock.monotonicNanoseconds() / 1_000_000 }

    /// Waits on an event loop.
    func pause(milliseconds: Int64) async {
        let loop = group.next()
        try? await loop.scheduleTask(in: .milliseconds(milliseconds)) {}.futureResult.get()
    }

    /// Makes HTTP calls until one is answered for good; each try goes to the next server of the
    /// list. Errors that pass by themselves are tried again for `giveUpSeconds`.
    func persist<Value: Sendable>(
        _ call: @Sendable (APIClient) async throws -> Value
    ) async throws -> Value {
        let start = nowMs()
        var backoff = Backoff(
            base: .milliseconds(100), cap: .seconds(2), seed: random.word())
        while true {
            let turn = turns.wrappingAdd(1, ordering: .relaxed).oldValue
            do {
                return try await call(clients[(turn & Int.max) % clients.count])
            } catch let error as ServiceError {
                guard [.unavailable, .noQuorum, .rateLimited].contains(error.code) else {
                    throw error
                }
                guard nowMs() - start < UInt64(giveUpSeconds) * 1_000 else {
                    throw LoadFailure(
                        "no answer for \(giveUpSeconds) s: \(error.detail) (--give-up)")
                }
                let floor = Duration.milliseconds(Int64(clamping: error.retryAfterMs ?? 0))
                let wait = backoff.next(floor: floor)
                await pause(milliseconds: Int64(wait / .milliseconds(1)))
            }
        }
    }
}

/// Lines to the outside.
enum Terminal {
    /// To standard output.
    static func out(_ line: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }

    /// To standard error.
    static func error(_ line: String) {
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }

    /// True when a person looks at standard error.
    static var isInteractive: Bool { isatty(FileHandle.standardError.fileDescriptor) != 0 }

    /// Part of a line to standard error.
    static func status(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}

/// A line on standard error that shows how far a step is: drawn over itself for people, a line
/// every ten seconds for logs.
final class ProgressLine: Sendable {
    private struct State {
        var done = 0
        var lastDrawnMs: UInt64
        var hasDrawn = false
    }

    private let label: String
    private let total: Int
    private let context: LoadContext
    private let startMs: UInt64
    private let isInteractive = Terminal.isInteractive
    private let state: Mutex<State>

    init(_ label: String, total: Int, _ context: LoadContext) {
        self.label = label
        self.total = total
        self.context = context
        startMs = context.nowMs()
        state = Mutex(State(lastDrawnMs: startMs))
    }

    /// One more is done.
    func advance() {
        let now = context.nowMs()
        let interval: UInt64 = isInteractive ? 200 : 10_000
        let line: String? = state.withLock { state in
            state.done += 1
            guard now - state.lastDrawnMs >= interval else { return nil }
            state.lastDrawnMs = now
            state.hasDrawn = true
            return text(state.done, now)
        }
        if let line { draw(line, isLast: false) }
    }

    /// How many are done.
    var done: Int { state.withLock { $0.done } }

    /// The step is over.
    func finish() {
        let line = state.withLock { text($0.done, context.nowMs()) }
        draw(line, isLast: true)
    }

    private func text(_ done: Int, _ now: UInt64) -> String {
        let seconds = Double(max(1, now - startMs)) / 1_000
        let rate = Double(done) / seconds
        let share = total == 0 ? 100 : done * 100 / total
        var text = "\(label): \(done) of \(total) (\(share) %), \(Int(rate.rounded()))/s"
        if done < total, rate > 0 {
            text += ", \(Int(Double(total - done) / rate) + 1) s left"
        } else {
            text += ", \((seconds * 10).rounded() / 10) s"
        }
        return text
    }

    private func draw(_ line: String, isLast: Bool) {
        if isInteractive {
            Terminal.status("\r\u{1B}[K" + line + (isLast ? "\n" : ""))
        } else {
            Terminal.error(line)
        }
    }
}
