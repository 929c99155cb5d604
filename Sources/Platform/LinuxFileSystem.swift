import Glibc

/// Files of the Linux kernel.
///
/// Descriptors carry O_CLOEXEC. Interrupted calls are repeated, a failed sync never is.
package struct LinuxFileSystem: FileSystem {
    /// The file system of this machine.
    package init() {}

    /// By open; a new file gets mode 0644.
    package func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any File {
        let flags: Int32
        switch mode {
        case .read: flags = O_RDONLY
        case .readWrite: flags = O_RDWR
        case .create: flags = O_RDWR | O_CREAT | O_EXCL
        }
        let descriptor = try LinuxCall.retrying("open", path) {
            Glibc.open(path, flags | O_CLOEXEC, 0o644)
        }
        return LinuxFile(descriptor: descriptor, path: path)
    }

    /// By readdir; a name that is not UTF-8 comes back repaired, and can't be opened by that.
    package func list(_ directory: String) throws(DiskError) -> [String] {
        guard let stream = opendir(directory) else {
            throw DiskError(.init(errno: errno), "opendir", directory)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                if code != 0 { throw DiskError(.init(errno: code), "readdir", directory) }
                break
            }
            let length = strnlen(Self.name(of: entry), 256)
            let bytes = UnsafeRawBufferPointer(start: Self.name(of: entry), count: length)
            let name = String(decoding: bytes, as: UTF8.self)
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func name(of entry: UnsafeMutablePointer<dirent>) -> UnsafePointer<CChar> {
        let start = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19
        return UnsafeRawPointer(entry).advanced(by: start).assumingMemoryBound(to: CChar.self)
    }

    /// By mkdir with mode 0755, and a sync of each directory that got a new name.
    package func makeDirectory(_ path: String) throws(DiskError) {
        if mkdir(path, 0o755) == 0 {
            try syncDirectory(Self.parent(of: path))
            return
        }
        switch errno {
        case EEXIST:
            return
        case ENOENT where Self.parent(of: path) != path:
            try makeDirectory(Self.parent(of: path))
            if mkdir(path, 0o755) != 0, errno != EEXIST {
                throw DiskError(.init(errno: errno), "mkdir", path)
            }
            try syncDirectory(Self.parent(of: path))
        default:
            throw DiskError(.init(errno: errno), "mkdir", path)
        }
    }

    /// The directory that holds `path`: `a` for `a/b`, `.` for `a`, `/` for `/a`.
    private static func parent(of path: String) -> String {
        var bytes = [UInt8](path.utf8)
        let slash = UInt8(ascii: "/")
        while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        guard let cut = bytes.lastIndex(of: slash) else { return path == "." ? path : "." }
        return cut == 0 ? "/" : String(decoding: bytes[..<cut], as: UTF8.self)
    }

    /// By rename.
    package func rename(_ source: String, to target: String) throws(DiskError) {
        try LinuxCall.checking("rename", source) { Glibc.rename(source, target) }
    }

    /// By link; fails with ``DiskError/Reason/exists`` when `target` is there.
    package func link(_ source: String, as target: String) throws(DiskError) {
        try LinuxCall.checking("link", target) { Glibc.link(source, target) }
    }

    /// By unlink.
    package func unlink(_ path: String) throws(DiskError) {
        try LinuxCall.checking("unlink", path) { Glibc.unlink(path) }
    }

    /// By fsync on a descriptor of the directory.
    package func syncDirectory(_ path: String) throws(DiskError) {
        let descriptor = try LinuxCall.retrying("open", path) {
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { Glibc.close(descriptor) }
        try LinuxCall.checking("fsync", path) { fsync(descriptor) }
    }

    /// By stat: a link that leads nowhere does not exist.
    package func exists(_ path: String) throws(DiskError) -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return true }
        let code = errno
        if code == ENOENT || code == ENOTDIR { return false }
        throw DiskError(.init(errno: code), "stat", path)
    }

    /// By flock: the kernel gives the lock back when the process dies.
    package func lock(_ path: String, note: String) throws(DiskError) -> any DirectoryLock {
        try LinuxLock.take(path, note: note)
    }

    /// By statvfs, without what is reserved for root.
    package func freeBytes(_ path: String) throws(DiskError) -> UInt64 {
        var status = statvfs()
        try LinuxCall.checking("statvfs", path) { statvfs(path, &status) }
        return UInt64(status.f_bavail) &* UInt64(status.f_frsize)
    }
}

/// Turns return values and errno into ``DiskError``.
enum LinuxCall {
    /// Runs `body` until it is not interrupted; its result when not negative.
    @inline(__always)
    static func retrying<Value: SignedInteger>(
        _ operation: StaticString, _ path: String, _ body: () -> Value
    ) throws(DiskError) -> Value {
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { throw DiskError(.init(errno: code), "\(operation)", path) }
        }
    }

    /// Runs `body` once and throws unless it gives zero.
    static func checking(
        _ operation: StaticString, _ path: String, _ body: () -> Int32
    ) throws(DiskError) {
        if body() != 0 { throw DiskError(.init(errno: errno), "\(operation)", path) }
    }
}

extension DiskError.Reason {
    /// The reason that an errno stands for.
    init(errno code: Int32) {
        switch code {
        case ENOENT: self = .notFound
        case EEXIST: self = .exists
        case ENOSPC, EDQUOT: self = .noSpace
        case EACCES, EPERM, EROFS: self = .denied
        case EBADF: self = .closed
        case EIO: self = .inputOutput
        default: self = .system(code)
        }
    }
}
