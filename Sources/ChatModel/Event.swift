/// What applying a command made known. Events are hints for those who listen now; the rows are the
/// truth.
package enum Event: Sendable {
    /// A new entry, for everyone who may read it.
    case entry(Entry, audience: Audience)
    /// A member's marks moved. Without an audience only the member's own sockets hear of it.
    case mark(
        conversation: ConversationID, user: UserID, delivered: EntrySequence, read: EntrySequence,
        audience: Audience?)
    /// A user's feed has a new position.
    case feed(
        user: UserID, position: FeedPosition, conversation: ConversationID, head: EntrySequence,
        m: MessageNumber, leftSeq: EntrySequence?)
    /// A conversation has cross-partition work up to `change`.
    case work(conversation: ConversationID, kind: WorkKind, change: UInt64)
    /// A device is signed out: its sockets close and its tokens end.
    case deviceRevoked(user: UserID, device: DeviceID)
    /// The cluster has another map.
    case map(ClusterMap)
}

/// Who hears of an entry: an immutable list that all its events share by reference.
package final class Audience: Sendable {
    /// Ascending, without repeats.
    package let members: [UserID]

    /// An audience.
    ///
    /// - Precondition: `members` ascend strictly.
    package init(ascending members: [UserID]) {
        assert(zip(members, members.dropFirst()).allSatisfy(<), "an audience must ascend")
        self.members = members
    }

    /// Whether `user` hears; by binary search.
    package func contains(_ user: UserID) -> Bool {
        let index = position(of: user)
        return index < members.count && members[index] == user
    }

    /// The audience with others added.
    package func adding(_ users: [UserID]) -> Audience {
        let sorted = users.sorted()
        var merged: [UserID] = []
        merged.reserveCapacity(members.count + sorted.count)
        var index = 0
        for user in sorted where merged.last != user {
            while index < members.count, members[index] < user {
                merged.append(members[index])
                index += 1
            }
            if index < members.count, members[index] == user { index += 1 }
            merged.append(user)
        }
        merged.append(contentsOf: members[index...])
        return Audience(ascending: merged)
    }

    /// The audience without `user`.
    package func removing(_ user: UserID) -> Audience {
        let index = position(of: user)
        guard index < members.count, members[index] == user else { return self }
        var rest = members
        rest.remove(at: index)
        return Audience(ascending: rest)
    }

    private func position(of user: UserID) -> Int {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if members[middle] < user { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
