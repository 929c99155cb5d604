import ArgumentParser
import Bytes
import ChatModel
import Foundation
import MagpieClient

/// `magpie-load replay`.
struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends the messages of a file and checks that they stand.",
        discussion: """
            FILE has a JSON line per message: {"conversation", "sender", "timeMs", "text"}. Every
            conversation becomes a group of its senders; its next message goes out when the last
            one is answered. What a broken connection left unanswered is repeated under the same
            cid, so a server that is killed and comes back loses and doubles nothing. A second run
            with the same tag changes nothing and can be verified again.

            Examples:
              magpie-load replay --file chat.jsonl --url http://127.0.0.1:8080 --verify
              magpie-load replay --file chat.jsonl --url http://127.0.0.1:8080 --map map.json
              magpie-load replay --file chat.jsonl --connections 64 --json \\
                --url http://127.0.0.1:8080,http://127.0.0.1:8081
            """)

    @Option(help: ArgumentHelp("The messages.", valueName: "FILE"))
    var file: String

    @OptionGroup var server: ServerOptions

    @Flag(help: "Read everything back and compare text, sender and order.")
    var verify = false

    @Flag(help: "Send nothing; only compare what an earlier run with the same tag sent.")
    var verifyOnly = false

    @Option(
        help: ArgumentHelp(
            "Write a JSON object: conversation of the file to conversation of the server.",
            valueName: "OUT"))
    var map: String?

    @Option(
        help: ArgumentHelp(
            "Write a JSON object: sender of the file to {id, username, password}.",
            valueName: "OUT"))
    var users: String?

    @Option(help: "Most sockets at once.")
    var connections = 256

    @Option(help: "Sign-ups at once.")
    var signUps = 8

    @Option(help: "Names the users and messages of the run; made from the file when absent.")
    var tag: String?

    @Option(help: ArgumentHelp("End when nothing is answered for so long.", valueName: "SECONDS"))
    var giveUp = 120

    @Flag(help: "Print the result as a JSON line.")
    var json = false

    mutating func validate() throws {
        guard connections >= 2 else { throw ValidationError("--connections: at least 2") }
        guard signUps >= 1 else { throw ValidationError("--sign-ups: at least 1") }
        guard giveUp >= 1 else { throw ValidationError("--give-up: at least 1") }
        if let tag {
            let isGood = tag.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
            }
            guard isGood, (1...12).contains(tag.utf8.count) else {
                throw ValidationError("--tag: 1 to 12 of a-z, 0-9 and -")
            }
        }
        guard FileManager.default.isReadableFile(atPath: file) else {
            throw ValidationError("--file: \(file) can't be read")
        }
    }

    mutating func run() async throws {
        let context = LoadContext(server, giveUpSeconds: giveUp, httpConnections: 16)
        let file = try ReplayFile(path: file)
        let names = Names(
            tag: tag ?? String(Hex.encode(hashBytes(file.contentHash)).prefix(8)))
        Terminal.error(
            """
            \(file.messageCount) messages of \(file.senders.count) senders in \
            \(file.conversations.count) conversations, tag \(names.tag)
            """)
        let accounts = try await Accounts(
            file.senders.map(names.username), password: names.password, parallelism: signUps,
            context)
        if let users { try writeUsers(users, file, names, accounts) }
        let replayer = Replayer(context, file, names, accounts)
        let groups: [ConversationID]
        do {
            groups = try await replayer.makeGroups(parallelism: 16)
        } catch let error as ServiceError {
            throw LoadFailure("a group can't be made: \(error.code.rawValue): \(error.detail)")
        }
        if let map { try writeMap(map, file, groups) }

        let start = context.nowMs()
        var duplicates = 0
        if !verifyOnly {
            duplicates = try await replayer.send(to: groups, connections: connections)
        }
        let sendMs = context.nowMs() - start
        var differences: [String] = []
        if verify || verifyOnly {
            differences = try await Verifier(
                context: context, file: file, names: names, accounts: accounts
            ).differences(groups, parallelism: 16)
        }
        for difference in differences.prefix(20) { Terminal.error("magpie-load: \(difference)") }
        try report(file, duplicates, sendMs, differences.count)
        if !differences.isEmpty {
            throw LoadFailure("\(differences.count) conversations differ")
        }
    }

    private func report(
        _ file: ReplayFile, _ duplicates: Int, _ sendMs: UInt64, _ differences: Int
    ) throws {
        let seconds = Double(max(1, sendMs)) / 1_000
        let rate = verifyOnly ? 0 : Double(file.messageCount) / seconds
        let isVerified = verify || verifyOnly
        if json {
            Terminal.out(
                """
                {"messages":\(file.messageCount),"conversations":\(file.conversations.count),\
                "users":\(file.senders.count),"duplicates":\(duplicates),"sendMs":\(sendMs),\
                "messagesPerSecond":\((rate * 10).rounded() / 10),"verified":\(isVerified),\
                "differences":\(differences)}
                """)
            return
        }
        if !verifyOnly {
            Terminal.out(
                """
                sent \(file.messageCount) messages in \((seconds * 10).rounded() / 10) s, \
                \(Int(rate.rounded()))/s; \(duplicates) stood already
                """)
        }
        if isVerified, differences == 0 {
            Terminal.out(
                """
                verified: \(file.messageCount) messages in \(file.conversations.count) \
                conversations are as sent
                """)
        }
    }

    private func writeMap(
        _ path: String, _ file: ReplayFile, _ groups: [ConversationID]
    ) throws {
        var object: [String: String] = [:]
        for (index, conversation) in file.conversations.enumerated() {
            object[conversation.name] = groups[index].description
        }
        try write(object, to: path)
    }

    private func writeUsers(
        _ path: String, _ file: ReplayFile, _ names: Names, _ accounts: Accounts
    ) throws {
        var object: [String: [String: String]] = [:]
        for (index, sender) in file.senders.enumerated() {
            let account = accounts[index]
            object[sender] = [
                "id": account.id.description, "username": account.username,
                "password": names.password,
            ]
        }
        try write(object, to: path)
    }

    private func write(_ object: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do {
            var data = try encoder.encode(object)
            data.append(0x0A)
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw LoadFailure("\(path) can't be written: \(error)")
        }
    }

    private func hashBytes(_ hash: UInt64) -> [UInt8] {
        var key = OrderedKey(capacity: 8)
        key.append(hash)
        return key.bytes
    }
}
