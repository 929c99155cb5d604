import Foundation
import Platform

/// A worker process and the pipe on which it reports.
final class Child {
    /// How a process ended.
    enum End: Equatable {
        case status(Int32)
        case signal(Int32)
    }

    /// What came of waiting for a message.
    enum Event {
        case message(Message)
        /// Nothing came in time.
        case late
        /// The pipe is closed and everything in it was read.
        case closed
    }

    private let pid: pid_t
    private let pipe: Int32
    private let clock = LinuxClock()
    private var buffer: [UInt8] = []
    private var next = 0
    private var isClosed = false

    /// Starts this program anew with other arguments; what it says on standard error is appended to
    /// a file.
    init(_ arguments: [String], errors: String) throws {
        var ends: [Int32] = [0, 0]
        guard Foundation.pipe(&ends) == 0 else { throw TortureError("pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        var pointers = (["magpie-torture"] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var started = pid_t()
        let code = posix_spawn(&started, "/proc/self/exe", &actions, nil, pointers, environ)
        guard code == 0 else {
            close(ends[0])
            throw TortureError("a worker can't be started: errno \(code)")
        }
        pid = started
        pipe = ends[0]
    }

    /// The next message; waits for it until a monotonic time in nanoseconds.
    func next(until deadline: UInt64) throws -> Event {
        while true {
            if let (message, bytes) = try Message.decode(buffer[next...]) {
                next += bytes
                if next == buffer.count {
                    buffer.removeAll(keepingCapacity: true)
                    next = 0
                }
                return .message(message)
            }
            if isClosed { return .closed }
            let now = clock.monotonicNanoseconds()
            if now >= deadline { return .late }
            try fill(nanoseconds: deadline - now)
        }
    }

    private func fill(nanoseconds: UInt64) throws {
        var entry = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        // The last millisecond is waited out by asking again.
        guard poll(&entry, 1, Int32(clamping: nanoseconds / 1_000_000)) > 0 else { return }
        var part = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(pipe, &part, part.count)
        if count < 0 {
            if errno == EINTR { return }
            throw TortureError("the worker's pipe can't be read: errno \(errno)")
        }
        if count == 0 { isClosed = true }
        buffer.removeFirst(next)
        next = 0
        buffer += part[..<count]
    }

    /// True while somebody has stopped the process (SIGSTOP): then its silence means nothing.
    var isStopped: Bool {
        let facts = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        // The name in front is in brackets and may hold anything.
        let rest = facts?.split(separator: ")").last?.split(separator: " ")
        return rest?.first == "T"
    }

    /// Ends the process as a power cut of the process alone: it gets no say.
    func kill() {
        _ = Foundation.kill(pid, SIGKILL)
    }

    /// Waits for the end.
    func wait() -> End {
        close(pipe)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? .status(status >> 8 & 0xff) : .signal(signal)
    }
}

/// Why the torture cannot go on.
struct TortureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
