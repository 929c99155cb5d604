package import Platform

/// What a simulated file system can be asked to do.
package enum DiskOperation: String, Sendable, CaseIterable {
    case create, write, sync, preallocate, truncate, rename, link, unlink, syncDirectory
    case makeDirectory, open, read, list, size, lock

    /// True when it changes names, bytes or durability: these are counted, and a crash can be
    /// planned at each.
    package var isChange: Bool {
        switch self {
        case .open, .read, .list, .size, .lock: false
        default: true
        }
    }
}

/// One operation, as the hook sees it.
package struct DiskEvent: Sendable {
    /// Count of changes before this one.
    package let index: Int
    /// What is done.
    package let operation: DiskOperation
    /// To which file or directory.
    package let path: String
    /// Bytes read or written.
    package let bytes: Int
}

/// A power cut at one operation.
package struct CrashPlan: Sendable {
    /// Where in the operation the power goes.
    package enum Moment: Sendable, CaseIterable {
        /// The operation does not happen.
        case before
        /// A write stops somewhere in the middle; other operations happen or not.
        case during
        /// The operation happens, but its caller never hears of it.
        case after
    }

    /// The index of the change it happens at, counted as ``SimulatedFileSystem/operationCount``.
    package var index: Int
    /// Where in that operation.
    package var moment: Moment
    /// What survives is drawn from this.
    package var seed: UInt64

    /// A power cut at change `index`.
    package init(index: Int, moment: Moment, seed: UInt64) {
        self.index = index
        self.moment = moment
        self.seed = seed
    }
}

/// An error that the simulated disk gives.
package struct DiskFault: Sendable {
    /// How often it strikes.
    package enum Occurrence: Sendable {
        /// The next time, then never.
        case once
        /// After so many operations that match went well, and from then on.
        case after(Int)
        /// Every time.
        case always
        /// So often of 65,536.
        case chance(UInt64)
    }

    /// Operations it strikes.
    package var operations: [DiskOperation]
    /// Strikes paths that contain this; empty: all.
    package var pathContains: String
    /// The error. A failed sync drops dirty pages; `noSpace` may write a part first.
    package var reason: DiskError.Reason
    /// How often.
    package var occurrence: Occurrence

    /// A fault that strikes `operations` on paths containing `pathContains`.
    package init(
        _ operations: [DiskOperation], _ reason: DiskError.Reason, on pathContains: String = "",
        _ occurrence: Occurrence = .once
    ) {
        self.operations = operations
        self.pathContains = pathContains
        self.reason = reason
        self.occurrence = occurrence
    }
}

/// Sees what a simulated disk takes and what is durable on it. Called inside the disk's lock: it
/// must not call back.
package protocol PlatterWatch: AnyObject, Sendable {
    /// Bytes were written; they are in the cache.
    func wrote(_ bytes: UnsafeRawBufferPointer, to path: String, inode: Int)
    /// A file's bytes reached the platter.
    func synced(inode: Int)
}
