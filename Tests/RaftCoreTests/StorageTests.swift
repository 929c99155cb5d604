import RaftCore
import Testing

/// Writes under way, and what their completions may attest.
@Suite("StorageState")
struct StorageTests {
    private static func follower() -> Replica {
        Replica(id: 3, configuration: Configuration(voters: [1, 2, 3]), seed: 1)
    }

    private static func append(
        from leader: ReplicaID, term: Term, _ entryTerm: Term, index: LogIndex = 1
    ) -> Message {
        let entry = Entry(index: index, term: entryTerm, kind: .noop, payload: [])
        return Message(
            from: leader, to: 3, term: term,
            body: .append(previousIndex: index - 1, previousTerm: 0, entries: [entry], commit: 0))
    }

    private static func write(of replica: inout Replica) throws -> StoreWrite {
        let write = replica.takeWrite()
        return try #require(write)
    }

    private func expectReplies(_ count: Int, from replica: inout Replica) {
        let replies = Self.replies(&replica)
        #expect(replies.count == count)
    }

    private static func replies(_ replica: inout Replica) -> [Message] {
        var effects = Effects()
        replica.takeEffects(into: &effects)
        return effects.messages
    }

    @Test("A follower whose state machine lags takes only so much into memory, and goes on later")
    func aFollowerWhoseStateMachineLagsTakesOnlySoMuch() throws {
        var options = RaftOptions()
        options.entryBytesMax = 1_000
        options.unappliedBytesMax = 4_000
        options.cacheBytesMax = 2_000
        var replica = Replica(
            id: 3, configuration: Configuration(voters: [1, 2, 3]), options: options, seed: 1)
        func offer(_ index: LogIndex) {
            let entry = Entry(
                index: index, term: 1, kind: .command, payload: [UInt8](repeating: 1, count: 968))
            replica.receive(
                Message(
                    from: 1, to: 3, term: 1,
                    body: .append(
                        previousIndex: index - 1, previousTerm: index > 1 ? 1 : 0,
                        entries: [entry], commit: index - 1)))
            if let write = replica.takeWrite() { replica.stored(write.ticket) }
            _ = Self.replies(&replica)
        }
        for index in 1...20 as ClosedRange<LogIndex> { offer(index) }
        #expect(replica.log.lastIndex == 7, "6,000 bytes and the one that passed them")
        #expect(replica.commitIndex == 7)
        replica.applied(through: 7)
        for index in 8...9 as ClosedRange<LogIndex> { offer(index) }
        #expect(replica.log.lastIndex == 9 && replica.brokenInvariant() == nil)
    }

    @Test("A term far ahead of all others is not taken")
    func aTermFarAheadIsNotTaken() {
        var replica = Self.follower()
        replica.receive(Self.append(from: 1, term: 1 << 40, 1))
        #expect(replica.term == 0)
        replica.receive(Self.append(from: 1, term: 1 << 31, 1))
        #expect(replica.term == 1 << 31)
    }

    @Test("An old completion does not attest an entry that left the log and came back")
    func anOldCompletionDoesNotAttestAnEntryThatLeftTheLogAndCameBack() throws {
        var replica = Self.follower()
        // Term 1 writes A, term 2 puts B in its place, term 3 brings A back.
        replica.receive(Self.append(from: 1, term: 1, 1))
        let first = try Self.write(of: &replica)
        replica.receive(Self.append(from: 2, term: 2, 2))
        let second = try Self.write(of: &replica)
        replica.receive(Self.append(from: 2, term: 2, 2))
        #expect(!replica.hasWrite, "a doubled append is no write")
        // A log may only go back in terms by losing its tail to a newer leader.
        replica.receive(Self.append(from: 1, term: 3, 1))
        let third = try Self.write(of: &replica)
        #expect(replica.log.term(at: 1) == 1)

        replica.stored(first.ticket)
        #expect(replica.durableIndex == 0, "the disk's last word will be B for a while")
        replica.stored(second.ticket)
        #expect(replica.durableIndex == 0)
        let early = Self.replies(&replica)
        #expect(early.allSatisfy { $0.term < 3 })
        replica.stored(third.ticket)
        #expect(replica.durableIndex == 1)
        let last = Self.replies(&replica)
        #expect(last.count == 1 && last.first?.body == .appendReply(match: 1))
        #expect(last.first?.term == 3)
    }

