package import ChatModel

/// A search and the parts of its answer, as far as they are here.
package struct SearchPaging: Sendable {
    /// A conversation.
    package struct Room: Sendable {
        let conversation: ConversationID
        /// They are a member all the time.
        let isAlways: Bool

        /// A conversation of the asker.
        package init(_ conversation: ConversationID, isAlways: Bool) {
            self.conversation = conversation
            self.isAlways = isAlways
        }
    }

    /// What is asked.
    package let question: SearchQuestion
    /// Who asks.
    package let asker: UserID
    /// Where the asker may find something.
    package let rooms: [Room]
    /// True when an answer said that something may be missing.
    package private(set) var isIncomplete = false
    fileprivate var found: Set<SearchChecker.Place> = []
    fileprivate var last: Entry?
    private var begun: UInt64?

    /// A search that was not asked yet.
    package init(_ question: SearchQuestion, asker: UserID, rooms: [Room]) {
        self.question = question
        self.asker = asker
        self.rooms = rooms
    }

    /// When its first part was asked for.
    mutating func begins(_ moment: UInt64) -> UInt64 {
        let first = begun ?? moment
        begun = first
        return first
    }

    /// False when it was there before.
    mutating func take(_ entry: Entry) -> Bool {
        last = entry
        return found.insert(.init(conversation: entry.conversation, seq: entry.seq)).inserted
    }

    mutating func takeFlags(_ view: SearchView) {
        if view.isIndexing || view.isPartial { isIncomplete = true }
    }
}

// The answers to searches.
extension SearchChecker {
    /// A part of an answer, asked for at `asked`.
    package func answered(
        _ view: SearchView, _ paging: inout SearchPaging, _ asked: Asked,
        by observer: @autoclosure () -> String
    ) {
        count += 1
        let now = tick()
        let begun = paging.begins(asked.moment)
        paging.takeFlags(view)
        let question = paging.question
        if view.hits.count > question.limit {
            fail(observer(), "\(view.hits.count) hits, \(question.limit) were asked for")
        }
        for hit in view.hits {
            let last = paging.last
            if !paging.take(hit.entry) { fail(observer(), "\(name(hit.entry)) twice") }
            if question.sort == .newest, let last, !Self.comes(hit.entry, after: last) {
                fail(observer(), "\(name(hit.entry)) behind \(name(last)), which is older")
            }
            check(hit.entry, paging, asked, now, observer())
        }
        checkCount(view, paging, asked.moment, now, observer())
        if !paging.isIncomplete { checkMissing(view, paging, begun, now, observer()) }
    }

    func fail(_ observer: String, _ text: String) {
        verdict.fail(.search, "\(observer) was shown " + text)
    }

    private func name(_ entry: Entry) -> String { "seq \(entry.seq) of \(entry.conversation)" }

    private static func comes(_ entry: Entry, after last: Entry) -> Bool {
        if entry.conversation == last.conversation { return entry.seq < last.seq }
        return entry.atMs <= last.atMs
    }

    /// A hit is what some request made of a message, not before it was asked for nor after it was
    /// replaced, in a place where the asker may read.
    private func check(
        _ entry: Entry, _ paging: SearchPaging, _ asked: Asked, _ now: UInt64,
        _ observer: @autoclosure () -> String
    ) {
        guard let part = entry.cid.flatMap({ parts[$0] }), part.version == 0,
            case .message(let message) = entry.body
        else { return fail(observer(), "\(name(entry)), which is no message of anybody") }
        let subject = subjects[part.subject]
        let base = base(subject, asked.moment)
        let shown = subject.versions.first { version in
            version.text == message.content.text
                && version.seq ?? message.revision == message.revision
                && isPossible(version, base, asked.moment, now)
        }
        guard let shown, !message.isErased else {
            let state = base.map { $0.text == nil ? "erased" : "at revision \($0.seq ?? 0)" }
            return fail(
                observer(),
                "\(name(entry)) at revision \(message.revision), which was "
                    + "\(state ?? "not sent") before it was asked for")
        }
        let question = paging.question
        if !question.matches(shown.words, number: shown.number)
            || question.from.map({ $0 != entry.from }) ?? false
            || question.conversation.map({ $0 != entry.conversation }) ?? false
        {
            fail(observer(), "\(name(entry)), which is not as asked")
        }
        let room = paging.rooms.first { $0.conversation == entry.conversation }
        switch room?.isAlways {
        case true?: break
        case false?:
            glimpses[entry.conversation, default: []].append(
                Glimpse(
                    asker: paging.asker, seq: entry.seq, head: asked.heads[entry.conversation] ?? 0,
                    observer: observer()))
        case nil: fail(observer(), "\(name(entry)), where they may read nothing")
        }
    }

