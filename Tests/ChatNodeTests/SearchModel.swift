import Bytes
import ChatModel
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// A search in two forms: the text that is typed, and what a message must be like.
struct Asked {
    /// A message with its words.
    struct Candidate {
        let entry: Entry
        let words: [String]
        let content: MessageContent
        var hasLink: Bool { content.text.contains("https://") }
    }

    var query = SearchQuery(text: "")
    var words: [String] = []
    var tests: [(Candidate) -> Bool] = []
    /// Of several senders or conversations in the text one is enough.
    var senders: [UserID] = []
    var places: [ConversationID] = []

    func matches(_ entry: Entry) -> Bool {
        guard case .message(let message) = entry.body, !message.isErased else { return false }
        let words = message.content.text.split { !$0.isLetter && !$0.isNumber }.map(String.init)
        let candidate = Candidate(entry: entry, words: words, content: message.content)
        return tests.allSatisfy { $0(candidate) }
            && (senders.isEmpty || senders.contains(entry.from))
            && (places.isEmpty || places.contains(entry.conversation))
    }
}

/// Users, conversations and random searches over a node, and what each search must find: by
/// reading every page that the asker may read.
final class SearchModel {
    static let names = ["ann", "bob", "cleo", "dan", "eve"]
    let world: SimulatedNode
    let seed: UInt64
    var random: SplitMix64
    private(set) var users: [Identity] = []
    /// With the users who ever were members.
    private(set) var conversations: [(id: ConversationID, title: String, members: Set<Int>)] = []
    private var cid: UInt64 = 10_000
    /// Answers that the index cannot be read, of which there may be some after its files were
    /// harmed.
    var unreadable = 0
    var searches = 0
    var found = 0

    init(seed: UInt64, _ configure: @escaping (inout NodeConfiguration) -> Void = { _ in }) throws {
        self.seed = seed
        random = SplitMix64(seed: seed)
        world = SimulatedNode(seed: seed)
        world.configure = {
            $0.dataShards = 3
            // Every other seed commits often.
            if seed % 2 == 0 { $0.searchTailEventsMax = 12 }
            configure(&$0)
        }
        try #require(world.boot(), "seed \(seed): \(world.startFailure ?? "")")
        users = Self.names.compactMap { world.register($0) }
        try #require(users.count == Self.names.count, "seed \(seed)")
        for (title, members) in [("Cats", [0, 1, 2]), ("dogs", [1, 2, 3]), ("mice", [2, 0])] {
            found(title, members)
        }
        for (one, other) in [(0, 1), (2, 3)] { open(one, other) }
        try #require(conversations.count == 5, "seed \(seed)")
    }

    func number(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }

    private var nextID: ClientMessageID {
        cid += 1
        return ClientMessageID(high: 0x8000, low: cid)
    }

    private func found(_ title: String, _ members: [Int]) {
        let answer = world.change(
            .createGroup(members: members.map { users[$0].user }, title: title, cid: nextID),
            by: users[members[0]])
        guard case .success(.conversation(let id, _)) = answer else { return }
        conversations.append((id, title, Set(members)))
    }

    private func open(_ one: Int, _ other: Int) {
        let answer = world.change(.createDirect(peer: users[other].user), by: users[one])
        guard case .success(.conversation(let id, _)) = answer else { return }
        conversations.append((id, "", [one, other]))
    }

    // MARK: What users do

    /// Words that share beginnings; common ones come often.
    func word() -> String {
        let rank = min(number(60), number(60), number(60))
        return ["al", "alb", "ca", "car", "do", "dot"][rank % 6] + String(rank / 6, radix: 36)
    }

    /// A word that stands in one conversation alone.
    static func canary(_ place: Int) -> String { "canary\(place)x" }

    private func content(_ place: Int) -> MessageContent {
        var words = (0..<(1 + number(8))).map { _ in word() }
        if number(4) == 0 { words.append(Self.canary(place)) }
        if number(8) == 0 { words.append("https://example.org/\(word())") }
        var content = MessageContent(text: words.joined(separator: " "))
        if number(8) == 0 { content.mentions = [users[number(users.count)].user] }
        return content
    }

