/// Says on standard error how far a run has come.
struct Progress {
    /// How long each step takes about, in any unit.
    private let weights: [Double]
    private let isQuiet: Bool
    private let start = Meter.now()
    private var done = 0

    /// Steps that take about as long as each other.
    init(steps: Int, isQuiet: Bool) {
        self.init(weights: [Double](repeating: 1, count: steps), isQuiet: isQuiet)
    }

    /// Steps of different lengths, in the order in which they come.
    init(weights: [Double], isQuiet: Bool) {
        self.weights = weights
        self.isQuiet = isQuiet
    }

    /// The next row starts.
    mutating func step(_ what: String) {
        let elapsed = Double(Meter.now() &- start) / 1e9
        let left = Self.secondsLeft(weights, done: done, elapsed: elapsed)
        done += 1
        let remaining = left.map { ", about \(Self.words($0)) left" } ?? ""
        show("[\(done)/\(weights.count)] \(what)\(remaining)")
    }

    /// Seconds for the steps from `done` on, at the pace of those before; nil before the first.
    static func secondsLeft(_ weights: [Double], done: Int, elapsed: Double) -> Double? {
        let past = weights.prefix(done).reduce(0, +)
        guard past > 0 else { return nil }
        return elapsed / past * weights.dropFirst(done).reduce(0, +)
    }

    /// Steps before `count` are over, whether they came or not.
    mutating func skip(to count: Int) { done = count }

    /// Something between rows.
    func note(_ what: String) { show("[\(done)/\(weights.count)] \(what)") }

    /// Nothing follows.
    func end() {
        if !isQuiet, Terminal.isWatched { Terminal.status("") }
    }

    private func show(_ line: String) {
        if isQuiet { return }
        if Terminal.isWatched { Terminal.status(line) } else { Terminal.error(line) }
    }

    private static func words(_ seconds: Double) -> String {
        seconds < 90 ? "\(Int(seconds)) s" : "\(Int((seconds / 60).rounded())) min"
    }
}
