import ChatModel

/// Record numbers in the order they became dirty: a ring that gives its memory back.
struct DirtyList {
    private var numbers: [UInt32] = []
    private var head = 0

    var count: Int { numbers.count - head }

    mutating func append(_ number: UInt32) { numbers.append(number) }

    mutating func popFirst() -> UInt32? {
        guard head < numbers.count else { return nil }
        defer {
            head += 1
            if head == numbers.count {
                numbers = []
                head = 0
            } else if head >= 4_096, head * 2 >= numbers.count {
                numbers.removeFirst(head)
                head = 0
            }
        }
        return numbers[head]
    }
}

extension PresenceTable {
    /// Users whose last seen waits to be written.
    package var dirtyCount: Int { dirty.count }

    /// The last seen times that have waited longest. Each is the newest of its user.
    ///
    /// The caller writes them and then calls ``acknowledge(_:)`` or ``putBack(_:)``.
    package mutating func takeDirty(max: Int) -> [LastSeenRow] {
        var rows: [LastSeenRow] = []
        while rows.count < max, let number = dirty.popFirst() {
            users[number].isDirty = false
            rows.append(LastSeenRow(user: users[number].id, atMs: users[number].seenMs))
        }
        return rows
    }

    /// The rows are in the store. An absent user's record is dropped, unless it changed since.
    package mutating func acknowledge(_ rows: [LastSeenRow]) {
        for row in rows {
            guard let number = find(row.user) else { continue }
            let user = users[number]
            guard !user.isDirty, user.lease == Self.none, user.seenMs == row.atMs else { continue }
            index.remove(row.user) { users[$0].id }
            users.release(number)
        }
    }

    /// The rows could not be written: they wait again.
    package mutating func putBack(_ rows: [LastSeenRow]) {
        for row in rows {
            guard let number = find(row.user), !users[number].isDirty else { continue }
            users[number].isDirty = true
            dirty.append(number)
        }
    }
}