    /// The tree makes a cut, as when its memtable is full.
    func cut() {
        if world.node?.store.cut() == true { world.node?.touches.noteCut() }
    }

    /// One random change; refusals are part of life.
    func change() {
        let place = number(conversations.count)
        let (conversation, title, members) = conversations[place]
        let user = users[number(users.count)]
        let target = UInt64(1 + number(40))
        switch number(12) {
        case 0...6:
            let request = ChangeRequest.send(
                .conversation(conversation), cid: nextID, content: content(place))
            _ = world.change(request, by: users[members.sorted()[number(members.count)]])
        case 7, 8:
            let request = ChangeRequest.edit(
                conversation, target: target, cid: nextID, content: content(place))
            for user in users { _ = world.change(request, by: user) }
        case 9:
            let request = ChangeRequest.erase(conversation, target: target, cid: nextID)
            _ = world.change(request, by: user)
        case 10 where !title.isEmpty:
            let other = number(users.count)
            let isIn = number(2) == 0
            let request = ChangeRequest.changeMember(
                conversation, user: users[other].user, role: isIn ? .member : nil)
            let answer = world.change(request, by: user)
            if isIn, case .success(.done) = answer { conversations[place].members.insert(other) }
        default: world.pass(.milliseconds(number(400)))
        }
    }

    // MARK: What they search

    private func item(_ asked: inout Asked) {
        let one = word()
        let other = word()
        switch number(9) {
        case 0...2:
            asked.words.append(one)
            asked.tests.append { $0.words.contains(one) }
        case 3:
            asked.words.append("\"\(one) \(other)\"")
            asked.tests.append { candidate in
                zip(candidate.words, candidate.words.dropFirst()).contains {
                    $0 == one && $1 == other
                }
            }
        case 4:
            asked.words.append("-\(one)")
            asked.tests.append { !$0.words.contains(one) }
        case 5:
            asked.words.append("\(one) OR \(other)")
            asked.tests.append { $0.words.contains(one) || $0.words.contains(other) }
        case 6:
            let place = number(users.count)
            asked.words.append("from:\(number(2) == 0 ? "@" : "")\(Self.names[place])")
            asked.senders.append(users[place].user)
        case 7:
            let (id, title, _) = conversations[number(conversations.count)]
            asked.words.append("in:" + (title.isEmpty ? "\(id)" : title.uppercased()))
            asked.places.append(id)
        default:
            let isLink = number(2) == 0
            asked.words.append(isLink ? "has:link" : "has:mention")
            asked.tests.append { candidate in
                isLink ? candidate.hasLink : !candidate.content.mentions.isEmpty
            }
        }
    }

    /// A random search; its last word may be the beginning of one.
    func search() -> Asked {
        var asked = Asked()
        for _ in 0..<(1 + number(3)) { item(&asked) }
        var end = " "
        if number(3) == 0 {
            let prefix = String(word().prefix(2))
            asked.words.append(prefix)
            asked.tests.append { $0.words.contains { $0.hasPrefix(prefix) } }
            end = ""
        }
        asked.query.text = asked.words.joined(separator: " ") + end
        let nowMs = world.clock.wallMilliseconds()
        if number(6) == 0 {
            let moment = nowMs - UInt64(number(20_000))
            asked.query.beforeMs = moment
            asked.tests.append { $0.entry.atMs < moment }
        }
        if number(6) == 0 {
            let moment = nowMs - UInt64(number(20_000))
            asked.query.afterMs = moment
            asked.tests.append { $0.entry.atMs > moment }
        }
        if number(6) == 0 {
            let user = users[number(users.count)].user
            asked.query.from = user
            asked.tests.append { $0.entry.from == user }
        }
        if number(8) == 0 { asked.query.has = [.link] }
        if asked.query.has == [.link] {
            asked.tests.append { $0.hasLink }
        }
        if number(5) == 0 {
            let id = conversations[number(conversations.count)].id
            asked.query.conversation = id
            asked.tests.append { $0.entry.conversation == id }
        }
        if number(3) == 0 { asked.query.sort = .relevance }
        asked.query.limit = 1 + number(number(2) == 0 ? 6 : 100)
        return asked
    }

