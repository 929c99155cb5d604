import Bytes
import Foundation
import LSMTree
import Platform

/// What was done and seen, for the lines at the end.
struct TortureCounts {
    var kills = 0
    var killsInRecovery = 0
    var acknowledged: UInt64 = 0
    var reads = 0
    var checkpoints = 0
    var halfCheckpoints = 0
    var flipsRight = 0
    var flipsRefused = 0
    var flipsInTail = 0
    var fullDisks = 0

    /// In the form that `Tools/trust` adds up; what did not happen is left out.
    var lines: [String] {
        let all: [(UInt64, String)] = [
            (UInt64(kills), "kill -9s survived on a real disk"),
            (UInt64(killsInRecovery), "of them while the store was opened"),
            (acknowledged, "batches kept through kill -9s"),
            (UInt64(reads), "whole stores read back and compared"),
            (UInt64(checkpoints), "checkpoints opened beside a store that is killed"),
            (UInt64(halfCheckpoints), "checkpoints that a kill cut short"),
            (UInt64(flipsRight), "flipped bits on a real disk: right data"),
            (UInt64(flipsRefused), "flipped bits on a real disk: refused, with the place"),
            (UInt64(flipsInTail), "flipped bits on a real disk: in the unmarked end of the log"),
            (UInt64(fullDisks), "full disks survived"),
        ]
        return all.filter { $0.0 > 0 }.map { "trust: \($0.0) \($0.1)" }
    }
}

/// Kills a store again and again, and compares what is left with what was promised.
final class Torture {
    let options: TortureOptions
    /// Where the store, checkpoints and copies are.
    let directory: String
    let disk: FullDisk?
    let workload: Workload
    let clock = LinuxClock()
    var oracle: Oracle
    var counts = TortureCounts()
    var generator: SplitMix64
    /// The life under way, from 1 on.
    var life: UInt64 = 0
    /// Workers started so far: each has a number that no other had, to know its own entries by.
    private var workers: UInt64 = 0
    /// How long a start took lately, from the first word to the rows.
    var openNanoseconds: UInt64 = 20_000_000
    /// The rows of the checkpoint that may be on the disk.
    var checkpointRows: RowModel?

    init(_ options: TortureOptions, directory: String, disk: FullDisk?) {
        self.options = options
        self.directory = directory
        self.disk = disk
        workload = Workload(seed: options.seed)
        let workload = workload
        oracle = Oracle { workload.batch($0) }
        generator = SplitMix64(seed: options.seed)
    }

    var storeDirectory: String { directory + "/store" }
    var checkpointDirectory: String { directory + "/checkpoint" }

    /// Lives and dies as often as asked for; what broke, or nil.
    func run(_ progress: (String) -> Void) throws -> String? {
        let began = clock.monotonicNanoseconds()
        while counts.kills < options.kills {
            life += 1
            try disk?.squeeze(&generator)
            if let problem = try liveOnce() { return problem }
            if let problem = try lookAtCheckpoint() { return problem }
            for _ in 0..<options.flipsPerLife {
                if let problem = try flipOnce() { return problem }
            }
            progress(line(since: began))
        }
        // The last life's end is judged too.
        try disk?.release()
        life += 1
        return try look(storeDirectory)
    }

    private func line(since began: UInt64) -> String {
        let spent = Double(clock.monotonicNanoseconds() - began) / 1e9
        let left =
            counts.kills == 0
            ? 0 : spent / Double(counts.kills) * Double(options.kills - counts.kills)
        return "\(counts.kills) of \(options.kills) kills, \(counts.acknowledged) batches kept, "
            + "\(Int(left)) s remaining"
    }

    /// Arguments that every worker gets.
    func arguments(_ directory: String, sizes: UInt64) -> [String] {
        workers += 1
        let lie = options.lie.map { ["--tell", $0.rawValue] } ?? []
        return [
            "worker", "--store", directory, "--workload", "\(options.seed)", "--life", "\(workers)",
            "--sizes", "\(sizes)",
        ] + lie
    }

    func start(_ arguments: [String]) throws -> Child {
        try Child(arguments, errors: directory + "/worker.log")
    }

    /// Opens the store in `directory` and judges all of it; what is wrong, or nil.
    func look(_ directory: String) throws -> String? {
        let view = try view(arguments(directory, sizes: generator.next()))
        if let problem = view.problem { return problem }
        guard let rows = view.rows else { return "the store showed nothing: \(view.end)" }
        return judge(rows)
    }

    /// Judges the rows of the store and takes them as what happened.
    func judge(_ rows: RowModel) -> String? {
        counts.reads += 1
        switch oracle.judge(rows) {
        case .prefix(let count):
            oracle.adopt(count)
            return nil
        case .lost(let count): return "\(count) acknowledged batches are lost"
        case .wrong(let what): return what
        }
    }

    // MARK: Workers that show and end

    /// What a worker that writes nothing had to say.
    struct View {
        var rows: RowModel?
        var refusal: String?
        var problem: String?
        var end: Child.End
    }

    /// Runs a worker that shows a store and ends.
    func view(_ arguments: [String]) throws -> View {
        let child = try start(arguments)
        var gathered = Gathered()
        var view = View(end: .status(0))
        loop: while true {
            switch try child.next(until: clock.monotonicNanoseconds() + Self.patience) {
            case .closed: break loop
            case .late:
                if child.isStopped { continue loop }
                child.kill()
                view.problem = "a worker said nothing for 10 minutes"
                break loop
            case .message(.rows(let place, let keyspace, let rows)):
                gathered.add(place, keyspace, rows)
            case .message(.shown(let place)): view.rows = gathered.take(place)
            case .message(.problem(let text)): view.problem = text
            case .message(.refused(let text)): view.refusal = text
            case .message: break
            }
        }
        view.end = child.wait()
        if case .signal(let signal) = view.end, view.problem == nil {
            view.problem = "the worker died of signal \(signal)"
        }
        return view
    }

    /// What a worker may be silent for before it counts as hanging.
    static let patience: UInt64 = 600_000_000_000
}

/// Rows on their way from a worker.
struct Gathered {
    private var models: [Message.Place: RowModel] = [:]

    mutating func add(
        _ place: Message.Place, _ keyspace: UInt8, _ rows: [(key: [UInt8], value: [UInt8])]
    ) {
        for row in rows {
            models[place, default: RowModel()].rows[Int(keyspace) - 1][row.key] = row.value
        }
    }

    mutating func take(_ place: Message.Place) -> RowModel {
        models.removeValue(forKey: place) ?? RowModel()
    }
}
