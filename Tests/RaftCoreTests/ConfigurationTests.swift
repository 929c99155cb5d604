import Bytes
import RaftCore
import Testing

@Suite("Configuration")
struct ConfigurationTests {
    private static func draw(_ generator: inout SplitMix64) -> Configuration {
        var lists: [[ReplicaID]] = [[], [], []]
        for id in 1...9 as ClosedRange<ReplicaID> {
            for place in 0..<3 where generator.next() % 2 == 0 { lists[place].append(id * 100) }
        }
        if lists[0].isEmpty { lists[0] = [7] }
        return Configuration(voters: lists[0], outgoing: lists[1], learners: lists[2])
    }

    @Test("The quorum's index is the highest that both majorities have reached")
    func theQuorumsIndexIsTheHighestThatBothMajoritiesHaveReached() {
        var generator = SplitMix64(seed: 5)
        for _ in 0..<500 {
            let configuration = Self.draw(&generator)
            let reached = configuration.members.map { _ in generator.next() % 12 }
            // The dumb way: try every index and count.
            let expected = (0...12 as ClosedRange<LogIndex>).last { index in
                [configuration.voters, configuration.outgoing].allSatisfy { list in
                    list.isEmpty
                        || list.count { id in
                            reached[configuration.place(of: id) ?? 0] >= index
                        } * 2 > list.count
                }
            }
            #expect(configuration.quorumIndex { reached[$0] } == expected, "\(configuration)")
            let isQuorum = configuration.isQuorum { reached[$0] >= 6 }
            #expect(isQuorum == ((expected ?? 0) >= 6), "\(configuration)")
        }
    }

    @Test("Lists are ascending whatever order they came in, and a learner that votes is a voter")
    func listsAreAscendingAndALearnerThatVotesIsAVoter() {
        let configuration = Configuration(
            voters: [9, 2, 5, 2], outgoing: [9, 1], learners: [5, 7, 1])
        #expect(configuration.voters == [2, 5, 9] && configuration.outgoing == [1, 9])
        #expect(configuration.learners == [1, 7] && configuration.members == [1, 2, 5, 7, 9])
        #expect(configuration.isJoint && !configuration.settled.isJoint)
        #expect(configuration.isVoter(1) && configuration.isVoter(2) && !configuration.isVoter(7))
        #expect(configuration.place(of: 5) == 2 && configuration.place(of: 3) == nil)
    }

    @Test("Without voters there is no quorum")
    func withoutVotersThereIsNoQuorum() {
        let configuration = Configuration(voters: [])
        #expect(!configuration.isQuorum { _ in true })
        #expect(configuration.quorumIndex { _ in 5 } == 0)
    }

    @Test("The bytes are those of the documented example")
    func theBytesAreThoseOfTheDocumentedExample() {
        let configuration = Configuration(voters: [1, 2, 4], outgoing: [1, 2, 3], learners: [9])
        let bytes: [UInt8] = [1, 3, 1, 2, 4, 3, 1, 2, 3, 1, 9]
        #expect(configuration.encoded() == bytes)
        #expect(Configuration.decode(bytes) == configuration)
    }

    @Test("What was encoded is decoded, and every shorter or longer run of bytes is refused")
    func whatWasEncodedIsDecodedAndEveryOtherRunRefused() {
        var generator = SplitMix64(seed: 6)
        for _ in 0..<200 {
            let configuration = Self.draw(&generator)
            let bytes = configuration.encoded()
            #expect(Configuration.decode(bytes) == configuration)
            for count in bytes.indices {
                #expect(Configuration.decode(Array(bytes.prefix(count))) == nil)
            }
            #expect(Configuration.decode(bytes + [0]) == nil)
        }
    }

    @Test(
        "Bytes that break a rule are refused",
        arguments: [
            [],  // nothing
            [0, 1, 1, 0, 0],  // another version
            [1, 1, 0, 0, 0],  // id 0
            [1, 2, 2, 1, 0, 0],  // not ascending
            [1, 2, 1, 1, 0, 0],  // twice
            [1, 1, 1, 0, 1, 1],  // a learner that votes
            [1, 0, 1, 1, 0],  // outgoing without voters
            [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],  // an absurd count
        ] as [[UInt8]])
    func bytesThatBreakARuleAreRefused(bytes: [UInt8]) {
        #expect(Configuration.decode(bytes) == nil)
    }

    @Test("Random bytes never trap, and what they decode to encodes to them")
    func randomBytesNeverTrap() {
        var generator = SplitMix64(seed: 8)
        for _ in 0..<20_000 {
            let bytes = [1] + (0..<generator.next() % 9).map { _ in UInt8(generator.next() % 6) }
            if let configuration = Configuration.decode(bytes) {
                #expect(configuration.encoded() == bytes)
            }
        }
    }
}