    /// All entries that a user may read now.
    func readable(by user: Identity) -> [Entry] {
        conversations.flatMap { world.entries($0.id, for: user) }
    }

    static func isNewer(_ left: Entry, _ right: Entry) -> Bool {
        if left.atMs != right.atMs { return left.atMs > right.atMs }
        if left.conversation != right.conversation { return left.conversation < right.conversation }
        return left.seq > right.seq
    }
}

// Asking, and comparing.
extension SearchModel {
    /// The answer once no index is being built; nil for a refusal.
    func ask(_ query: SearchQuery, _ user: Identity) -> SearchView? {
        for _ in 0..<600 {
            let answer = world.call { $0.search(query, for: user, answer: $1) }
            switch answer {
            case .success(let view):
                if !view.isIndexing { return view }
            case .failure(let error) where error.code == .notFound: return nil
            case .failure(let error)
            where error.code == .unavailable && error.detail.contains("cannot be read"):
                unreadable += 1
            default:
                Issue.record("seed \(seed): \(query.text): \(String(describing: answer))")
                return nil
            }
            world.pass(.milliseconds(500))
        }
        Issue.record("seed \(seed): the index is never whole")
        return nil
    }

    /// A random search by a random user finds what a look at every page finds, part by part. The
    /// newest first also when messages come between the parts.
    func compare(_ comment: String = "") {
        let asked = search()
        let user = users[number(users.count)]
        let expected = readable(by: user).filter(asked.matches)
        let mayRead =
            asked.query.conversation.map { !world.entries($0, for: user).isEmpty } ?? true
        var query = asked.query
        var hits: [SearchHitView] = []
        var parts = 0
        repeat {
            guard let view = ask(query, user) else {
                #expect(!mayRead, "seed \(seed), \(comment): \(asked.query)")
                return
            }
            #expect(!view.isPartial, "seed \(seed), \(comment): \(asked.query)")
            hits += view.hits
            let known = query.cursor == nil ? 0 : hits.count - view.hits.count
            #expect(
                view.atLeast >= view.hits.count && known + view.atLeast <= expected.count,
                "seed \(seed), \(comment): \(asked.query)")
            query.cursor = view.cursor
            parts += 1
            if view.cursor != nil, asked.query.sort == .newest, asked.query.beforeMs == nil,
                number(4) == 0
            {
                world.pass(.milliseconds(2))
                sendSame(asked)
            }
        } while query.cursor != nil && parts < expected.count + 2
        let entries = hits.map(\.entry)
        if asked.query.sort == .newest {
            #expect(
                entries == expected.sorted(by: Self.isNewer),
                "seed \(seed), \(comment): \(asked.query)")
        } else {
            #expect(
                entries.sorted(by: Self.isNewer) == expected.sorted(by: Self.isNewer),
                "seed \(seed), \(comment): \(asked.query)")
        }
        searches += 1
        found += hits.count
    }

    /// A message of some words of a search.
    private func sendSame(_ asked: Asked) {
        let (conversation, _, members) = conversations[number(conversations.count)]
        let words = asked.words.filter { $0.allSatisfy { $0.isLetter || $0.isNumber } }
        let request = ChangeRequest.send(
            .conversation(conversation), cid: nextID,
            content: .init(text: (words + [word()]).joined(separator: " ")))
        _ = world.change(request, by: users[members.sorted()[number(members.count)]])
    }

    /// Nobody finds, counts or sees the canary of a conversation that they never were in.
    func compareCanaries(_ comment: String = "") {
        for (place, conversation) in conversations.enumerated() {
            for (number, user) in users.enumerated() where !conversation.members.contains(number) {
                let canary = Self.canary(place)
                for text in [
                    canary, String(canary.dropLast()), "\"\(canary)\"", "in:\(conversation.id)",
                ] {
                    for sort in SearchSort.allCases {
                        let view = ask(SearchQuery(text: text, sort: sort), user)
                        #expect(
                            view?.hits.isEmpty == true && view?.atLeast == 0
                                && view?.cursor == nil,
                            "seed \(seed), \(comment): \(text) by \(number)")
                    }
                }
            }
        }
    }
}