    /// Of what does not stand, and of others' conversations, not even the number is told.
    private func checkCount(
        _ view: SearchView, _ paging: SearchPaging, _ from: UInt64, _ to: UInt64,
        _ observer: @autoclosure () -> String
    ) {
        let question = paging.question
        if view.isPartial || view.isIndexing || question.sort != .newest { return }
        if view.cursor == nil, view.atLeast == view.hits.count { return }
        var possible = 0
        visitWanted(paging) { subject, _ in
            if isPossible(subject, question, from, to) { possible += 1 }
        }
        if view.atLeast > possible {
            fail(observer(), "at least \(view.atLeast) hits, there are \(possible) at most")
        }
    }

    /// What is certain, and lies before the end of the answer, was found.
    private func checkMissing(
        _ view: SearchView, _ paging: SearchPaging, _ from: UInt64, _ to: UInt64,
        _ observer: @autoclosure () -> String
    ) {
        if paging.question.sort != .newest, view.cursor != nil { return }
        visitWanted(paging) { subject, isAlways in
            guard isAlways, let seq = subject.seq,
                isCertain(subject, paging.question, from, to),
                view.cursor == nil || Self.comes(subject, seq, before: paging.last),
                !paging.found.contains(Place(conversation: subject.place, seq: seq))
            else { return }
            verdict.fail(
                .search,
                "\(observer()) did not find seq \(seq) of \(subject.place), which was "
                    + "acknowledged before and stands")
        }
    }

    private static func comes(
        _ subject: Subject, _ seq: EntrySequence, before last: Entry?
    ) -> Bool {
        guard let last else { return false }
        if subject.place == last.conversation { return seq > last.seq }
        return subject.atMs > last.atMs
    }

    /// Visits the messages in the places and by the sender that a search is for.
    private func visitWanted(
        _ paging: SearchPaging, _ body: (_ subject: Subject, _ isAlways: Bool) -> Void
    ) {
        let question = paging.question
        for room in paging.rooms {
            if let only = question.conversation, only != room.conversation { continue }
            for index in subjectsOf[room.conversation] ?? [] {
                let subject = subjects[index]
                if let from = question.from, from != subject.sender { continue }
                body(subject, room.isAlways)
            }
        }
    }

    /// Whether a message that was erased before would be found had it been left alone.
    package func asksForErased(_ paging: SearchPaging, _ asked: Asked) -> Bool {
        var isFound = false
        visitWanted(paging) { subject, _ in
            guard subject.versions.count > 1, let base = base(subject, asked.moment),
                base.text == nil
            else { return }
            isFound =
                isFound
                || subject.versions.contains { version in
                    version.text != nil
                        && paging.question.matches(version.words, number: version.number)
                }
        }
        return isFound
    }
}

// The end of a run: whole logs.
extension SearchChecker {
    /// Checks what those saw who come and go, against the log of a conversation: what they may read
    /// begins with their last coming and ends with their going.
    package func finish(_ conversation: ConversationID, _ entries: [Entry], founders: [UserID]) {
        for glimpse in glimpses[conversation] ?? [] {
            let stays = Self.stays(of: glimpse.asker, entries, founders)
            guard let index = stays.firstIndex(where: { $0.contains(glimpse.seq) }) else {
                return fail(
                    glimpse.observer,
                    "seq \(glimpse.seq) of \(conversation), which was said while they were away")
            }
            if stays[index].upperBound < glimpse.head { marks.reach(.searchedAway) }
            if index + 1 < stays.count, stays[index + 1].lowerBound <= glimpse.head {
                fail(
                    glimpse.observer,
                    "seq \(glimpse.seq) of \(conversation), though what they may read begins "
                        + "with seq \(stays[index + 1].lowerBound)")
            }
        }
    }

    /// The seqs that somebody was a member for, ascending.
    package static func stays(
        of user: UserID, _ entries: [Entry], _ founders: [UserID]
    ) -> [ClosedRange<EntrySequence>] {
        var stays: [ClosedRange<EntrySequence>] = []
        var came: EntrySequence? = founders.contains(user) ? 1 : nil
        for entry in entries {
            guard case .membership(user, let change, _) = entry.body else { continue }
            switch change {
            case .joined: came = came ?? entry.seq
            case .left, .removed:
                if let first = came { stays.append(first...entry.seq) }
                came = nil
            case .role: break
            }
        }
        if let came { stays.append(came...EntrySequence.max) }
        return stays
    }
}
