import ChatEngine
import ChatModel
import Testing

@Suite struct AccountTests {
    let user = Make.user(1)

    private func account(_ credential: [UInt8] = [1], name: String = "anna") -> NewAccount {
        NewAccount(
            user: user, name: name, displayName: "Anna", credential: credential,
            device: Make.device(1), deviceName: "phone")
    }

    @Test("A taken name is a conflict; the same request again is done")
    func create() throws {
        var world = World()
        #expect(try world.run(.createAccount(account())) == .done)
        let before = world.rows
        #expect(try world.run(.createAccount(account())) == .done)
        #expect(try world.run(.createAccount(account([2]))).code == .conflict)
        #expect(world.rows == before)
        let view = UserView(id: user, username: "anna", displayName: "Anna", avatar: "")
        #expect(try world.ask.user(user) == view)
        #expect(try world.ask.credential(user) == [1])
        #expect(try world.ask.device(user, Make.device(1))?.name == "phone")
        #expect(try world.ask.user(Make.user(2)) == nil)
    }

    @Test("The 65th device revokes the oldest; a known device only takes its new name")
    func devices() throws {
        var world = World()
        try world.run(.createAccount(account()))
        for number in 2...64 as ClosedRange<UInt64> {
            world.nowMs += 1
            try world.run(.openDevice(user: user, device: Make.device(number), name: "d"))
        }
        let opened = try #require(try world.ask.device(user, Make.device(2))).createdAtMs
        try world.run(.openDevice(user: user, device: Make.device(2), name: "new"))
        #expect(world.events.isEmpty)
        #expect(try world.ask.device(user, Make.device(2))?.createdAtMs == opened)
        try world.run(.openDevice(user: user, device: Make.device(65), name: "d"))
        guard case .deviceRevoked(user, Make.device(1))? = world.events.first else { throw Stop() }
        #expect(try world.ask.devices(user).count == 64)
        #expect(try world.ask.device(user, Make.device(1)) == nil)
        let revoke = Command.revokeDevice(user: user, device: Make.device(2))
        #expect(try world.run(revoke) == .done && world.events.count == 1)
        #expect(try world.run(revoke).code == .notFound)
        let stranger = Command.openDevice(user: Make.user(2), device: Make.device(1), name: "")
        #expect(try world.run(stranger).code == .notFound)
    }

    @Test("A profile change keeps what it does not name; empty clears")
    func profile() throws {
        var world = World()
        try world.run(.createAccount(account()))
        try world.run(
            .updateProfile(user: user, change: ProfileChange(avatar: "a", credential: [7])))
        #expect(try world.ask.user(user)?.avatar == "a")
        #expect(try world.ask.user(user)?.displayName == "Anna")
        #expect(try world.ask.credential(user) == [7])
        try world.run(
            .updateProfile(user: user, change: ProfileChange(displayName: "", avatar: "")))
        #expect(try world.ask.user(user)?.avatar == "")
        #expect(try world.ask.user(user)?.displayName == "")
        let long = ProfileChange(displayName: String(repeating: "x", count: 257))
        #expect(try world.run(.updateProfile(user: user, change: long)).code == .invalidArgument)
    }

    @Test("Last seen never goes back nor into the future, and may be hidden")
    func lastSeen() throws {
        var world = World()
        try world.run(.createAccount(account()))
        #expect(try world.ask.lastSeen(user, asker: Make.user(2)) == nil)
        for (at, seen) in [(500, 500), (400, 500), (.max, 1_000_000)] as [(UInt64, UInt64)] {
            try world.run(.setLastSeen(user: user, atMs: at))
            #expect(try world.ask.lastSeen(user, asker: Make.user(2)) == seen)
        }
        try world.run(.updateProfile(user: user, change: ProfileChange(isLastSeenVisible: false)))
        #expect(try world.ask.lastSeen(user, asker: Make.user(2)) == nil)
        #expect(try world.ask.lastSeen(user, asker: user) == 1_000_000)
    }

    @Test("A blob is registered once; its uploader and those who are shown it may attach it")
    func blobs() throws {
        var world = World()
        let users = Make.users(4)
        let record = BlobRecord(
            blob: Make.blob(1), contentHash: [1, 2], uploader: users[0], type: "image/png", size: 3)
        #expect(try world.run(.registerBlob(record)) == .done)
        #expect(try world.run(.registerBlob(record)) == .done)
        var other = record
        other.size = 4
        #expect(try world.run(.registerBlob(other)).code == .conflict)
        #expect(try world.ask.blob(record.blob) == record)
        let group = try world.group(Array(users[..<2]))
        try world.workOff()
        #expect(try !world.ask.mayAttach(users[1], record.blob))
        try world.send(
            "see", by: users[0], to: group, media: [MediaReference(blob: record.blob, name: "a")])
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[2]], role: .member))
        try world.workOff()
        #expect(try world.ask.mayAttach(users[0], record.blob))
        #expect(try world.ask.mayAttach(users[1], record.blob))
        #expect(try !world.ask.mayAttach(users[2], record.blob), "it was shown below the floor")
        #expect(try !world.ask.mayAttach(users[3], record.blob))
    }
}
