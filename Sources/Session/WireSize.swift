import ChatModel
import FanOut

/// Estimates of encoded sizes, in bytes: what the session must know of a backlog between two
/// reports of the true one. JSON's escapes can make text longer, up to six times.
enum WireSize {
    static let small = 128

    static func of(_ entry: Entry) -> Int {
        switch entry.body {
        case .message(let message): 320 + of(message.content)
        case .edit(_, let content): 320 + of(content)
        case .settings(let title): 320 + (title?.utf8.count ?? 0)
        case .erase, .membership: 320
        }
    }

    static func of(_ content: MessageContent) -> Int {
        var bytes = content.text.utf8.count + content.mentions.count * 40
        for media in content.media { bytes += 320 + media.name.utf8.count + media.type.utf8.count }
        return bytes
    }

    static func of(_ view: ChangedView) -> Int {
        240 + view.marks.count * 96 + (view.last.map { of($0) } ?? 0)
    }

    static func of(_ hit: SearchHitView) -> Int {
        of(hit.entry) + hit.snippet.utf8.count + hit.highlights.count * 32
    }

    static func of(_ body: EventBody) -> Int {
        if case .entry(let entry) = body { return of(entry) }
        return small
    }
}

extension SearchView {
    /// How many hits, from the first, have estimates that stay within `bytes`; at least one.
    func hitsFitting(bytes: Int) -> Int {
        var total = WireSize.small
        let fitting = hits.prefix { hit in
            total += WireSize.of(hit)
            return total <= bytes
        }
        return max(1, fitting.count)
    }
}

extension PageView {
    /// The page, cut so that its estimate stays within `bytes`; at least one entry stays. What is
    /// cut lies at the far end of the direction asked for, so the client goes on from there.
    func cut(toBytes bytes: Int, anchor: PageAnchor) -> PageView {
        var sizes = entries.map { WireSize.of($0) }
        var total = sizes.reduce(0, +)
        guard total > bytes, entries.count > 1 else { return self }
        var page = self
        var low = 0
        var high = entries.count
        while total > bytes, high - low > 1 {
            let cutsLow: Bool
            switch anchor {
            case .newest, .before: cutsLow = true
            case .after: cutsLow = false
            case .around(let seq):
                // The side that reaches further from the asked seq loses first.
                let below = seq > entries[low].seq ? seq - entries[low].seq : 0
                let above = entries[high - 1].seq > seq ? entries[high - 1].seq - seq : 0
                cutsLow = below >= above
            }
            if cutsLow {
                total -= sizes[low]
                low += 1
            } else {
                high -= 1
                total -= sizes[high]
            }
        }
        sizes.removeAll()
        page.entries = Array(entries[low..<high])
        if low > 0 { page.hasMoreBefore = true }
        if high < entries.count { page.hasMoreAfter = true }
        page.hasMore = true
        return page
    }
}