    @Test("A completion stands for all writes before it, and counts once")
    func aCompletionStandsForAllWritesBeforeItAndCountsOnce() throws {
        var replica = Self.follower()
        replica.receive(Self.append(from: 1, term: 1, 1))
        let first = try Self.write(of: &replica)
        let next = Entry(index: 2, term: 1, kind: .command, payload: [7])
        replica.receive(
            Message(
                from: 1, to: 3, term: 1,
                body: .append(previousIndex: 1, previousTerm: 1, entries: [next], commit: 0)))
        let second = try Self.write(of: &replica)
        #expect(first.hardState == HardState(term: 1) && second.hardState == nil)
        #expect(second.entries == [next])
        replica.stored(second.ticket)
        #expect(replica.durableIndex == 2)
        expectReplies(2, from: &replica)
        replica.stored(first.ticket)
        expectReplies(0, from: &replica)
        #expect(replica.durableIndex == 2)
    }

    @Test("A completion for an earlier placement of the group is ignored")
    func aCompletionForAnEarlierPlacementOfTheGroupIsIgnored() throws {
        var earlier = Replica(id: 9, configuration: Configuration(voters: [9]), seed: 1)
        earlier.campaign()
        let foreign = try Self.write(of: &earlier)
        var replica = Self.follower()
        replica.receive(Self.append(from: 1, term: 1, 1))
        _ = replica.takeWrite()
        replica.stored(foreign.ticket)
        expectReplies(0, from: &replica)
        #expect(replica.durableIndex == 0)
    }

    @Test("A doubled append whose write is under way is answered when it is stored")
    func aDoubledAppendWhoseWriteIsUnderWayIsAnsweredWhenItIsStored() throws {
        var replica = Self.follower()
        replica.receive(Self.append(from: 1, term: 1, 1))
        let write = try Self.write(of: &replica)
        replica.receive(Self.append(from: 1, term: 1, 1))
        expectReplies(0, from: &replica)
        #expect(!replica.hasWrite)
        replica.stored(write.ticket)
        // What two messages asked is answered once.
        expectReplies(1, from: &replica)
        replica.receive(Self.append(from: 1, term: 1, 1))
        expectReplies(1, from: &replica)
    }

    /// A follower with entries 1…3 of term 1 from replica 1: one write taken, the second held.
    private static func followerWithWrites() throws -> (Replica, StoreWrite, StoreWrite) {
        var replica = follower()
        replica.receive(append(from: 1, term: 1, 1))
        let first = try write(of: &replica)
        let rest = (2...3).map { Entry(index: $0, term: 1, kind: .command, payload: [7]) }
        replica.receive(
            Message(
                from: 1, to: 3, term: 1,
                body: .append(previousIndex: 1, previousTerm: 1, entries: rest, commit: 0)))
        let second = try write(of: &replica)
        return (replica, first, second)
    }

    @Test("A snapshot that contradicts the log takes the ground from writes under way")
    func aSnapshotThatContradictsTheLogTakesTheGroundFromWritesUnderWay() throws {
        var (replica, first, second) = try Self.followerWithWrites()
        replica.receive(
            Message(
                from: 2, to: 3, term: 2, body: .heartbeat(commit: 0, read: 0, floor: 0)))
        let configuration = Configuration(voters: [2, 3])
        let isInstalled = replica.install(index: 2, term: 2, configuration: configuration)
        #expect(isInstalled && replica.log.lastIndex == 2 && replica.durableIndex == 2)
        #expect(replica.configuration == configuration)
        _ = Self.replies(&replica)
        replica.stored(second.ticket)
        #expect(replica.durableIndex == 2, "entry 3 of term 1 is gone")
        let early = Self.replies(&replica)
        #expect(early.allSatisfy { $0.term == 1 })
        let third = try Self.write(of: &replica)
        #expect(third.reset == LogBase(index: 2, term: 2) && third.entries.isEmpty)
        #expect(third.hardState == HardState(term: 2))
        replica.stored(first.ticket)
        replica.stored(third.ticket)
        let last = Self.replies(&replica)
        #expect(last.map(\.body) == [.appendReply(match: 2)] && last.first?.term == 2)
        #expect(replica.brokenInvariant() == nil && !replica.hasWrite)
    }

