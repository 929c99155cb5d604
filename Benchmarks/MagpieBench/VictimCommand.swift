import ArgumentParser
import Glibc

/// `magpie-bench storage-victim`: loads messages into a store and waits to be killed.
struct VictimCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage-victim",
        abstract: "Load messages and wait to be killed: a part of the workload restart.",
        shouldDisplay: false)

    @Option var engine: String
    @Option var data: String
    @Option var messages: Int
    @Option var conversations: Int
    @Option var seed: UInt64

    func run() throws {
        guard let kind = EngineKind(rawValue: engine) else {
            throw UsageError("no engine '\(engine)'")
        }
        var job = VictimJob(command: self)
        try kind.run(&job)
    }
}

/// The command's work on its engine.
private struct VictimJob: EngineJob {
    let command: VictimCommand

    mutating func perform<Engine: StorageEngine>(
        _ kind: EngineKind, open: @escaping (EngineSetup) throws -> Engine
    ) throws {
        let engine = try open(EngineSetup(directory: command.data, layout: .chat))
        let chat = ChatRun(
            engine: engine, name: kind.rawValue, directory: command.data,
            scale: .victim(conversations: command.conversations),
            bodies: try MessageBodies(corpus: nil, seed: command.seed), seed: command.seed)
        try chat.load(command.messages)
        Terminal.out(Victim.readyLine)
        // It is killed, or left alone by a benchmark that ended otherwise.
        let parent = getppid()
        while getppid() == parent { Pause.seconds(1) }
    }
}
