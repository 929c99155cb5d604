import Bytes
import Foundation

/// A small file system of its own, in memory, with a ballast that makes it full or gives room.
final class FullDisk {
    private static let bytes = 24 << 20
    /// Room that is left at most when the ballast is in.
    private static let roomMax: UInt64 = 256 << 10

    let directory: String
    private var ballast: String { directory + "/ballast" }

    /// Mounts it; says why it can't be done otherwise.
    init(at directory: String) throws {
        self.directory = directory
        guard mount("tmpfs", directory, "tmpfs", 0, "size=\(Self.bytes)") == 0 else {
            let reason = String(cString: strerror(errno))
            throw TortureError("no small file system can be mounted at \(directory): \(reason)")
        }
    }

    func unmount() {
        _ = umount2(directory, Int32(MNT_DETACH))
    }

    /// Takes room away, now and then, so that the store that is started next meets the end of it.
    func squeeze(_ generator: inout SplitMix64) throws {
        if FileManager.default.fileExists(atPath: ballast) { return }
        if generator.next() % 4 == 0 { return }
        var facts = statvfs()
        guard statvfs(directory, &facts) == 0 else { throw TortureError("statvfs: errno \(errno)") }
        let free = UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
        let room = generator.next() % Self.roomMax
        if free <= room { return }
        let made = FileManager.default.createFile(
            atPath: ballast, contents: Data(count: Int(free - room)))
        if !made { throw TortureError("the ballast can't be written") }
    }

    /// Gives the room back.
    func release() throws {
        if FileManager.default.fileExists(atPath: ballast) {
            try FileManager.default.removeItem(atPath: ballast)
        }
    }
}
