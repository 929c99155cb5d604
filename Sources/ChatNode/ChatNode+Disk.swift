import ChatEngine
import ChatModel
import LSMTree
import ShardStore

// What a node refuses because of its disk.
extension ChatNode {
    private static let fullRetryMs: Milliseconds = 60_000

    /// Why a command must not get into the log as the disk is now; nil when it may.
    ///
    /// What makes room is always taken: erasures. What users add to is refused first; what the node
    /// itself writes of it, feeds and last seen times, goes on until the room is used up.
    ///
    /// Nor may a command whose partition lies in a damaged table: when it was decided it could not
    /// be applied, and the node would have to stop. Only a node that is alone comes here with one.
    func storageRefusal(_ command: Command) -> ServiceError? {
        if isOverDamage(command) {
            return ServiceError(
                .readOnly, "what this changes is in a damaged table: see the server's log",
                retryAfterMs: Self.fullRetryMs)
        }
        let isRefused =
            switch disk.room {
            case .ample: false
            case .short: command.isAddition
            case .exhausted: command.needsRoom
            }
        return isRefused ? Self.diskIsFull : nil
    }

    static var diskIsFull: ServiceError {
        ServiceError(
            .readOnly, "the server's disk is full; try again later", retryAfterMs: fullRetryMs)
    }

    private func isOverDamage(_ command: Command) -> Bool {
        guard store.tree.hasDamage else { return false }
        // All keys of a partition begin with its slot, in every keyspace.
        let slot = command.slot.rawValue
        func bytes(_ value: UInt16) -> [UInt8] {
            withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) }
        }
        return store.tree.isDamaged(bytes(slot), bytes(slot + 1))
    }
}

extension Command {
    /// True when users add content by it.
    fileprivate var isAddition: Bool {
        switch self {
        case .createAccount, .createGroup, .createDirect, .send, .edit, .registerBlob: true
        case .openDevice, .revokeDevice, .updateProfile, .touchFeed, .setLastSeen, .erase,
            .changeMembers, .setTitle, .mark, .clearWork, .setMap:
            false
        }
    }

    /// False when what it frees is more than what it takes.
    fileprivate var needsRoom: Bool {
        switch self {
        case .erase, .revokeDevice, .clearWork, .setMap: false
        default: true
        }
    }
}
