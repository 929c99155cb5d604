import Bytes
package import ChatModel
package import LSMTree

/// Where every row of the service lies.
///
/// Each key starts with a slot (u16, big endian) and 16 bytes: the partition. So a partition is one
/// prefix of 18 bytes, a slot one range, and a shard a set of ranges.
///
/// ```text
/// keyspace       partition      then                              value (RowFormat)
/// entries      1 conversation   seq u64                           an entry (EntryCodec)
/// conversations2 conversation   0                                 head
///                               1, user 16                        member
///                               2, user 16                        marks
/// accounts     3 user           0                                 profile
///                               1                                 credential bytes
///                               2, device 16                      device
/// feeds        4 user           0                                 feed head
///                               1, conversation 16                feed row
///                               2, position u64, conversation 16  nothing (index)
///                               3, conversation 16                nothing (large conversations)
/// dedup        5 conversation   user 16, cid 16                   dedup, expiring
/// media        6 blob           0                                 blob record
///                conversation   1, blob 16, seq u64               nothing (who may attach it)
/// presence     7 user           0                                 last seen
/// work         8 conversation   kind u8                           change: all members
///                               kind u8, user 16                  change: this user
/// meta         9 0x4000+shard, 16 zero bytes, 0                   last stamp of the shard
///                0x4000, 16 zero bytes, 1                         the cluster's map
/// ```
///
/// Slots end at 0x3FFF; 0x4000 + shard holds what belongs to a shard as a whole. Integers are big
/// endian.
package enum KeySchema {
    /// Every keyspace with what a tree must know, ascending by number.
    package static let all: [KeyspaceOptions] = [
        KeyspaceOptions(
            .entries, name: "entries", filterPrefixLength: partitionBytes, isNumbered: true),
        KeyspaceOptions(
            .conversations, name: "conversations", filterPrefixLength: partitionBytes,
            isPointRead: true),
        KeyspaceOptions(
            .accounts, name: "accounts", filterPrefixLength: partitionBytes, isPointRead: true),
        KeyspaceOptions(.feeds, name: "feeds", filterPrefixLength: partitionBytes),
        KeyspaceOptions(.dedup, name: "dedup", isExpiring: true, isPointRead: true),
        KeyspaceOptions(
            .media, name: "media", filterPrefixLength: partitionBytes, isPointRead: true),
        KeyspaceOptions(.presence, name: "presence", isPointRead: true),
        KeyspaceOptions(.work, name: "work"),
        KeyspaceOptions(.meta, name: "meta"),
    ]

    /// Bytes of a key that name its partition.
    package static let partitionBytes = 18

    static func partition<Kind>(_ id: Identifier<Kind>, capacity: Int = 43) -> OrderedKey {
        var key = OrderedKey(capacity: capacity)
        key.append(id.slot.rawValue)
        key.append(id.high)
        key.append(id.low)
        return key
    }

    private static func key<Kind>(_ id: Identifier<Kind>, _ field: UInt8) -> [UInt8] {
        var key = partition(id, capacity: 19)
        key.append(field)
        return key.bytes
    }

    private static func key<Kind, Other>(
        _ id: Identifier<Kind>, _ field: UInt8, _ other: Identifier<Other>
    ) -> [UInt8] {
        var key = partition(id)
        key.append(field)
        key.append(other.high)
        key.append(other.low)
        return key.bytes
    }

    /// `entries`: one entry.
    package static func entry(_ conversation: ConversationID, _ seq: EntrySequence) -> [UInt8] {
        var key = partition(conversation, capacity: 26)
        key.append(seq)
        return key.bytes
    }

    static func head(_ conversation: ConversationID) -> [UInt8] { key(conversation, 0) }
    static func member(_ conversation: ConversationID, _ user: UserID) -> [UInt8] {
        key(conversation, 1, user)
    }
    static func members(_ conversation: ConversationID) -> [UInt8] { key(conversation, 1) }
    static func marks(_ conversation: ConversationID, _ user: UserID) -> [UInt8] {
        key(conversation, 2, user)
    }

    static func profile(_ user: UserID) -> [UInt8] { key(user, 0) }
    static func credential(_ user: UserID) -> [UInt8] { key(user, 1) }
    static func device(_ user: UserID, _ device: DeviceID) -> [UInt8] { key(user, 2, device) }
    static func devices(_ user: UserID) -> [UInt8] { key(user, 2) }

    static func feedHead(_ user: UserID) -> [UInt8] { key(user, 0) }
    static func feed(_ user: UserID, _ conversation: ConversationID) -> [UInt8] {
        key(user, 1, conversation)
    }
    static func feedIndex(_ user: UserID) -> [UInt8] { key(user, 2) }
    static func feedIndex(_ user: UserID, from position: FeedPosition) -> [UInt8] {
        var key = partition(user)
        key.append(UInt8(2))
        key.append(position)
        return key.bytes
    }
    static func feedIndex(
        _ user: UserID, _ position: FeedPosition, _ conversation: ConversationID
    ) -> [UInt8] {
        feedIndex(user, from: position) + conversation.bytes
    }

    static func largeIndex(_ user: UserID) -> [UInt8] { key(user, 3) }
    static func largeIndex(_ user: UserID, _ conversation: ConversationID) -> [UInt8] {
        key(user, 3, conversation)
    }

    static func dedup(_ conversation: ConversationID, _ author: Author) -> [UInt8] {
        var key = partition(conversation, capacity: 50)
        key.append(author.user.high)
        key.append(author.user.low)
        key.append(author.cid.high)
        key.append(author.cid.low)
        return key.bytes
    }

    static func blob(_ blob: BlobID) -> [UInt8] { key(blob, 0) }
    static func shown(_ conversation: ConversationID, _ blob: BlobID) -> [UInt8] {
        key(conversation, 1, blob)
    }
    static func shown(
        _ conversation: ConversationID, _ blob: BlobID, at seq: EntrySequence
    ) -> [UInt8] {
        var key = OrderedKey(capacity: 43)
        key.append(raw: shown(conversation, blob))
        key.append(seq)
        return key.bytes
    }

    static func lastSeen(_ user: UserID) -> [UInt8] { key(user, 0) }

    static func work(_ conversation: ConversationID, _ kind: WorkKind) -> [UInt8] {
        key(conversation, kind.rawValue)
    }
    static func work(
        _ conversation: ConversationID, _ kind: WorkKind, _ user: UserID
    ) -> [UInt8] {
        key(conversation, kind.rawValue, user)
    }

    static func stamp(shard: UInt16) -> [UInt8] { own(shard, field: 0) }

    /// The cluster's map, in the meta shard.
    static var clusterMap: [UInt8] { own(0, field: 1) }

    private static func own(_ shard: UInt16, field: UInt8) -> [UInt8] {
        var key = OrderedKey(capacity: 19)
        key.append(shardSlot(shard))
        key.append(UInt64(0))
        key.append(UInt64(0))
        key.append(field)
        return key.bytes
    }

    private static func shardSlot(_ shard: UInt16) -> UInt16 {
        precondition(shard < 0xBFFF, "a shard's number must leave room above the slots")
        return UInt16(Slot.count) + shard
    }

    /// The bounds of the rows of slots `first…last`, in every keyspace.
    package static func bounds(slots: ClosedRange<Slot>) -> (lower: [UInt8], upper: [UInt8]) {
        bounds(slots.lowerBound.rawValue...slots.upperBound.rawValue)
    }

    /// The bounds of what belongs to a shard as a whole: its last stamp.
    package static func bounds(shard: UInt16) -> (lower: [UInt8], upper: [UInt8]) {
        bounds(shardSlot(shard)...shardSlot(shard))
    }

    private static func bounds(_ range: ClosedRange<UInt16>) -> (lower: [UInt8], upper: [UInt8]) {
        var lower = OrderedKey(capacity: 2)
        lower.append(range.lowerBound)
        var upper = OrderedKey(capacity: 2)
        upper.append(range.upperBound + 1)
        return (lower.bytes, upper.bytes)
    }
}

extension Keyspace {
    /// The conversations' logs.
    package static let entries = Keyspace(rawValue: 1)
    /// Heads, members, marks.
    package static let conversations = Keyspace(rawValue: 2)
    /// Profiles, credentials, devices.
    package static let accounts = Keyspace(rawValue: 3)
    /// What changed for each user.
    package static let feeds = Keyspace(rawValue: 4)
    /// Which client message ids became which seq.
    package static let dedup = Keyspace(rawValue: 5)
    /// Uploads, and where they were shown.
    package static let media = Keyspace(rawValue: 6)
    /// When users were last seen.
    package static let presence = Keyspace(rawValue: 7)
    /// Dirty marks of work that crosses partitions.
    package static let work = Keyspace(rawValue: 8)
    /// What belongs to shards as a whole.
    package static let meta = Keyspace(rawValue: 9)
}
