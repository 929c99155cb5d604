import Platform
import Synchronization

/// Open handles of volumes, the latest used ones.
///
/// A handle that falls out is not closed but let go: it closes itself when its last reader is done.
final class VolumeFiles: Sendable {
    struct State {
        var handles: [UInt64: any File] = [:]
        /// Oldest use first.
        var order: [UInt64] = []
    }

    private let state = Mutex(State())
    private let fileSystem: any FileSystem
    private let directory: String
    private let openMax: Int

    init(fileSystem: any FileSystem, directory: String, openMax: Int) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.openMax = openMax
    }

    /// The volume's file.
    func file(_ id: UInt64) throws(DiskError) -> any File {
        if let file = state.withLock({ $0.use(id) }) { return file }
        let file = try fileSystem.open(path(id), .readWrite)
        state.withLock { state in
            state.handles[id] = file
            state.order.removeAll { $0 == id }
            state.order.append(id)
            while state.order.count > openMax { state.handles[state.order.removeFirst()] = nil }
        }
        return file
    }

    /// Closes the volume's file and removes it.
    func remove(_ id: UInt64) throws(DiskError) {
        state.withLock { state in
            state.handles[id] = nil
            state.order.removeAll { $0 == id }
        }
        try fileSystem.unlink(path(id))
    }

    func path(_ id: UInt64) -> String { "\(directory)/\(VolumeName.name(id, isUpload: false))" }

    func uploadPath(_ id: UInt64) -> String {
        "\(directory)/\(VolumeName.name(id, isUpload: true))"
    }
}

extension VolumeFiles.State {
    mutating func use(_ id: UInt64) -> (any File)? {
        guard let file = handles[id] else { return nil }
        if order.last != id {
            order.removeAll { $0 == id }
            order.append(id)
        }
        return file
    }
}

/// Names of volume files: the id in 16 hexadecimal digits and what it is.
enum VolumeName {
    private static let volume = ".volume"
    private static let upload = ".upload"

    static func name(_ id: UInt64, isUpload: Bool) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
            + (isUpload ? upload : volume)
    }

    /// The id and kind that a name stands for; nil when it is none of ours.
    static func parse(_ name: String) -> (id: UInt64, isUpload: Bool)? {
        let isUpload = name.hasSuffix(upload)
        guard isUpload || name.hasSuffix(volume), let id = UInt64(name.prefix(16), radix: 16),
            Self.name(id, isUpload: isUpload) == name
        else { return nil }
        return (id, isUpload)
    }
}
