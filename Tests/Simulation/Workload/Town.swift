import ChatModel
import Session

/// Who lives in a simulated world and where they talk; made before the faults begin.
struct Town: Sendable {
    /// A conversation.
    struct Room: Sendable {
        let id: ConversationID
        let kind: ConversationKind
        let founders: [UserID]
        /// Never put out: their reads are checked in full.
        let residents: [UserID]
        /// Goes and comes.
        let guest: UserID?
    }

    /// A signed-in device.
    struct Device: Sendable {
        let identity: Identity
        let token: String
    }

    var people: [UserID] = []
    var devices: [Device] = []
    var rooms: [Room] = []

    /// The rooms that a user founded or was in from the start.
    func rooms(of user: UserID) -> [Room] {
        rooms.filter { $0.founders.contains(user) }
    }
}

/// Builds the town by calls to the cluster, one after another, each repeated until it succeeds.
// Confined to the thread that steps the scheduler.
final class TownBuilder: @unchecked Sendable {
    private enum Step {
        case register(Int)
        case signIn(Int)
        case direct(Int, Int)
        case group(members: [Int], number: Int)
    }

    private let world: SimulatedWorld
    private var steps: [Step] = []
    private(set) var town = Town()
    private(set) var isDone = false
    private static let password = "a good password"

    init(world: SimulatedWorld) {
        self.world = world
        let people = world.options.users
        steps = (0..<people).map { .register($0) }
        for device in 0..<world.options.extraDevices { steps.append(.signIn(device % people)) }
        for person in 0..<people where person + 1 < people || people > 2 {
            steps.append(.direct(person, (person + 1) % people))
        }
        for number in 0..<world.options.groups {
            var members = Array(0..<people)
            while members.count > 3, world.isDrawn(2) {
                members.remove(at: 1 + world.draw(members.count - 1))
            }
            steps.append(.group(members: members, number: number))
        }
    }

    func start() { next() }

    private func next() {
        guard let step = steps.first else {
            isDone = true
            return
        }
        guard let member = world.pick(world.serving) else { return again() }
        switch step {
        case .register(let person): register(person, member)
        case .signIn(let person): signIn(person, member)
        case .direct(let one, let other): direct(one, other, member)
        case .group(let members, let number): group(members, number, member)
        }
    }

    private func again() {
        world.later(ms: 200) { [self] in next() }
    }

    private func done() {
        steps.removeFirst()
        next()
    }

    private func register(_ person: Int, _ member: SimulatedMember) {
        let request = Registration(
            username: "person\(person)", password: Self.password, displayName: nil,
            deviceName: "first")
        world.call(member) { node, answer in
            node.register(request, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<SignedIn>) in
            switch outcome {
            case .answer(.success(let signedIn)): add(signedIn, isNew: true)
            case .answer(.failure(let error)) where error.code == .conflict:
                // An earlier try had succeeded though its answer was lost.
                signIn(person, member, isNew: true)
            default: again()
            }
        }
    }

    private func signIn(_ person: Int, _ member: SimulatedMember, isNew: Bool = false) {
        let request = SignInRequest(
            username: "person\(person)", password: Self.password, deviceName: "another",
            address: "10.0.0.\(person)")
        world.call(member) { node, answer in
            node.signIn(request, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<SignedIn>) in
            guard case .answer(.success(let signedIn)) = outcome else { return again() }
            add(signedIn, isNew: isNew)
        }
    }

    private func add(_ signedIn: SignedIn, isNew: Bool) {
        if isNew { town.people.append(signedIn.user.id) }
        let identity = Identity(
            user: signedIn.user.id, device: signedIn.device, expiresAtMs: signedIn.expiresAtMs)
        town.devices.append(Town.Device(identity: identity, token: signedIn.token))
        done()
    }

    private func direct(_ one: Int, _ other: Int, _ member: SimulatedMember) {
        let users = [town.people[one], town.people[other]]
        create(.createDirect(peer: users[1]), by: one, member) { id in
            Town.Room(id: id, kind: .direct, founders: users, residents: users, guest: nil)
        }
    }

    private func group(_ members: [Int], _ number: Int, _ member: SimulatedMember) {
        let users = members.map { town.people[$0] }
        let request = ChangeRequest.createGroup(
            members: users, title: "group \(number)",
            cid: ClientMessageID(high: 0x8000 | UInt64(number) << 20, low: world.options.seed))
        let guest = users.count > 2 ? users.last : nil
        create(request, by: members[0], member) { id in
            Town.Room(
                id: id, kind: .group, founders: users, residents: users.filter { $0 != guest },
                guest: guest)
        }
    }

    private func create(
        _ request: ChangeRequest, by person: Int, _ member: SimulatedMember,
        room: @escaping @Sendable (ConversationID) -> Town.Room
    ) {
        let identity = town.devices[person].identity
        world.call(member) { node, answer in
            node.submit(request, by: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<CommandResult>) in
            guard case .answer(.success(.conversation(let id, _))) = outcome else {
                return again()
            }
            town.rooms.append(room(id))
            done()
        }
    }
}
