import ChatModel
import MagpieClient
import Synchronization
import WireProtocol

/// The users of a run, signed in.
final class Accounts: Sendable {
    /// One user.
    struct Account: Sendable {
        let username: String
        var id: UserID
        var token: String
    }

    private let accounts: Mutex<[Account]>
    private let password: String
    private let context: LoadContext

    /// Registers every name, or signs it in when it is taken, `parallelism` at a time: a server
    /// spends real work on each password.
    init(
        _ usernames: [String], password: String, parallelism: Int, _ context: LoadContext
    ) async throws {
        self.password = password
        self.context = context
        let progress = ProgressLine("users", total: usernames.count, context)
        let all = try await Parallel.map(usernames, parallelism: parallelism) { username in
            let answer = try await Self.enter(username, password, context)
            progress.advance()
            return Account(
                username: username, id: answer.session.user.id, token: answer.session.token)
        }
        progress.finish()
        accounts = Mutex(all)
    }

    /// One user as it is now.
    subscript(index: Int) -> Account { accounts.withLock { $0[index] } }

    /// All users.
    var all: [Account] { accounts.withLock { $0 } }

    /// A fresh token, when the old one is refused.
    func signInAgain(_ index: Int) async throws {
        let username = self[index].username
        let body = SessionBody(username: username, password: password, deviceName: "magpie-load")
        let answer = try await context.persist { try await $0.signIn(body) }
        accounts.withLock { $0[index].token = answer.session.token }
    }

    private static func enter(
        _ username: String, _ password: String, _ context: LoadContext
    ) async throws -> SignedInAnswer {
        do {
            return try await context.persist { api in
                try await api.register(
                    AccountBody(
                        username: username, password: password, displayName: nil,
                        deviceName: "magpie-load"))
            }
        } catch let error as ServiceError where error.code == .conflict {
            do {
                return try await context.persist { api in
                    try await api.signIn(
                        SessionBody(
                            username: username, password: password, deviceName: "magpie-load"))
                }
            } catch let error as ServiceError where error.code == .unauthenticated {
                throw LoadFailure("user \(username) exists with another password (--tag)")
            }
        }
    }
}

/// Bounded parallelism over a list.
enum Parallel {
    /// Runs `body` on every item, at most `parallelism` at once; results in the items' order. The
    /// first failure ends it.
    static func map<Item: Sendable, Value: Sendable>(
        _ items: [Item], parallelism: Int,
        _ body: @escaping @Sendable (Item) async throws -> Value
    ) async throws -> [Value] {
        try await withThrowingTaskGroup(of: (Int, Value).self) { group in
            var results = [Value?](repeating: nil, count: items.count)
            var next = 0
            func add() {
                guard next < items.count else { return }
                let index = next
                next += 1
                group.addTask { (index, try await body(items[index])) }
            }
            for _ in 0..<max(1, parallelism) { add() }
            while let (index, value) = try await group.next() {
                results[index] = value
                add()
            }
            return results.compactMap { $0 }
        }
    }
}
