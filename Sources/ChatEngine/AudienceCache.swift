import ChatModel

/// The audiences of conversations in use, by reference, bounded by the members they hold.
///
/// Two generations instead of a list of uses: when the young one is half the budget it becomes the
/// old one, and the old one is forgotten. A hit in the old one makes it young again. What is cached
/// never shows in a result: a miss reads the rows.
struct AudienceCache {
    private var young: [ConversationID: Audience] = [:]
    private var old: [ConversationID: Audience] = [:]
    private var youngCost = 0
    private let costMax: Int
    private(set) var hits: UInt64 = 0
    private(set) var misses: UInt64 = 0

    /// A cache for at most about `membersMax` members in all.
    init(membersMax: Int) {
        costMax = membersMax / 2
    }

    mutating func get(_ conversation: ConversationID) -> Audience? {
        if let audience = young[conversation] {
            hits += 1
            return audience
        }
        guard let audience = old[conversation] else {
            misses += 1
            return nil
        }
        hits += 1
        set(conversation, audience)
        return audience
    }

    mutating func set(_ conversation: ConversationID, _ audience: Audience) {
        old[conversation] = nil
        let replaced = young.updateValue(audience, forKey: conversation)
        youngCost += cost(audience) - (replaced.map(cost) ?? 0)
        guard youngCost > costMax else { return }
        old = young
        young = [:]
        youngCost = 0
    }

    mutating func removeAll() {
        young = [:]
        old = [:]
        youngCost = 0
    }

    /// Members, and what an empty audience takes beside them.
    private func cost(_ audience: Audience) -> Int { audience.members.count + 8 }
}
