import RaftCore

/// An entry as `index/term payload`.
func describe(_ entry: Entry) -> String {
    var text = "noop"
    if entry.kind == .command { text = String(decoding: entry.payload, as: UTF8.self) }
    if entry.kind == .configuration, let configuration = Configuration.decode(entry.payload) {
        text = describe(configuration)
    }
    return "\(entry.index)/\(entry.term) \(text)"
}

/// A configuration as `voters 1 2 for 1 3 learners 4`.
func describe(_ configuration: Configuration) -> String {
    func list(_ word: String, _ ids: [ReplicaID]) -> String {
        ids.isEmpty ? "" : word + ids.map { " \($0)" }.joined()
    }
    return list("voters", configuration.voters) + list(" for", configuration.outgoing)
        + list(" learners", configuration.learners)
}

/// A message on one line.
func describe(_ message: Message) -> String {
    let head = "\(message.from)>\(message.to) t\(message.term) "
    switch message.body {
    case .preVote(let index, let term): return head + "preVote last \(index)/\(term)"
    case .preVoteReply(let isGranted): return head + "preVoteReply \(isGranted)"
    case .vote(let index, let term, let isTransfer):
        return head + "vote last \(index)/\(term)" + (isTransfer ? " as told" : "")
    case .voteReply(let isGranted): return head + "voteReply \(isGranted)"
    case .append(let index, let term, let entries, let commit):
        let list = entries.map(describe).joined(separator: ", ")
        return head + "append after \(index)/\(term) [\(list)] commit \(commit)"
    case .appendReply(let match): return head + "appendReply match \(match)"
    case .appendRejected(let previous, let index, let term):
        return head + "appendRejected after \(previous), try \(index)/\(term)"
    case .heartbeat(let commit, let read, let floor):
        return head + "heartbeat commit \(commit) read \(read) floor \(floor)"
    case .heartbeatReply(let read): return head + "heartbeatReply read \(read)"
    case .snapshotOffer(let index, let term): return head + "snapshotOffer \(index)/\(term)"
    case .timeoutNow: return head + "timeoutNow"
    }
}
