package import ChatModel

/// I9: a search shows what the asker may read now, and finds every acknowledged message that
/// stands.
///
/// What was acknowledged before a search was asked for is certain; what is under way meanwhile may
/// have happened or not. So each message has at a time one version that is certain at least, and
/// others that are possible; a hit must be possible, and what is certain must be found.
// Confined to the thread that steps the scheduler.
package final class SearchChecker: @unchecked Sendable {
    struct Place: Hashable {
        let conversation: ConversationID
        let seq: EntrySequence
    }

    /// What one request makes of a message.
    struct Version {
        let number: UInt64
        /// Nil: nothing, it erases it.
        let text: String?
        let words: SearchWords
        let begun: UInt64
        var acknowledged = UInt64.max
        /// Where it stands in the log, when that is known.
        var seq: EntrySequence?
        var isRefused = false
    }

    /// A message: its own request first, then the edits and erasures of it.
    struct Subject {
        let place: ConversationID
        let sender: UserID
        var atMs: Milliseconds = 0
        var versions: [Version]

        var seq: EntrySequence? { versions[0].seq }
    }

    /// Which version of which message a request makes.
    struct Part {
        let subject: Int
        let version: Int
    }

    /// The moment at which a question is asked.
    package struct Asked: Sendable {
        let moment: UInt64
        /// The largest acknowledged seqs at that time.
        let heads: [ConversationID: EntrySequence]
    }

    /// A message that was shown to one who is not always a member.
    struct Glimpse {
        let asker: UserID
        let seq: EntrySequence
        /// The largest seq that was acknowledged when it was asked for.
        let head: EntrySequence
        let observer: String
    }

    let verdict: Verdict
    let marks: ReachMarks
    private(set) var subjects: [Subject] = []
    private(set) var subjectsOf: [ConversationID: [Int]] = [:]
    private(set) var parts: [ClientMessageID: Part] = [:]
    private var places: [Place: Int] = [:]
    private var heads: [ConversationID: EntrySequence] = [:]
    private var moment: UInt64 = 0
    var glimpses: [ConversationID: [Glimpse]] = [:]
    /// Answers that were checked.
    package internal(set) var count = 0

    /// Nothing was said so far.
    package init(verdict: Verdict, marks: ReachMarks) {
        self.verdict = verdict
        self.marks = marks
    }

    // MARK: What is said

    /// A request begins: its first try.
    package func begins(_ request: SendRequest) {
        func version(_ text: String?) -> Version {
            Version(
                number: request.number, text: text, words: SearchWords(in: text ?? ""),
                begun: tick())
        }
        switch request.body {
        case .message(let text):
            parts[request.cid] = Part(subject: subjects.count, version: 0)
            subjectsOf[request.conversation, default: []].append(subjects.count)
            subjects.append(
                Subject(
                    place: request.conversation, sender: request.user, versions: [version(text)]))
        case .edit(let target, let text): change(request, target, version(text))
        case .erase(let target): change(request, target, version(nil))
        }
    }

    private func change(_ request: SendRequest, _ target: EntrySequence, _ version: Version) {
        let place = Place(conversation: request.conversation, seq: target)
        guard let subject = places[place] else { return }
        parts[request.cid] = Part(subject: subject, version: subjects[subject].versions.count)
        subjects[subject].versions.append(version)
    }

    /// A request was acknowledged.
    package func acknowledged(_ sent: Sent) {
        heads[sent.conversation] = max(heads[sent.conversation] ?? 0, sent.seq)
        guard let part = parts[sent.cid] else { return }
        let now = tick()
        let version = subjects[part.subject].versions[part.version]
        subjects[part.subject].versions[part.version].acknowledged = min(version.acknowledged, now)
        subjects[part.subject].versions[part.version].seq = sent.seq
        if part.version > 0 { return }
        subjects[part.subject].atMs = sent.atMs
        places[Place(conversation: sent.conversation, seq: sent.seq)] = part.subject
    }

    /// A request was refused for good: it never does anything.
    package func refused(_ cid: ClientMessageID) {
        guard let part = parts[cid] else { return }
        subjects[part.subject].versions[part.version].isRefused = true
    }

    /// A search is asked for now.
    package func asks() -> Asked { Asked(moment: tick(), heads: heads) }

    func tick() -> UInt64 {
        moment += 1
        return moment
    }

    // MARK: What stands

    /// What is certain of a message from one moment to another: the newest version that was
    /// acknowledged before.
    func base(_ subject: Subject, _ from: UInt64) -> Version? {
        var found: Version?
        for version in subject.versions where version.acknowledged < from {
            if version.seq ?? 0 > found?.seq ?? 0 { found = version }
        }
        return found
    }

    /// True when a version may be what stands at some moment between two.
    func isPossible(_ version: Version, _ base: Version?, _ from: UInt64, _ to: UInt64) -> Bool {
        guard let base else { return !version.isRefused && version.begun < to }
        if version.number == base.number { return true }
        if base.text == nil || version.isRefused || version.begun >= to { return false }
        return version.acknowledged >= from && version.seq.map { $0 > base.seq ?? 0 } ?? true
    }

    /// True when a message stands from one moment to another, and is as asked all the time.
    func isCertain(
        _ subject: Subject, _ question: SearchQuestion, _ from: UInt64, _ to: UInt64
    ) -> Bool {
        guard let base = base(subject, from) else { return false }
        return subject.versions.allSatisfy { version in
            !isPossible(version, base, from, to)
                || (version.text != nil
                    && question.matches(version.words, number: version.number))
        }
    }

    /// True when a message may be as asked at some moment between two.
    func isPossible(
        _ subject: Subject, _ question: SearchQuestion, _ from: UInt64, _ to: UInt64
    ) -> Bool {
        let base = base(subject, from)
        return subject.versions.contains { version in
            version.text != nil && question.matches(version.words, number: version.number)
                && isPossible(version, base, from, to)
        }
    }
}
