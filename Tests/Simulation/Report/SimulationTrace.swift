import Bytes
import Synchronization

/// What can happen in a simulated world, as the trace knows it.
package enum TraceKind: UInt8, Sendable {
    case frame, frameLost, frameOverflow, frameStale, frameReplayed, connected, disconnected
    case refused, cut, healed, clogged, slowLink, boot, ready, stopped, killed, powerCut, paused
    case resumed, clockJump, drift, diskStall, diskSlow, diskFault, diskFull, diskRoom, bitFlip
    case wiped, role, applied, installed, clientOpen, clientLive, clientLost, invoked, acknowledged
    case refusedRequest, unknownOutcome, delivered, gap, listed, page, marked, phase
    case searched

    /// What a reader of the trace sees; the values follow it.
    var label: String {
        switch self {
        case .frameLost: "frame lost"
        case .frameOverflow: "queue full, frame dropped"
        case .frameStale: "frame of an old channel arrives"
        case .frameReplayed: "frame arrives again"
        case .slowLink: "link slow"
        case .powerCut: "power cut"
        case .clockJump: "wall clock jumps"
        case .diskStall: "disk stalls"
        case .diskSlow: "disk slow"
        case .diskFault: "disk error planned"
        case .diskFull: "disk full"
        case .diskRoom: "disk has room again"
        case .bitFlip: "bit flipped"
        case .gap: "gap announced"
        case .listed: "conversation listed"
        case .clientOpen: "client connects"
        case .clientLive: "client is live"
        case .clientLost: "client lost its socket"
        case .refusedRequest: "request refused"
        case .unknownOutcome: "outcome unknown"
        default: "\(self)"
        }
    }

    /// What the values mean, in order.
    var names: [String] {
        switch self {
        case .frame, .frameLost, .frameOverflow, .frameStale, .frameReplayed:
            ["from", "to", "bytes", "hash"]
        case .connected, .disconnected, .refused, .cut, .healed, .clogged, .slowLink:
            ["from", "to", "ms"]
        case .boot, .ready, .stopped, .killed, .powerCut, .paused, .resumed, .clockJump, .drift,
            .diskStall, .diskSlow, .diskFault, .diskFull, .diskRoom, .bitFlip, .wiped:
            ["node", "value", "value"]
        case .role: ["node", "shard", "role", "term"]
        case .applied: ["node", "shard", "index", "hash"]
        case .installed: ["node", "shard", "index", "hash"]
        case .clientOpen, .clientLive, .clientLost: ["client", "node"]
        case .invoked, .acknowledged, .refusedRequest, .unknownOutcome:
            ["client", "node", "request", "seq"]
        case .delivered, .gap: ["client", "conversation", "seq"]
        case .listed: ["client", "conversation", "head", "floor"]
        case .page: ["client", "node", "conversation", "last"]
        case .marked: ["client", "conversation", "read"]
        case .searched: ["client", "node", "hits", "flags"]
        case .phase: ["number"]
        }
    }

    /// Many a second: kept apart, so that they don't push the rest out of the trace.
    var isFrequent: Bool {
        switch self {
        case .frame, .applied, .delivered, .gap, .listed: true
        default: false
        }
    }
}

/// What happened in a run: a hash over everything, and the last events for people.
///
/// Two runs of a seed must have the same hash: whatever the world did not draw from the seed (the
/// order of a dictionary, a clock of the host) shows up as a difference.
package final class SimulationTrace: Sendable {
    private struct Event {
        let order: UInt64
        let nanoseconds: UInt64
        let kind: TraceKind?
        let values: (UInt64, UInt64, UInt64, UInt64)
        let text: String
    }

    private struct State {
        var hash: UInt64 = 0
        var count: UInt64 = 0
        var rings: [[Event]] = [[], []]
        var heads = [0, 0]
    }

    private let clock: SimulatedClock
    private let capacity: Int
    private let state = Mutex(State())

    /// An empty trace that keeps the last `capacity` events.
    package init(clock: SimulatedClock, capacity: Int = 400) {
        self.clock = clock
        self.capacity = capacity
    }

    /// Notes an event; its values are as ``TraceKind`` says.
    package func note(
        _ kind: TraceKind, _ first: UInt64 = 0, _ second: UInt64 = 0, _ third: UInt64 = 0,
        _ fourth: UInt64 = 0
    ) {
        let now = clock.monotonicNanoseconds()
        state.withLock { state in
            var hash = SplitMix64.mix(state.hash ^ UInt64(kind.rawValue) ^ now &<< 8)
            hash = SplitMix64.mix(hash ^ first &* 31 ^ second)
            state.hash = SplitMix64.mix(hash ^ third &* 31 ^ fourth)
            let event = Event(
                order: state.count, nanoseconds: now, kind: kind,
                values: (first, second, third, fourth), text: "")
            Self.keep(event, in: kind.isFrequent ? 1 : 0, capacity, &state)
        }
    }

    /// Notes a line for people; rare.
    package func note(_ text: String) {
        let now = clock.monotonicNanoseconds()
        state.withLock { state in
            state.hash = Checksum.xxh3(Array(text.utf8), seed: state.hash ^ now)
            let event = Event(
                order: state.count, nanoseconds: now, kind: nil, values: (0, 0, 0, 0), text: text)
            Self.keep(event, in: 0, capacity, &state)
        }
    }

    /// The hash of everything so far.
    package var hash: UInt64 { state.withLock { $0.hash } }

    /// Events so far.
    package var count: UInt64 { state.withLock { $0.count } }

    /// The last events, oldest first, one a line; the frequent ones only when asked for.
    package func lines(isVerbose: Bool) -> [String] {
        let events = state.withLock { isVerbose ? $0.rings[0] + $0.rings[1] : $0.rings[0] }
        return events.sorted { $0.order < $1.order }.map(Self.line)
    }

    private static func keep(
        _ event: Event, in ring: Int, _ capacity: Int, _ state: inout State
    ) {
        state.count += 1
        if state.rings[ring].count < capacity {
            state.rings[ring].append(event)
            return
        }
        state.rings[ring][state.heads[ring]] = event
        state.heads[ring] = (state.heads[ring] + 1) % capacity
    }

    private static func line(_ event: Event) -> String {
        let micros = event.nanoseconds / 1_000
        let fraction = String(micros % 1_000_000 + 1_000_000).dropFirst()
        let time = "\(micros / 1_000_000).\(fraction)"
        let padding = String(repeating: " ", count: max(0, 11 - time.count))
        guard let kind = event.kind else { return padding + time + "  " + event.text }
        let values = [event.values.0, event.values.1, event.values.2, event.values.3]
        let shown = zip(kind.names, values).map { name, value in
            name == "hash" ? "\(name) \(Hex.encode(bigEndian(value)))" : "\(name) \(value)"
        }
        return "\(padding)\(time)  \(kind.label): \(shown.joined(separator: ", "))"
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) }
    }
}
