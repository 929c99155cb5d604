import Bytes
import ChatModel
import Platform

/// Why a node cannot start: one message for the person at the terminal.
package struct StartFailure: Error, Sendable, CustomStringConvertible {
    /// What is wrong, where, and what to do.
    package let description: String

    /// A failure.
    package init(_ description: String) { self.description = description }
}

/// A node's directory: its lock and its superblock.
///
/// ```
/// DIR/LOCK         held while the node runs; says who holds it
/// DIR/SUPERBLOCK   who this node is (two checksummed copies)
/// DIR/log/         the replicated log
/// DIR/tree/        the sorted tables
/// DIR/blobs/       media volumes
/// ```
final class DataDirectory: Sendable {
    let path: String
    let superblock: Superblock
    private let lock: any DirectoryLock

    /// Takes the directory, making it when it is missing.
    init(_ path: String, seams: NodeSeams) throws {
        let files = seams.fileSystem
        self.path = path
        do {
            try files.makeDirectory(path)
            lock = try files.lock(path + "/LOCK", note: "magpie")
        } catch {
            throw Self.explain(error, path: path)
        }
        superblock = try Superblock.openOrCreate(in: path, seams: seams)
    }

    var logPath: String { path + "/log" }
    var treePath: String { path + "/tree" }
    var blobPath: String { path + "/blobs" }

    func release() { lock.release() }

    private static func explain(_ error: DiskError, path: String) -> StartFailure {
        switch error.reason {
        case .locked(let holder):
            StartFailure(
                "the data directory \(path) is in use by \(holder); "
                    + "stop that server or choose another --data")
        case .denied:
            StartFailure(
                "the data directory \(path) cannot be read or written by this user; "
                    + "change its owner or choose another --data")
        default:
            StartFailure("the data directory \(path) cannot be used: \(error)")
        }
    }
}

/// Who a node is: written once, when its directory is made.
///
/// File of 8,192 bytes, two equal copies 4,096 bytes apart, so that one torn or rotten copy is
/// survived. A copy, little endian:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | magic `MAGPIESB` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | zero |
/// | 16 | 16 | node id |
/// | 32 | 8 | incarnation: chance, drawn when the directory was made |
/// | 40 | 8 | epoch that clients see; changes after a restore |
/// | 48 | 32 | key of tokens, tickets and media URLs |
/// | 80 | 8 | XXH3-64 of bytes 0…79, seed = 1 |
struct Superblock: Equatable, Sendable {
    static let copyBytes = 4096
    private static let magic = Array("MAGPIESB".utf8)
    private static let bodyBytes = 80

    var node: [UInt8]
    var incarnation: UInt64
    var epoch: UInt64
    var key: [UInt8]

    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.copyBytes)
        writer.write(raw: Self.magic)
        writer.write(fixed: UInt32(1))
        writer.write(fixed: UInt32(0))
        writer.write(raw: node)
        writer.write(fixed: incarnation)
        writer.write(fixed: epoch)
        writer.write(raw: key)
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: 1))
        writer.write(raw: [UInt8](repeating: 0, count: Self.copyBytes - writer.count))
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) -> Superblock? {
        guard bytes.count >= bodyBytes + 8 else { return nil }
        let body = Array(bytes[0..<bodyBytes])
        return try? bytes.withUnsafeBytes { raw -> Superblock? in
            var reader = ByteReader(raw)
            guard Array(try reader.readRaw(8)) == magic, try reader.readFixed(UInt32.self) == 1,
                try reader.readFixed(UInt32.self) == 0
            else { return nil }
            let block = Superblock(
                node: Array(try reader.readRaw(16)), incarnation: try reader.readFixed(),
                epoch: try reader.readFixed(), key: Array(try reader.readRaw(32)))
            return try reader.readFixed(UInt64.self) == Checksum.xxh3(body, seed: 1) ? block : nil
        }
    }

    static func openOrCreate(in directory: String, seams: NodeSeams) throws -> Superblock {
        let files = seams.fileSystem
        let path = directory + "/SUPERBLOCK"
        if try files.exists(path) { return try read(path, files) }
        for name in ["log", "tree", "blobs"] where try files.exists(directory + "/" + name) {
            throw StartFailure(
                "\(directory) holds \(name)/ but no SUPERBLOCK: it is no Magpie data directory, "
                    + "or its superblock was lost; restore it from a copy of this directory")
        }
        return try create(path, directory: directory, seams: seams)
    }

    private static func read(_ path: String, _ files: any FileSystem) throws -> Superblock {
        let file = try files.open(path, .read)
        defer { file.close() }
        for copy in 0..<2 {
            var bytes = [UInt8](repeating: 0, count: copyBytes)
            let count = try bytes.withUnsafeMutableBytes {
                try file.read(into: $0, at: UInt64(copy * copyBytes))
            }
            if let block = decode(Array(bytes.prefix(count))) { return block }
        }
        throw StartFailure(
            "\(path): both copies (offsets 0 and \(copyBytes)) fail their checksum; "
                + "restore the file from a copy of this directory")
    }

    /// Written under another name and renamed, so a crash leaves either none or a whole one.
    private static func create(
        _ path: String, directory: String, seams: NodeSeams
    ) throws -> Superblock {
        let files = seams.fileSystem
        let block = Superblock(
            node: UserID(hash: seams.random.bytes(16)).bytes, incarnation: seams.random.word(),
            epoch: 1, key: seams.random.bytes(32))
        let temporary = path + ".new"
        if try files.exists(temporary) { try files.unlink(temporary) }
        let file = try files.open(temporary, .create)
        defer { file.close() }
        let bytes = block.encode()
        for copy in 0..<2 {
            try bytes.withUnsafeBytes { try file.write($0, at: UInt64(copy * copyBytes)) }
        }
        try file.sync()
        try files.rename(temporary, to: path)
        try files.syncDirectory(directory)
        return block
    }
}
