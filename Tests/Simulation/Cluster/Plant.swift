#if PlantedBugs
    import Bytes
#endif

/// Bugs that are planted to prove that the checkers see: each must be found within 200 seeds.
///
/// Some are faulty seams; the others are compiled into the product under the package trait
/// `PlantedBugs` alone, so that no release ever holds them.
package enum Plant: String, Sendable, Codable, CaseIterable {
    case skipSync = "skip-sync"
    case unsyncedTail = "unsynced-tail"
    case forgetVote = "forget-vote"
    case forgetReleasedVote = "forget-released-vote"
    case commitOldTerm = "commit-old-term"
    case cutRot = "cut-rot"
    case snapshotWithoutDedup = "snapshot-without-dedup"
    case earlyRead = "early-read"
    case answerByIndex = "answer-by-index"
    case earlyAcknowledgement = "early-acknowledgement"
    case splitCut = "split-cut"
    case localTime = "local-time"
    case returningFeed = "returning-feed"
    case unflushedInstall = "unflushed-install"
    case acceptOldEpoch = "accept-old-epoch"
    case findErased = "find-erased"
    case forgetEdit = "forget-edit"
    case searchAfterLeaving = "search-after-leaving"
    case trustOldIndex = "trust-old-index"

    /// What is wrong with it.
    package var summary: String {
        switch self {
        case .skipSync: "a sync returns at once and makes nothing durable"
        case .unsyncedTail: "recovery does not sync the tail that it then acts on"
        case .forgetVote: "a restarted replica has forgotten its vote"
        case .forgetReleasedVote: "a vote goes with the segment that holds it"
        case .commitOldTerm: "an entry of an older term is decided by counting copies"
        case .cutRot: "the log is cut at any bad checksum"
        case .snapshotWithoutDedup: "a shard snapshot leaves out which messages are known"
        case .earlyRead: "a new leader answers reads before it has decided anything"
        case .answerByIndex: "a change is acknowledged when another leader's entry took its place"
        case .earlyAcknowledgement: "a follower acknowledges before its disk has"
        case .splitCut: "a cut leaves one keyspace out"
        case .localTime: "apply takes the time of its own clock"
        case .returningFeed: "the feed of one who was put out keeps the conversation"
        case .unflushedInstall: "a snapshot is installed under rows of the memtable"
        case .acceptOldEpoch: "a leader takes commands that were sent under an older map"
        case .findErased: "the search index keeps what was erased"
        case .forgetEdit: "the search index does not hear of edits"
        case .searchAfterLeaving: "one who was put out still searches what is said after"
        case .trustOldIndex: "a search index that is behind the tables is taken for whole"
        }
    }

    /// True when the simulator's own seams make it.
    var isSeam: Bool { self == .skipSync || self == .unsyncedTail }

    /// True when this build can have it.
    package var isAvailable: Bool {
        #if PlantedBugs
            true
        #else
            isSeam
        #endif
    }

    /// Turns a bug of the product on for the whole process, or all off.
    static func plant(_ plant: Plant?) {
        #if PlantedBugs
            PlantedBug.plant(plant?.bug)
        #endif
    }

    #if PlantedBugs
        private var bug: PlantedBug? {
            switch self {
            case .skipSync, .unsyncedTail: nil
            case .forgetVote: .forgetVote
            case .forgetReleasedVote: .forgetReleasedVote
            case .commitOldTerm: .commitOldTerm
            case .cutRot: .cutRot
            case .snapshotWithoutDedup: .snapshotWithoutDedup
            case .earlyRead: .earlyRead
            case .answerByIndex: .answerByIndex
            case .earlyAcknowledgement: .earlyAcknowledgement
            case .splitCut: .splitCut
            case .localTime: .localTime
            case .returningFeed: .returningFeed
            case .unflushedInstall: .unflushedInstall
            case .acceptOldEpoch: .acceptOldEpoch
            case .findErased: .findErased
            case .forgetEdit: .forgetEdit
            case .searchAfterLeaving: .searchAfterLeaving
            case .trustOldIndex: .trustOldIndex
            }
        }
    #endif
}
