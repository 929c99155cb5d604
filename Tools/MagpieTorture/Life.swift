import Bytes
import Foundation
import LSMTree
import Platform

extension Torture {
    /// When a life ends.
    private struct Plan {
        /// The kill comes while the store is opened.
        var isEarly: Bool
        /// Batches acknowledged in this life before the kill.
        var acknowledged: UInt64
        /// And so long after the last of them, or after the first word of an early one.
        var delay: UInt64
        var checkpointAfter: UInt64?
    }

    /// A life under way.
    private struct Course {
        var gathered = Gathered()
        var isShown = false
        var acknowledged: UInt64 = 0
        var began: UInt64 = 0
        var killAt: UInt64?
        var isKilled = false
        var refusal: String?
        var wasFull = false
    }

    private func drawPlan() -> Plan {
        let isEarly = generator.next() % 5 == 0
        let most = generator.next() % 4 == 0 ? UInt64(3000) : 400
        let range = isEarly ? openNanoseconds : 3_000_000
        return Plan(
            isEarly: isEarly, acknowledged: generator.next() % most,
            delay: generator.next() % max(1, range),
            checkpointAfter: generator.next() % 4 == 0 && disk == nil
                ? 20 + generator.next() % 150 : nil)
    }

    /// One worker, from its start to its kill; what it did wrong, or nil.
    func liveOnce() throws -> String? {
        let plan = drawPlan()
        var arguments = arguments(storeDirectory, sizes: generator.next())
        arguments += ["--first", "\(oracle.lastNumber + 1)"]
        if let after = plan.checkpointAfter {
            arguments += [
                "--checkpoint", checkpointDirectory, "--checkpoint-after", "\(after)",
            ]
        }
        let child = try start(arguments)
        var course = Course()
        var problem: String?
        loop: while problem == nil {
            let now = clock.monotonicNanoseconds()
            if let killAt = course.killAt, now >= killAt, !course.isKilled {
                child.kill()
                course.isKilled = true
            }
            let patience = now + Self.patience
            switch try child.next(until: course.isKilled ? patience : course.killAt ?? patience) {
            case .closed: break loop
            case .late:
                if (course.killAt == nil || course.isKilled) && !child.isStopped {
                    problem = "the worker said nothing for 10 minutes"
                }
            case .message(let message): problem = try take(message, &course, plan)
            }
        }
        child.kill()
        let end = child.wait()
        return try problem ?? judge(end, course)
    }

    private func take(_ message: Message, _ course: inout Course, _ plan: Plan) throws -> String? {
        switch message {
        case .started:
            course.began = clock.monotonicNanoseconds()
            if plan.isEarly { course.killAt = course.began + plan.delay }
        case .rows(let place, let keyspace, let rows): course.gathered.add(place, keyspace, rows)
        case .shown(.store):
            let now = clock.monotonicNanoseconds()
            openNanoseconds = max(1_000_000, (openNanoseconds * 3 + now - course.began) / 4)
            course.isShown = true
            if plan.acknowledged == 0, course.killAt == nil { course.killAt = now + plan.delay }
            return judge(course.gathered.take(.store))
        case .shown(.checkpoint): return judgeCheckpoint(course.gathered.take(.checkpoint))
        case .submitted(let number): oracle.submitted(number)
        case .acknowledged(let number):
            guard let fresh = oracle.acknowledged(number) else {
                return "batch \(number) was acknowledged and never submitted"
            }
            course.acknowledged += UInt64(fresh)
            counts.acknowledged += UInt64(fresh)
            if course.acknowledged >= plan.acknowledged, course.killAt == nil {
                course.killAt = clock.monotonicNanoseconds() + plan.delay
            }
        case .checkpointing: checkpointRows = oracle.acknowledgedState
        case .problem(let text): return text
        case .full:
            course.wasFull = true
            if generator.next() % 2 == 0, course.killAt == nil {
                course.killAt = clock.monotonicNanoseconds() + plan.delay
            } else {
                try disk?.release()
            }
        case .refused(let text): course.refusal = text
        }
        return nil
    }

    private func judge(_ end: Child.End, _ course: Course) throws -> String? {
        if let refusal = course.refusal {
            guard disk != nil, refusal.contains("noSpace") else {
                return "the store refused to go on: \(refusal)"
            }
            counts.fullDisks += 1
            try disk?.release()
            return nil
        }
        if course.wasFull { counts.fullDisks += 1 }
        guard course.isKilled, end == .signal(SIGKILL) else {
            return "the worker ended by itself: \(end)"
        }
        counts.kills += 1
        if !course.isShown { counts.killsInRecovery += 1 }
        return nil
    }

    // MARK: Checkpoints

    private func judgeCheckpoint(_ rows: RowModel) -> String? {
        guard let expected = checkpointRows else { return "a checkpoint that nobody asked for" }
        if rows.newest != expected.newest {
            return "the checkpoint ends with batch \(rows.newest ?? 0), "
                + "not \(expected.newest ?? 0)"
        }
        if let difference = rows.difference(from: expected, at: oracle.lastNumber) {
            return "checkpoint: \(difference)"
        }
        counts.checkpoints += 1
        return nil
    }

    /// A checkpoint is whole or not there at all, whenever its maker was killed.
    func lookAtCheckpoint() throws -> String? {
        guard checkpointRows != nil else { return nil }
        defer { checkpointRows = nil }
        let view = try view(
            arguments(storeDirectory, sizes: 0) + ["--checkpoint", checkpointDirectory])
        if let problem = view.problem { return "checkpoint: \(problem)" }
        if let refusal = view.refusal { return "checkpoint: \(refusal)" }
        if let rows = view.rows, let problem = judgeCheckpoint(rows) { return problem }
        if view.rows == nil { counts.halfCheckpoints += 1 }
        if FileManager.default.fileExists(atPath: checkpointDirectory) {
            try FileManager.default.removeItem(atPath: checkpointDirectory)
        }
        return nil
    }
}
