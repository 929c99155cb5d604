import Bytes
import Platform
import Synchronization

// The test's side of the simulated disk: crashes, faults, rot, and looking in.
extension SimulatedFileSystem {
    // MARK: Crash and restart

    /// Cuts the power now; what survives is drawn from `seed` at ``restart()``.
    package func crash(seed: UInt64) {
        state.withLock { state in
            if state.pendingCrash == nil { state.pendingCrash = seed }
            state.isDown = true
            state.plan = nil
        }
    }

    /// Ends the process but not the machine: nothing is lost, yet nothing more is durable.
    package func kill() {
        state.withLock { state in
            state.isDown = true
            state.plan = nil
        }
    }

    /// Plans a power cut, or none.
    package func plan(_ plan: CrashPlan?) {
        state.withLock { $0.plan = plan }
    }

    /// True between a crash and ``restart()``.
    package var isDown: Bool { state.withLock { $0.isDown } }

    /// Starts a new life on what survived: old handles and locks are dead, faults, plan and hook
    /// are gone.
    package func restart() {
        state.withLock { state in
            if let seed = state.pendingCrash {
                var generator = SplitMix64(seed: seed)
                let mood = CrashMood(&generator)
                state.names.crash(&generator, mood)
                for inode in state.inodes.keys.sorted() {
                    state.inodes[inode]?.crash(&generator, mood)
                }
            }
            for inode in state.inodes.keys { state.inodes[inode]?.handles = 0 }
            state.forgetUnreachable()
            state.pendingCrash = nil
            state.plan = nil
            state.faults = []
            state.hook = nil
            state.locks = [:]
            state.life += 1
            state.isDown = false
        }
    }

    // MARK: Faults

    /// Changes so far.
    package var operationCount: Int { state.withLock { $0.operationCount } }

    /// Calls `hook` before every operation, outside of all locks; nil: no hook.
    package func onOperation(_ hook: (@Sendable (DiskEvent) -> Void)?) {
        state.withLock { $0.hook = hook }
    }

    /// Calls `tell` when a planned power cut strikes, on the thread of the operation.
    package func onPowerCut(_ tell: (@Sendable () -> Void)?) {
        state.withLock { $0.onPowerCut = tell.map { PowerCutHook(tell: $0) } }
    }

    /// Adds a fault.
    package func inject(_ fault: DiskFault) {
        state.withLock { $0.faults.append(fault) }
    }

    /// Takes all faults away.
    package func clearFaults() {
        state.withLock { $0.faults = [] }
    }

    /// Bytes of all files that have a name or a handle.
    package var usedBytes: UInt64 { state.withLock { $0.usedBytes } }

    /// Bounds the bytes of all files; writes beyond fail with `.noSpace`.
    package func setCapacity(_ bytes: UInt64) {
        state.withLock { $0.capacity = bytes }
    }

    /// Syncs of files whose paths end so return at once and make nothing durable; an empty ending
    /// means all files, and directories too. Nil: the disk is honest again.
    package func setLying(about ending: String?) {
        state.withLock { $0.lyingEnding = ending }
    }

    /// From now on `watch` sees what is written and what becomes durable.
    package func watch(_ watch: (any PlatterWatch)?) {
        state.withLock { $0.watch = watch }
    }

    /// Everything is gone, names and contents, as with a new disk. Not while a process runs on it.
    package func wipe() {
        state.withLock { state in
            state.names = SimulatedNames()
            state.inodes = [:]
            state.locks = [:]
            state.pendingCrash = nil
            state.life += 1
        }
    }

    // MARK: Looking in, and rot

    /// The bytes of a file as a reader sees them; nil when there is none.
    package func contents(_ path: String) -> [UInt8]? {
        state.withLock { state in
            guard let inode = state.names.seen[SimulatedPath.normal(path)] else { return nil }
            return state.inodes[inode]?.contents
        }
    }

