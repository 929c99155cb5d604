import ArgumentParser
import Foundation

/// `magpie-load chat`.
struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Groups of users who write at a fixed rate; prints latencies and losses.",
        discussion: """
            The load is open: a message is due at its time whether or not the server keeps up, and
            latencies count from that time, so a server that stalls can't hide it. `sent` is until
            the sender's answer, `deliver` until another member has the entry.

            Examples:
              magpie-load chat --url http://127.0.0.1:8080
              magpie-load chat --url http://127.0.0.1:8080 --users 500 --conversations 200 \\
                --rate 1000 --seconds 60 --encoding proto --json
            """)

    @OptionGroup var server: ServerOptions

    @Option(help: "Users, each with a socket.")
    var users = 50

    @Option(help: "Groups.")
    var conversations = 20

    @Option(help: "Members of a group.")
    var members = 5

    @Option(help: "Messages a second, over all groups.")
    var rate = 100

    @Option(help: "How long messages fall due.")
    var seconds = 10

    @Option(help: "Bytes of a message's text.")
    var textBytes = 100

    @Option(help: "Chooses members, senders and groups.")
    var seed: UInt64 = 1

    @Option(help: "Names the users of the run: 1 to 12 of a-z, 0-9 and -.")
    var tag = "chat"

    @Option(help: "Sign-ups at once.")
    var signUps = 8

    @Option(help: ArgumentHelp("Wait so long for what is missing.", valueName: "SECONDS"))
    var giveUp = 30

    @Flag(help: "Print the result as a JSON line.")
    var json = false

    mutating func validate() throws {
        for (name, value) in [
            ("--conversations", conversations), ("--rate", rate), ("--seconds", seconds),
            ("--text-bytes", textBytes), ("--sign-ups", signUps), ("--give-up", giveUp),
        ] where value < 1 {
            throw ValidationError("\(name): at least 1")
        }
        guard users >= 2 else { throw ValidationError("--users: at least 2") }
        guard (2...1_000).contains(members), members <= users else {
            throw ValidationError("--members: 2 to 1,000, and not more than --users")
        }
        guard rate * seconds <= 10_000_000 else {
            throw ValidationError("--rate times --seconds: at most 10,000,000 messages")
        }
        guard textBytes <= 16_384 else { throw ValidationError("--text-bytes: at most 16384") }
        let isGood = tag.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
        }
        guard isGood, (1...12).contains(tag.utf8.count) else {
            throw ValidationError("--tag: 1 to 12 of a-z, 0-9 and -")
        }
    }

    mutating func run() async throws {
        let context = LoadContext(server, giveUpSeconds: giveUp, httpConnections: 16)
        let plan = ChatLoad.Plan(
            users: users, conversations: conversations, members: members, rate: rate,
            seconds: seconds, textBytes: textBytes, seed: seed)
        let names = Names(tag: tag)
        let accounts = try await Accounts(
            (0..<users).map { names.username("\($0)") }, password: names.password,
            parallelism: signUps, context)
        let load = try await ChatLoad(plan, accounts, context)
        let result = try await load.run()
        Terminal.out(json ? result.jsonLine : result.text)
        if result.unanswered + result.undelivered + result.refused > 0 {
            throw LoadFailure(
                """
                \(result.refused) refused, \(result.unanswered) unanswered, \
                \(result.undelivered) deliveries missing
                """)
        }
    }
}
