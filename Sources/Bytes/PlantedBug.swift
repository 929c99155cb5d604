#if PlantedBugs
    import Synchronization

    /// Bugs that the simulator must catch. This file, and every place that asks, is compiled under
    /// the package trait `PlantedBugs` alone: no other build has them.
    package enum PlantedBug: UInt8, Sendable, CaseIterable {
        case forgetVote = 1
        case commitOldTerm, cutRot, snapshotWithoutDedup, earlyRead, answerByIndex
        case earlyAcknowledgement, splitCut, localTime, returningFeed, unflushedInstall
        case forgetReleasedVote, acceptOldEpoch
        case findErased, forgetEdit, searchAfterLeaving, trustOldIndex

        private static let active = Atomic<UInt8>(0)

        /// Turns one bug on in this process, or all off.
        package static func plant(_ bug: PlantedBug?) {
            active.store(bug?.rawValue ?? 0, ordering: .relaxed)
        }

        /// True when this one is on.
        @inline(__always)
        package var isOn: Bool { Self.active.load(ordering: .relaxed) == rawValue }
    }
#endif
