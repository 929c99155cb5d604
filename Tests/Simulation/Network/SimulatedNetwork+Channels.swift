import Bytes
import Replication
import Synchronization

// How channels come, carry and go.
extension SimulatedNetwork {
    private static let recentMax = 3

    // MARK: Connecting

    /// A process begins: it and the others look for each other.
    func started(_ transport: SimulatedTransport) {
        state.withLock { state in
            if state.nodes[transport.place].life == transport.life {
                state.nodes[transport.place].transport = transport
            }
        }
    }

    /// Tries to open a channel unless there is one or an attempt is under way.
    func connect(from: Int, to: Int, after wait: UInt64) {
        let link = index(from, to)
        let isNew = state.withLock { state in
            if state.links[link].isConnecting || state.links[link].channel != nil { return false }
            state.links[link].isConnecting = true
            return true
        }
        if isNew { lane.run(after: wait) { [self] in shakeHands(from, to) } }
    }

    private func shakeHands(_ from: Int, _ to: Int) {
        let (sender, receiver, isWhole) = state.withLock { state in
            (
                state.nodes[from].transport, state.nodes[to].transport,
                !state.links[index(from, to)].isCut && !state.links[index(to, from)].isCut
            )
        }
        guard let sender, sender.isListed(numbers[to]) else {
            state.withLock { $0.links[index(from, to)].isConnecting = false }
            return
        }
        guard let receiver, isWhole, !sender.machine.isPaused, !receiver.machine.isPaused,
            let ours = sender.hello, let theirs = receiver.hello
        else { return tryAgain(from, to) }
        if let sentence = Self.refusal(ours, theirs) {
            trace.note(.refused, UInt64(numbers[from]), UInt64(numbers[to]))
            sender.tell(.refused(numbers[to], sentence))
            receiver.tell(.refused(numbers[from], sentence))
            return tryAgain(from, to)
        }
        let wait = state.withLock { state in
            let delay = state.profile.delay
            return delay.draw(&state.generator) + delay.draw(&state.generator)
        }
        lane.run(after: wait) { [self] in open(from, to, sender, receiver, ours, theirs) }
    }

    /// Nodes of different clusters don't talk.
    private static func refusal(_ ours: PeerHello, _ theirs: PeerHello) -> String? {
        if ours.clusterName != theirs.clusterName {
            return "nodes \(ours.node) and \(theirs.node) are of clusters with different names"
        }
        let isForeign =
            !ours.cluster.isEmpty && !theirs.cluster.isEmpty && ours.cluster != theirs.cluster
        return isForeign ? "nodes \(ours.node) and \(theirs.node) are of different clusters" : nil
    }

    private func tryAgain(_ from: Int, _ to: Int) {
        let wait = state.withLock { state in
            state.links[index(from, to)].isConnecting = false
            let mean = state.profile.reconnectNanoseconds
            return mean / 4 + LaneDelay.exponential(mean: mean, &state.generator)
        }
        connect(from: from, to: to, after: wait)
    }

    private func open(
        _ from: Int, _ to: Int, _ sender: SimulatedTransport, _ receiver: SimulatedTransport,
        _ ours: PeerHello, _ theirs: PeerHello
    ) {
        let link = index(from, to)
        let isOpen = state.withLock { state in
            guard state.nodes[from].life == sender.life, state.nodes[to].life == receiver.life,
                !state.links[link].isCut
            else { return false }
            state.links[link].isConnecting = false
            state.links[link].channelCount += 1
            state.links[link].channel = Channel(
                number: state.links[link].channelCount, senderHello: ours, receiverHello: theirs,
                senderLife: sender.life, receiverLife: receiver.life)
            return true
        }
        guard isOpen else { return tryAgain(from, to) }
        trace.note(.connected, UInt64(numbers[from]), UInt64(numbers[to]))
        sender.tell(.connected(theirs))
        replay(from, to)
    }

    /// What the last channel carried at its end comes again.
    private func replay(_ from: Int, _ to: Int) {
        let frames: [[UInt8]] = state.withLock { state in
            let recent = state.links[index(from, to)].recent
            state.links[index(from, to)].recent = []
            return state.generator.next() % 65_536 < state.profile.replayOdds ? recent : []
        }
        for frame in frames {
            trace.note(
                .frameReplayed, UInt64(numbers[from]), UInt64(numbers[to]), UInt64(frame.count),
                Checksum.xxh3(frame))
            marks.reach(.replayedFrame)
            carry(frame, from, to)
        }
    }

    // MARK: Carrying