    /// Makes or replaces a file, durably, with its directories.
    package func setContents(_ path: String, _ bytes: [UInt8]) {
        let name = SimulatedPath.normal(path)
        state.withLock { state in
            state.names.makeDirectory(SimulatedPath.parent(name))
            let inode = state.names.seen[name] ?? state.nextInode
            if state.names.seen[name] == nil {
                state.nextInode += 1
                state.names.add(name, inode)
                state.names.sync(SimulatedPath.parent(name))
                state.inodes[inode] = SimulatedInode()
            }
            state.inodes[inode]?.replace(bytes)
        }
    }

    /// Flips one bit of a file, durably, whatever the disk was told.
    package func flipBit(_ path: String, offset: Int, bit: Int) {
        precondition(bit >= 0 && bit < 8, "a bit of a byte")
        state.withLock { state in
            guard let inode = state.names.seen[SimulatedPath.normal(path)] else {
                preconditionFailure("a flip in a file that exists")
            }
            state.inodes[inode]?.flip(byte: offset, mask: 1 << UInt8(bit))
        }
    }

    /// Paths of all files, sorted.
    package var paths: [String] {
        state.withLock { state in
            state.names.seen.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    // MARK: Admission

    /// Runs one operation: counts it, lets the hook see it, and crashes or fails it when planned.
    func perform<Value: Sendable>(
        _ operation: DiskOperation, _ path: String, bytes: Int = 0, life: Int? = nil,
        partly: ((inout State, inout SplitMix64) -> Void)? = nil,
        _ body: (inout State) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        let (index, hook) = state.withLock { state in
            let index = state.operationCount
            if operation.isChange, !state.isDown { state.operationCount += 1 }
            return (index, state.hook)
        }
        hook?(DiskEvent(index: index, operation: operation, path: path, bytes: bytes))
        var isCut = false
        defer { if isCut { tellPowerCut() } }
        // Kept beyond the lock: a handle that nobody gets closes itself, and closing locks.
        var made: Value?
        defer { withExtendedLifetime(made) {} }
        return try state.withLock { (state) throws(DiskError) in
            let name = operation.rawValue
            if state.isDown || (life ?? state.life) != state.life {
                throw DiskError(.closed, name, path)
            }
            let planned = operation.isChange && state.plan?.index == index
            if planned, state.plan?.moment != .after {
                if state.plan?.moment == .during {
                    var generator = SplitMix64(seed: (state.plan?.seed ?? 0) &+ 1)
                    if let partly {
                        partly(&state, &generator)
                    } else if generator.next() % 2 == 0 {
                        made = try? body(&state)
                    }
                }
                Self.cutPower(&state)
                isCut = true
                throw DiskError(.closed, name, path)
            }
            if let reason = state.strike(operation, path) {
                if operation == .write, reason == .noSpace {
                    var generator = SplitMix64(seed: state.generator.next())
                    partly?(&state, &generator)
                }
                if operation == .sync {
                    var generator = SplitMix64(seed: state.generator.next())
                    partly?(&state, &generator)
                }
                throw DiskError(reason, name, path)
            }
            let value = try body(&state)
            made = value
            if planned {
                Self.cutPower(&state)
                isCut = true
                throw DiskError(.closed, name, path)
            }
            return value
        }
    }

    /// Tells of a planned power cut, outside of the lock.
    private func tellPowerCut() {
        let hook = state.withLock { $0.onPowerCut }
        hook?.tell()
    }

    private static func cutPower(_ state: inout State) {
        state.pendingCrash = state.plan?.seed
        state.isDown = true
        state.plan = nil
    }
}

extension SimulatedFileSystem.State {
    /// The error that a fault gives to this operation, if one strikes.
    mutating func strike(_ operation: DiskOperation, _ path: String) -> DiskError.Reason? {
        for index in faults.indices {
            let fault = faults[index]
            guard fault.operations.contains(operation),
                fault.pathContains.isEmpty || path.contains(fault.pathContains)
            else { continue }
            switch fault.occurrence {
            case .once:
                faults.remove(at: index)
                return fault.reason
            case .always, .after(0):
                return fault.reason
            case .after(let left):
                faults[index].occurrence = .after(left - 1)
            case .chance(let odds):
                if generator.next() % 65_536 < odds { return fault.reason }
            }
        }
        return nil
    }
}
