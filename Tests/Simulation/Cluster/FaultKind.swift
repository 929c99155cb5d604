/// What the world does to a cluster. A run draws which of these it does at all, and how often.
package enum FaultKind: Int, Sendable, CaseIterable {
    case kill, powerCut, powerCutAll, powerCutInside, gracefulStop, pause
    case isolate, split, oneWay, mask, clog, slowLink, reset
    case clockJump, clockDrift
    case diskStall, diskSlow, syncFails, writeFails, readFails, diskFull
    case bitFlip, wipe
    case clientReset
    case mapChange

    /// Needs others to talk to.
    var needsPeers: Bool {
        switch self {
        case .isolate, .split, .oneWay, .mask, .clog, .slowLink, .reset, .bitFlip, .wipe,
            .mapChange:
            true
        default: false
        }
    }

    /// Takes something away that was durable: at most one node at a time may suffer it, and only
    /// while the others are whole.
    var destroysData: Bool {
        switch self {
        case .bitFlip, .wipe: true
        default: false
        }
    }

    /// How often it comes when it comes at all, against the others.
    var weight: UInt64 {
        switch self {
        case .kill, .powerCut, .isolate, .mask, .pause: 4
        case .powerCutAll, .wipe, .bitFlip: 1
        default: 2
        }
    }
}
