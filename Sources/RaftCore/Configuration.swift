import Bytes

/// Who belongs to a group. A value: a change of membership puts another in its place, by an entry
/// of the log (``EntryKind/configuration``) whose payload is laid out so:
///
///     u8 version = 1
///     v count | v voter …        ascending
///     v count | v outgoing …     ascending; not empty: joint
///     v count | v learner …      ascending
///
/// Integers `v` are unsigned varints. **Valid**: ids are not 0 and stand once in their list; no
/// learner is among the voters; without voters nobody is outgoing; nothing follows.
///
/// **Example.** Voters 1, 2 and 4, in the place of 1, 2 and 3, with the learner 9:
///
///     01   03 01 02 04   03 01 02 03   01 09
///
/// **Joint.** Two majorities that know nothing of each other could both decide while voters are
/// exchanged. So a group passes through a configuration in which everything (commits, elections,
/// the leader's right to lead and to answer reads) takes a majority of the voters *and* one of the
/// outgoing (Raft paper, section 6).
package struct Configuration: Equatable, Sendable {
    /// The voters, ascending, each once. A replica whose configuration has none waits to be let
    /// into a group.
    package let voters: [ReplicaID]
    /// The voters of before, ascending; not empty while joint.
    package let outgoing: [ReplicaID]
    /// Those that get the log and decide nothing, ascending. One that is also outgoing still votes
    /// until the change is through.
    package let learners: [ReplicaID]
    /// All of them, ascending, each once.
    package let members: [ReplicaID]
    /// The places of the voters and of the outgoing in ``members``.
    private let voterPlaces: [Int]
    private let outgoingPlaces: [Int]

    private static let version: UInt8 = 1

    /// A configuration from lists in any order; repeated ids count once, a learner that is among
    /// the voters is a voter.
    package init(
        voters: [ReplicaID], outgoing: [ReplicaID] = [], learners: [ReplicaID] = []
    ) {
        self.voters = Self.ascending(voters)
        self.outgoing = Self.ascending(outgoing)
        self.learners = Self.ascending(learners.filter { !voters.contains($0) })
        let members = Self.ascending(voters + outgoing + learners)
        self.members = members
        voterPlaces = members.indices.filter { voters.contains(members[$0]) }
        outgoingPlaces = members.indices.filter { outgoing.contains(members[$0]) }
    }

    private static func ascending(_ list: [ReplicaID]) -> [ReplicaID] {
        var result: [ReplicaID] = []
        for id in list.sorted() where result.last != id { result.append(id) }
        return result
    }

    /// True while two majorities are needed.
    package var isJoint: Bool { !outgoing.isEmpty }

    /// True for those whose vote counts.
    package func isVoter(_ replica: ReplicaID) -> Bool {
        voters.contains(replica) || outgoing.contains(replica)
    }

    /// The place of a member in ``members``; nil for a stranger.
    package func place(of replica: ReplicaID) -> Int? {
        members.firstIndex(of: replica)
    }

    /// The configuration that follows a joint one.
    package var settled: Configuration { Configuration(voters: voters, learners: learners) }

    /// True when the members at the places that `holds` names decide.
    package func isQuorum(_ holds: (_ place: Int) -> Bool) -> Bool {
        guard !voters.isEmpty, Self.isMajority(voterPlaces, holds) else { return false }
        return outgoing.isEmpty || Self.isMajority(outgoingPlaces, holds)
    }

    private static func isMajority(_ places: [Int], _ holds: (Int) -> Bool) -> Bool {
        var count = 0
        for place in places where holds(place) { count += 1 }
        return count > places.count / 2
    }

    /// The highest index that a quorum has reached, given each member's own by its place; 0 without
    /// voters. Groups are small: counting for each candidate beats sorting, and allocates nothing.
    package func quorumIndex(_ reached: (_ place: Int) -> UInt64) -> UInt64 {
        let index = Self.majorityIndex(voterPlaces, reached)
        return outgoing.isEmpty ? index : min(index, Self.majorityIndex(outgoingPlaces, reached))
    }

    private static func majorityIndex(_ places: [Int], _ reached: (Int) -> UInt64) -> UInt64 {
        var best: UInt64 = 0
        for place in places {
            let candidate = reached(place)
            if candidate > best, isMajority(places, { reached($0) >= candidate }) {
                best = candidate
            }
        }
        return best
    }

    /// The bytes of the table above.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.version)
        for list in [voters, outgoing, learners] {
            writer.write(varint: UInt64(list.count))
            for id in list { writer.write(varint: id) }
        }
        return writer.bytes
    }

    /// The configuration that `bytes` hold; nil when they break a rule of the table above.
    package static func decode(_ bytes: [UInt8]) -> Configuration? {
        try? ByteReader.readAll(bytes) { reader in
            guard try reader.readByte() == version else {
                throw DecodeError.invalid(offset: 0, what: "version")
            }
            let voters = try readList(&reader)
            let outgoing = try readList(&reader)
            let learners = try readList(&reader)
            guard !learners.contains(where: voters.contains), outgoing.isEmpty || !voters.isEmpty
            else { throw DecodeError.invalid(offset: reader.offset, what: "members") }
            return Configuration(voters: voters, outgoing: outgoing, learners: learners)
        }
    }

    private static func readList(_ reader: inout ByteReader) throws(DecodeError) -> [ReplicaID] {
        let count = try reader.readCount(max: reader.remaining)
        var list: [ReplicaID] = []
        for _ in 0..<count {
            let place = reader.offset
            let id = try reader.readVarint()
            guard id > list.last ?? 0 else { throw .invalid(offset: place, what: "replica id") }
            list.append(id)
        }
        return list
    }
}
