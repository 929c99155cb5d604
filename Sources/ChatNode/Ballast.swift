import Bytes
import Platform

/// A file that only takes room, so that there is some to give when the disk is full.
///
/// It is really written, with bytes that no file system folds away, and gets its name when it is
/// durable: a file of that name and the right size is whole. One that is not is removed at the
/// start. Belongs to the disk lane.
// Confined: `open` uses it before the lane has jobs, then only jobs of the disk lane do.
final class Ballast: @unchecked Sendable {
    private static let name = "ballast"
    private static let partName = "ballast.part"
    private static let chunkBytes = 256 << 10

    private let files: any FileSystem
    private let directory: String
    private let size: UInt64
    private var part: (any File)?
    /// Bytes that are written.
    private(set) var bytes: UInt64 = 0

    /// Finds what there is in the data directory.
    init(_ files: any FileSystem, _ directory: String, size: UInt64) throws(DiskError) {
        self.files = files
        self.directory = directory
        self.size = size
        try remove(Self.partName)
        guard try files.exists(path(Self.name)) else { return }
        let file = try files.open(path(Self.name), .read)
        defer { file.close() }
        bytes = try file.size()
        if bytes != size { try giveUp() }
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private func remove(_ name: String) throws(DiskError) {
        if try files.exists(path(name)) { try files.unlink(path(name)) }
    }

    /// Gives the room back. A crash may bring the file back, and then it is whole.
    func giveUp() throws(DiskError) {
        part?.close()
        part = nil
        try remove(Self.partName)
        try remove(Self.name)
        bytes = 0
    }

    /// Writes on, at most `count` bytes; the last of them make it whole. When that fails the part
    /// is given up.
    func write(_ count: UInt64) throws(DiskError) {
        do throws(DiskError) {
            try extend(min(size, bytes + count))
        } catch {
            try giveUp()
            throw error
        }
    }

    private func extend(_ end: UInt64) throws(DiskError) {
        if bytes == size { return }
        let file: any File
        if let part { file = part } else { file = try files.open(path(Self.partName), .create) }
        part = file
        while bytes < end {
            let chunk = Self.noise(Int(min(UInt64(Self.chunkBytes), end - bytes)), at: bytes)
            try file.write(chunk, at: bytes)
            bytes += UInt64(chunk.count)
        }
        guard bytes == size else { return }
        try file.sync()
        file.close()
        part = nil
        try files.rename(path(Self.partName), to: path(Self.name))
        try files.syncDirectory(directory)
    }

    /// Bytes that don't compress and don't repeat.
    private static func noise(_ count: Int, at offset: UInt64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { target in
            for place in stride(from: 0, to: count, by: 8) {
                let word = SplitMix64.mix(offset &+ UInt64(place))
                withUnsafeBytes(of: word.littleEndian) { source in
                    let end = min(count, place + 8)
                    target[place..<end].copyBytes(from: source[..<(end - place)])
                }
            }
        }
        return bytes
    }
}