    @Test("A snapshot inside the log leaves what follows, and the writes that carry it")
    func aSnapshotInsideTheLogLeavesWhatFollows() throws {
        var (replica, _, second) = try Self.followerWithWrites()
        let isInstalled = replica.install(
            index: 2, term: 1, configuration: Configuration(voters: [1, 2, 3]))
        #expect(isInstalled && replica.log.baseIndex == 2 && replica.log.lastIndex == 3)
        #expect(replica.durableIndex == 2 && !replica.hasWrite)
        replica.stored(second.ticket)
        #expect(replica.durableIndex == 3)
        let again = replica.install(
            index: 2, term: 1, configuration: Configuration(voters: [1, 2, 3]))
        #expect(!again && replica.brokenInvariant() == nil)
    }

    @Test("A snapshot past what is written resets the log, and the tail is written after it")
    func aSnapshotPastWhatIsWrittenResetsTheLog() throws {
        var replica = Self.follower()
        let entries = (1...3).map { Entry(index: $0, term: 1, kind: .command, payload: [7]) }
        replica.receive(
            Message(
                from: 1, to: 3, term: 1,
                body: .append(previousIndex: 0, previousTerm: 0, entries: entries, commit: 0)))
        let isInstalled = replica.install(
            index: 2, term: 1, configuration: Configuration(voters: [1, 2, 3]))
        #expect(isInstalled)
        let write = try Self.write(of: &replica)
        #expect(write.reset == LogBase(index: 2, term: 1) && write.entries == [entries[2]])
        #expect(replica.brokenInvariant() == nil)
    }

    @Test("What a stuck disk holds back is bounded")
    func whatAStuckDiskHoldsBackIsBounded() throws {
        var (replica, _, second) = try Self.followerWithWrites()
        for candidate in 10..<5_000 as Range<ReplicaID> {
            replica.receive(
                Message(
                    from: candidate, to: 3, term: 1,
                    body: .vote(lastIndex: 9, lastTerm: 1, isTransfer: false)))
        }
        replica.stored(second.ticket)
        let replies = Self.replies(&replica)
        #expect(replies.count < 1_100)
    }

    @Test("Incoherent messages are dropped")
    func incoherentMessagesAreDropped() {
        var replica = Self.follower()
        replica.receive(Self.append(from: 1, term: 1, 2))
        replica.receive(Self.append(from: 1, term: Term.max, 1))
        replica.receive(Self.append(from: 1, term: 1, 1, index: LogIndex.max))
        replica.receive(Self.append(from: 3, term: 1, 1))
        replica.receive(Self.append(from: 0, term: 1, 1))
        let broken = Entry(index: 1, term: 1, kind: .configuration, payload: [1, 1, 0])
        let kindless = Entry(index: 1, term: 1, kind: EntryKind(rawValue: 0), payload: [])
        for entry in [broken, kindless] {
            replica.receive(
                Message(
                    from: 1, to: 3, term: 1,
                    body: .append(previousIndex: 0, previousTerm: 0, entries: [entry], commit: 0)))
        }
        for (index, term) in [(0, 1), (LogIndex.max, 1), (5, 2)] as [(LogIndex, Term)] {
            replica.receive(
                Message(from: 1, to: 3, term: 1, body: .snapshotOffer(index: index, term: term)))
        }
        #expect(replica.term == 0 && replica.log.lastIndex == 0 && !replica.hasWrite)
    }

    @Test("A leader drops what claims to lead its own term")
    func aLeaderDropsWhatClaimsToLeadItsOwnTerm() throws {
        var replica = Replica(id: 3, configuration: Configuration(voters: [3]), seed: 1)
        replica.campaign()
        let write = try Self.write(of: &replica)
        replica.stored(write.ticket)
        for body in [
            .heartbeat(commit: 9, read: 0, floor: 0), .snapshotOffer(index: 9, term: 1),
            .timeoutNow,
        ] as [Message.Body] {
            replica.receive(Message(from: 1, to: 3, term: 1, body: body))
        }
        replica.receive(Self.append(from: 1, term: 1, 1))
        #expect(replica.role == .leader && replica.brokenInvariant() == nil)
    }
}
