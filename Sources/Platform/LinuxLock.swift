import Glibc
import Synchronization

/// An advisory lock (flock) on a file that says who holds it. The kernel gives it back when the
/// process ends, however it ends, so a stale file never blocks a start.
final class LinuxLock: DirectoryLock {
    private let descriptor: Mutex<Int32?>

    private init(descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    static func take(_ path: String, note: String) throws(DiskError) -> LinuxLock {
        let descriptor = try LinuxCall.retrying("open", path) {
            Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        }
        do {
            try hold(descriptor, path, note)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        return LinuxLock(descriptor: descriptor)
    }

    private static func hold(
        _ descriptor: Int32, _ path: String, _ note: String
    ) throws(DiskError) {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            if code != EWOULDBLOCK { throw DiskError(.init(errno: code), "flock", path) }
            throw DiskError(.locked(holder: holder(descriptor)), "flock", path)
        }
        let text = [UInt8]("\(note), process \(getpid()) on \(hostName())\n".utf8)
        try LinuxCall.checking("ftruncate", path) { ftruncate(descriptor, 0) }
        let written = try LinuxCall.retrying("pwrite", path) {
            pwrite(descriptor, text, text.count, 0)
        }
        if written != text.count { throw DiskError(.noSpace, "pwrite", path) }
    }

    /// What the holder wrote about itself; it may be about to.
    private static func holder(_ descriptor: Int32) -> String {
        var text = [UInt8](repeating: 0, count: 512)
        let count = pread(descriptor, &text, text.count, 0)
        guard count > 0 else { return "another process" }
        let line = text[..<count].prefix { $0 != UInt8(ascii: "\n") }
        return String(decoding: line, as: UTF8.self)
    }

    private static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        let code = gethostname(&name, name.count - 1)
        guard code == 0 else { return "this host" }
        let text = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: text, as: UTF8.self)
    }

    func release() {
        let held = descriptor.withLock { value in
            defer { value = nil }
            return value
        }
        guard let held else { return }
        _ = ftruncate(held, 0)
        Glibc.close(held)
    }
}