    /// A process sends a frame; false when it knows that the frame is lost.
    func send(_ frame: [UInt8], from sender: SimulatedTransport, to node: NodeNumber) -> Bool {
        guard let to = numbers.firstIndex(of: node) else { return false }
        let from = sender.place
        let link = index(from, to)
        enum Fate { case none, overflow, lost, parked, carried }
        let fate: Fate = state.withLock { state in
            guard let channel = state.links[link].channel, channel.senderLife == sender.life else {
                return .none
            }
            if channel.load >= state.profile.queueMax {
                return .overflow
            }
            if state.generator.next() % 65_536 < state.profile.lossOdds { return .lost }
            if !state.links[link].isCut { return .carried }
            state.links[link].channel?.parked.append(frame)
            return .parked
        }
        switch fate {
        case .none: return false
        case .overflow:
            trace.note(.frameOverflow, UInt64(numbers[from]), UInt64(node), UInt64(frame.count))
            marks.reach(.queueOverflowed)
            return false
        case .lost:
            trace.note(.frameLost, UInt64(numbers[from]), UInt64(node), UInt64(frame.count))
            marks.reach(.frameLost)
        case .parked: break
        case .carried: carry(frame, from, to)
        }
        return true
    }

    /// Puts a frame on the wire, behind those that are there.
    func carry(_ frame: [UInt8], _ from: Int, _ to: Int) {
        let link = index(from, to)
        let now = scheduler.clock.monotonicNanoseconds()
        let timing: (number: UInt64, arrival: UInt64)? = state.withLock { state in
            guard var channel = state.links[link].channel else { return nil }
            let slowness = state.links[link].slowness
            let delay = state.profile.delay.draw(&state.generator) + slowness
            let earliest = max(state.links[link].cloggedUntil, channel.lastArrival)
            channel.lastArrival = max(now &+ delay, earliest)
            channel.underWay.append(frame)
            if state.profile.replayOdds > 0 {
                channel.recent.append(frame)
                if channel.recent.count > Self.recentMax { channel.recent.removeFirst() }
            }
            state.links[link].channel = channel
            return (channel.number, channel.lastArrival)
        }
        guard let timing else { return }
        lane.run(after: timing.arrival - now) { [self] in
            arrive(frame, from, to, channel: timing.number)
        }
    }

    /// The next frame of the channel is there: frames keep their order however long one is held up.
    /// `frame` is the one whose time this is, for the case that the channel is gone.
    private func arrive(_ frame: [UInt8], _ from: Int, _ to: Int, channel number: UInt64) {
        let link = index(from, to)
        let now = scheduler.clock.monotonicNanoseconds()
        let clogged = state.withLock { $0.links[link].cloggedUntil }
        if clogged > now {
            return lane.run(after: clogged - now) { [self] in
                arrive(frame, from, to, channel: number)
            }
        }
        let (arrived, hello, receiver, isStale) = state.withLock {
            state -> ([UInt8]?, PeerHello?, SimulatedTransport?, Bool) in
            let receiver = state.nodes[to].transport
            guard let channel = state.links[link].channel else { return (nil, nil, nil, false) }
            if channel.number == number {
                let next = state.links[link].channel?.underWay.removeFirst()
                guard channel.receiverLife == receiver?.life else { return (nil, nil, nil, false) }
                state.links[link].channel?.untaken += 1
                return (next, channel.senderHello, receiver, false)
            }
            let isStale = state.generator.next() % 65_536 < state.profile.staleOdds
            return (isStale ? frame : nil, channel.senderHello, receiver, true)
        }
        guard let arrived, let hello, let receiver else { return }
        trace.note(
            isStale ? .frameStale : .frame, UInt64(numbers[from]), UInt64(numbers[to]),
            UInt64(arrived.count), Checksum.xxh3(arrived))
        if isStale { marks.reach(.staleFrame) }
        receiver.tell(.frame(from: hello, arrived)) { [self] in
            // Only now there is room: a paused machine takes nothing from its buffers.
            state.withLock { state in
                guard !isStale, state.links[link].channel?.number == number else { return }
                state.links[link].channel?.untaken -= 1
            }
        }
    }

    // MARK: Closing

    /// Breaks a channel; the sender is told, and looks for the other again.
    func close(from: Int, to: Int, after wait: UInt64) {
        let number = state.withLock { $0.links[index(from, to)].channel?.number }
        guard let number else { return }
        if wait == 0 { return closeNow(from, to, number) }
        lane.run(after: wait) { [self] in closeNow(from, to, number) }
    }

    private func closeNow(_ from: Int, _ to: Int, _ number: UInt64) {
        let link = index(from, to)
        let (closed, sender) = state.withLock { state -> (Channel?, SimulatedTransport?) in
            guard let channel = state.links[link].channel, channel.number == number else {
                return (nil, nil)
            }
            state.links[link].channel = nil
            state.links[link].recent = channel.recent
            return (channel, state.nodes[from].transport)
        }
        guard let closed else { return }
        trace.note(.disconnected, UInt64(numbers[from]), UInt64(numbers[to]))
        if let sender, sender.life == closed.senderLife {
            sender.tell(
                .disconnected(numbers[to], incarnation: closed.receiverHello.incarnation))
        }
        tryAgain(from, to)
    }
}
