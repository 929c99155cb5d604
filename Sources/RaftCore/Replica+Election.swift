extension Replica {
    /// Starts an election now: when the timer ran out, or when the driver knows better (a group of
    /// one at start).
    package mutating func campaign() {
        guard role != .leader, mayStand else {
            resetElectionTimer()
            return
        }
        changeRole(.preCandidate, leader: nil)
        votes = Array(repeating: nil, count: configuration.members.count)
        for peer in configuration.members where peer != id && configuration.isVoter(peer) {
            let body = Message.Body.preVote(lastIndex: log.lastIndex, lastTerm: log.lastTerm)
            outbox.append(Message(from: id, to: peer, term: term + 1, body: body))
        }
        count(true, from: id)
    }

    /// Voters stand. So does one that was a voter until a change that is not known to be decided:
    /// it may be the only one whose log is long enough to be elected, and needed to bring its own
    /// removal through (Ongaro's thesis, 4.2.2).
    var mayStand: Bool {
        configuration.isVoter(id)
            || !isConfigurationDecided && configuration(at: commitIndex).isVoter(id)
    }

    /// Enters the next term and asks for votes. The questions wait until the own vote is on disk:
    /// otherwise a candidate that crashed could stand again in the same term with a shorter log
    /// and collect grants that were given to the longer one.
    mutating func stand(isTransfer: Bool) {
        hardState = HardState(term: term + 1, vote: id)
        changeRole(.candidate, leader: nil)
        votes = Array(repeating: nil, count: configuration.members.count)
        let question = Message.Body.vote(
            lastIndex: log.lastIndex, lastTerm: log.lastTerm, isTransfer: isTransfer)
        for peer in configuration.members where peer != id && configuration.isVoter(peer) {
            sendWhenDurable(question, to: peer)
        }
    }

    /// Counts a vote or pre-vote. The own vote arrives here when it is durable.
    mutating func count(_ isGranted: Bool, from voter: ReplicaID) {
        guard let place = configuration.place(of: voter), votes[place] == nil else { return }
        votes[place] = isGranted
        if configuration.isQuorum({ votes[$0] == true }) {
            if role == .preCandidate { stand(isTransfer: false) } else { becomeLeader() }
        } else if !configuration.isQuorum({ votes[$0] != false }) {
            becomeFollower(term: term, leader: nil)
        }
    }

    /// Brings the terms of message and replica together. False when the message is done with.
    mutating func settleTerm(with message: Message) -> Bool {
        if message.term > term {
            switch message.body {
            case .preVote: return !hearsLeader
            case .vote(_, _, let isTransfer):
                // Whoever hears a leader does not let a stranger depose it, nor learn its term.
                if hearsLeader && !isTransfer { return false }
                becomeFollower(term: message.term, leader: nil)
            case .preVoteReply(let isGranted) where isGranted:
                // A grant speaks of the term the candidate would enter.
                return message.term == term + 1
            case .append, .heartbeat, .snapshotOffer, .timeoutNow:
                becomeFollower(term: message.term, leader: message.from)
            default:
                becomeFollower(term: message.term, leader: nil)
            }
            return true
        }
        if message.term < term {
            switch message.body {
            case .append(let previousIndex, _, _, _):
                rejectStale(previousIndex, from: message.from)
            case .heartbeat, .snapshotOffer: rejectStale(0, from: message.from)
            case .preVote: sendWhenDurable(.preVoteReply(isGranted: false), to: message.from)
            case .vote: sendWhenDurable(.voteReply(isGranted: false), to: message.from)
            default: break
            }
            return false
        }
        // A grant in the own term was for an election that is over.
        if case .preVoteReply(let isGranted) = message.body { return !isGranted }
        return true
    }

    /// Tells a leader of the past about the present term, so that it steps down: without this a
    /// replica whose term ran ahead could not be led any more.
    private mutating func rejectStale(_ previousIndex: LogIndex, from peer: ReplicaID) {
        sendWhenDurable(
            .appendRejected(
                previousIndex: previousIndex, hintIndex: log.lastIndex, hintTerm: log.lastTerm),
            to: peer)
    }

    mutating func answerPreVote(_ message: Message, lastIndex: LogIndex, lastTerm: Term) {
        let isGranted = message.term > term && isUpToDate(lastIndex, lastTerm)
        sendWhenDurable(
            .preVoteReply(isGranted: isGranted), to: message.from,
            term: isGranted ? message.term : term)
    }

    /// Whoever asks is answered: a candidate may count on a configuration that has not arrived here
    /// yet, with itself or this replica as a new voter. It only counts the votes of its voters.
    mutating func answerVote(_ message: Message, lastIndex: LogIndex, lastTerm: Term) {
        let isFree = hardState.vote == message.from || (hardState.vote == nil && leader == nil)
        let isGranted = isFree && isUpToDate(lastIndex, lastTerm)
        if isGranted {
            hardState.vote = message.from
            resetElectionTimer()
        }
        sendWhenDurable(.voteReply(isGranted: isGranted), to: message.from)
    }

    /// True when a log that ends so holds everything this one could have helped to commit.
    private func isUpToDate(_ lastIndex: LogIndex, _ lastTerm: Term) -> Bool {
        lastTerm > log.lastTerm || (lastTerm == log.lastTerm && lastIndex >= log.lastIndex)
    }

    /// True when a leader was heard within the shortest election timeout.
    private var hearsLeader: Bool {
        leader != nil && ticksSinceLeaderHeard < options.electionTicks
    }

    /// Accepts the sender of an append or heartbeat of this term as leader.
    mutating func follow(_ newLeader: ReplicaID) {
        precondition(role != .leader, "a term has one leader")
        if role != .follower || leader != newLeader {
            becomeFollower(term: term, leader: newLeader)
        }
        electionElapsed = 0
        ticksSinceLeaderHeard = 0
    }

    mutating func becomeFollower(term newTerm: Term, leader newLeader: ReplicaID?) {
        precondition(newTerm >= term, "terms never go back")
        if role == .leader { loseReads() }
        progress = []
        votes = []
        unappliedBytes = 0
        transferTarget = nil
        if newTerm > term {
            hardState = HardState(term: newTerm, vote: nil)
            toldFloor = 0
        }
        changeRole(.follower, leader: newLeader)
    }

    private mutating func becomeLeader() {
        precondition(role == .candidate, "only a candidate is elected")
        precondition(storage.durableHardState == hardState, "a leader's own vote is on disk")
        votes = []
        progress = configuration.members.map { _ in Progress(next: log.lastIndex + 1) }
        if let own = configuration.place(of: id) { progress[own].match = storage.durableIndex }
        unappliedBytes = cost(from: appliedIndex + 1, through: log.lastIndex)
        heartbeatElapsed = 0
        ticksLed = 0
        ticksSinceLeaderHeard = 0
        changeRole(.leader, leader: id)
        appendOwn(kind: .noop, payload: [])
    }

    private mutating func changeRole(_ newRole: Role, leader newLeader: ReplicaID?) {
        role = newRole
        leader = newLeader
        resetElectionTimer()
        roleChanges.append(RoleChange(role: newRole, term: term, leader: newLeader))
    }

    /// Draws the next timeout: random, so that candidates seldom split the votes.
    mutating func resetElectionTimer() {
        electionElapsed = 0
        let span = UInt64(options.electionTicks)
        electionTimeout = options.electionTicks + Int(generator.next() % span)
    }
}
