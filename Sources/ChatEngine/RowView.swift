import Bytes
import ChatModel
package import LSMTree

/// The rows as they stand at one moment: a snapshot of the tree, or a transaction over one.
package protocol RowView {
    /// The value of `key`, or nil.
    func get(_ keyspace: Keyspace, _ key: [UInt8]) throws -> [UInt8]?

    /// Visits the rows with `lower` ≤ key < `upper`, ascending or (`isReversed`) descending, until
    /// `body` answers false. Key and value live only during the visit.
    func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8], isReversed: Bool,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Bool
    ) throws
}

/// Rows that cannot be what the engine wrote.
package enum EngineError: Error, Equatable, Sendable {
    /// A value does not decode; `found` says where and why.
    case corruptRow(keyspace: UInt8, key: [UInt8], found: String)
    /// A row that others say exists does not.
    case missingRow(keyspace: UInt8, key: [UInt8], expected: String)
    /// The bytes of a committed command are not a command this release knows.
    case unknownCommand(index: Int, found: String)
}

extension RowView {
    /// The decoded row of `key`, or nil.
    func row<Row: StoredRow>(
        _ keyspace: Keyspace, _ key: [UInt8], _ type: Row.Type = Row.self
    ) throws -> Row? {
        guard let bytes = try get(keyspace, key) else { return nil }
        return try decode(keyspace, key) { try Row(decoding: bytes) }
    }

    /// Runs `body`, and names the row when it finds it corrupt.
    func decode<Value>(
        _ keyspace: Keyspace, _ key: [UInt8], _ body: () throws -> Value
    ) throws -> Value {
        do {
            return try body()
        } catch let error as DecodeError {
            throw EngineError.corruptRow(keyspace: keyspace.rawValue, key: key, found: "\(error)")
        }
    }

    /// Visits the rows whose keys start with `prefix`: the rest of the key, and the value.
    func scan(
        _ keyspace: Keyspace, prefix: [UInt8],
        _ body: (_ rest: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        guard let upper = OrderedKey.successor(ofPrefix: prefix) else { return }
        try scan(keyspace, from: prefix, to: upper, isReversed: false) { key, value in
            try body(UnsafeRawBufferPointer(rebasing: key[prefix.count...]), value)
        }
    }

    /// The stored entry, or nil.
    func entry(_ conversation: ConversationID, _ seq: EntrySequence) throws -> StoredEntry? {
        let key = KeySchema.entry(conversation, seq)
        guard let bytes = try get(.entries, key) else { return nil }
        return try decode(.entries, key) {
            try EntryCodec.decode(bytes, conversation: conversation, seq: seq)
        }
    }

    /// The stored entry, which other rows say exists.
    func existingEntry(
        _ conversation: ConversationID, _ seq: EntrySequence
    ) throws -> StoredEntry {
        guard let entry = try entry(conversation, seq) else {
            throw EngineError.missingRow(
                keyspace: Keyspace.entries.rawValue, key: KeySchema.entry(conversation, seq),
                expected: "an entry at or below the head")
        }
        return entry
    }

    /// The message count at an entry, which other rows say exists.
    func messageNumber(
        _ conversation: ConversationID, at seq: EntrySequence
    ) throws -> MessageNumber {
        let key = KeySchema.entry(conversation, seq)
        guard let bytes = try get(.entries, key) else {
            throw EngineError.missingRow(
                keyspace: Keyspace.entries.rawValue, key: key,
                expected: "an entry at or below the head")
        }
        return try decode(.entries, key) { try EntryCodec.messageNumber(bytes) }
    }

    func head(_ conversation: ConversationID) throws -> HeadRow? {
        try row(.conversations, KeySchema.head(conversation))
    }

    /// The row of one who is or was a member.
    func anyMember(_ conversation: ConversationID, _ user: UserID) throws -> MemberRow? {
        try row(.conversations, KeySchema.member(conversation, user))
    }

    /// The row of a present member.
    func member(_ conversation: ConversationID, _ user: UserID) throws -> MemberRow? {
        guard let row = try anyMember(conversation, user), row.left == nil else { return nil }
        return row
    }

    /// A member's marks: the stored ones, but never below what their floor spares them.
    func marks(
        _ conversation: ConversationID, _ user: UserID, _ member: MemberRow
    ) throws -> MarkRow {
        let spared = MarkRow(
            delivered: member.floor &- 1, read: member.floor &- 1, readM: member.joinedM)
        let key = KeySchema.marks(conversation, user)
        guard var row: MarkRow = try row(.conversations, key) else { return spared }
        row.delivered = max(row.delivered, spared.delivered)
        if row.read < spared.read { (row.read, row.readM) = (spared.read, spared.readM) }
        return row
    }

    /// Visits the members, past ones too, in the order of their ids, from `first` on.
    func scanMembers(
        _ conversation: ConversationID, from first: UserID? = nil,
        _ body: (UserID, MemberRow) throws -> Bool
    ) throws {
        let prefix = KeySchema.members(conversation)
        guard let upper = OrderedKey.successor(ofPrefix: prefix) else { return }
        let lower = first.map { KeySchema.member(conversation, $0) } ?? prefix
        try scan(.conversations, from: lower, to: upper, isReversed: false) { key, value in
            let whole = [UInt8](key)
            guard let user = UserID(bytes: whole.dropFirst(prefix.count)) else {
                throw EngineError.corruptRow(
                    keyspace: Keyspace.conversations.rawValue, key: whole, found: "a key's length")
            }
            let row = try decode(.conversations, whole) {
                try MemberRow(decoding: [UInt8](value))
            }
            return try body(user, row)
        }
    }

    /// The present members, ascending.
    func memberIDs(_ conversation: ConversationID) throws -> [UserID] {
        var members: [UserID] = []
        try scanMembers(conversation) { user, row in
            if row.left == nil { members.append(user) }
            return true
        }
        return members
    }
}
