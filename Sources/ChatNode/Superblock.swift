import Bytes
import ChatModel
import Platform
import Replication

/// Who a node is: written when its directory is made, and again when it finds its cluster, or gets
/// a new incarnation because its log can't be trusted any more.
///
/// File of 8,192 bytes, two equal copies 4,096 bytes apart, so that one torn or rotten copy is
/// survived. A copy, little endian:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | magic `MAGPIESB` |
/// | 8 | 4 | version, 2 |
/// | 12 | 2 | number of the node in its cluster; 1 when it is alone |
/// | 14 | 1 | 1 when the cluster is formed, otherwise 0 and the fields marked * are zero |
/// | 15 | 1 | number of founders * |
/// | 16 | 16 | node id |
/// | 32 | 8 | incarnation: chance, drawn when the directory was made |
/// | 40 | 8 | epoch that clients see; changes after a restore * |
/// | 48 | 32 | key of tokens, tickets and media URLs * |
/// | 80 | 16 | cluster id * |
/// | 96 | 150 | founders *, ascending by number: u16 number, u64 incarnation; zero where unused |
/// | 246 | 8 | XXH3-64 of bytes 0…245, seed = 2 |
struct Superblock: Equatable, Sendable {
    static let copyBytes = 4096
    private static let magic = Array("MAGPIESB".utf8)
    private static let bodyBytes = 246
    private static let version: UInt32 = 2

    var number: NodeNumber
    var node: [UInt8]
    var incarnation: UInt64
    /// Nil until the cluster is formed.
    var formation: Formation?

    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.copyBytes)
        writer.write(raw: Self.magic)
        writer.write(fixed: Self.version)
        writer.write(fixed: number)
        writer.write(UInt8(formation == nil ? 0 : 1))
        writer.write(UInt8(formation?.founders.count ?? 0))
        writer.write(raw: node)
        writer.write(fixed: incarnation)
        writer.write(fixed: formation?.epoch ?? 0)
        writer.write(raw: formation?.key ?? [UInt8](repeating: 0, count: 32))
        writer.write(raw: formation?.cluster ?? [UInt8](repeating: 0, count: 16))
        for founder in formation?.founders ?? [] {
            writer.write(fixed: founder.number)
            writer.write(fixed: founder.incarnation)
        }
        writer.write(raw: [UInt8](repeating: 0, count: Self.bodyBytes - writer.count))
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: 2))
        writer.write(raw: [UInt8](repeating: 0, count: Self.copyBytes - writer.count))
        return writer.bytes
    }

    /// The superblock of a copy's bytes; nil when they are none of this version.
    static func decode(_ bytes: [UInt8]) -> Superblock? {
        guard bytes.count >= bodyBytes + 8 else { return nil }
        let sum = Checksum.xxh3(Array(bytes[0..<bodyBytes]), seed: 2)
        return try? bytes.withUnsafeBytes { raw -> Superblock? in
            var reader = ByteReader(raw)
            guard Array(try reader.readRaw(8)) == magic, try reader.readFixed() == version
            else { return nil }
            let number: NodeNumber = try reader.readFixed()
            let isFormed = try reader.readByte()
            let count = Int(try reader.readByte())
            guard number > 0, isFormed <= 1, count <= ClusterLimits.nodesMax else { return nil }
            var block = Superblock(
                number: number, node: Array(try reader.readRaw(16)),
                incarnation: try reader.readFixed())
            let epoch: UInt64 = try reader.readFixed()
            let key = Array(try reader.readRaw(32))
            let cluster = Array(try reader.readRaw(16))
            var founders: [Formation.Founder] = []
            for _ in 0..<count {
                founders.append(
                    .init(number: try reader.readFixed(), incarnation: try reader.readFixed()))
            }
            if isFormed == 1 {
                block.formation = Formation(
                    cluster: cluster, epoch: epoch, key: key, founders: founders)
            }
            _ = try reader.readRaw(bodyBytes - reader.offset)
            return try reader.readFixed(UInt64.self) == sum ? block : nil
        }
    }

    /// Reads the superblock of `directory`, or makes one for a directory that is empty.
    static func openOrCreate(
        in directory: String, number: NodeNumber, seams: NodeSeams
    ) throws -> Superblock {
        let files = seams.fileSystem
        let path = directory + "/SUPERBLOCK"
        if try files.exists(path) { return try read(path, files) }
        for name in ["log", "tree", "blobs"] where try files.exists(directory + "/" + name) {
            throw StartFailure(
                "\(directory) holds \(name)/ but no SUPERBLOCK: it is no Magpie data directory, "
                    + "or its superblock was lost; restore it from a copy of this directory")
        }
        let block = Superblock(
            number: number, node: UserID(hash: seams.random.bytes(16)).bytes,
            incarnation: seams.random.word() | 1)
        try block.write(in: directory, files)
        return block
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
            if copy == 0, bytes.starts(with: magic), bytes[8] == 1 {
                throw StartFailure(
                    "\(path) is of version 1: the directory was made before nodes had numbers; "
                        + "read it with the version that made it")
            }
        }
        throw StartFailure(
            "\(path): both copies (offsets 0 and \(copyBytes)) fail their checksum; "
                + "restore the file from a copy of this directory")
    }

    /// Written under another name and renamed, so a crash leaves either the old or the new one.
    func write(in directory: String, _ files: any FileSystem) throws {
        let path = directory + "/SUPERBLOCK"
        let temporary = path + ".new"
        if try files.exists(temporary) { try files.unlink(temporary) }
        let file = try files.open(temporary, .create)
        defer { file.close() }
        let bytes = encode()
        for copy in 0..<2 {
            try bytes.withUnsafeBytes { try file.write($0, at: UInt64(copy * Self.copyBytes)) }
        }
        try file.sync()
        try files.rename(temporary, to: path)
        try files.syncDirectory(directory)
    }
}

/// What the nodes of a cluster agreed on when it began.
struct Formation: Equatable, Sendable {
    /// A node that was there.
    struct Founder: Equatable, Sendable {
        let number: NodeNumber
        let incarnation: UInt64
    }

    /// 16 bytes of chance.
    let cluster: [UInt8]
    /// What clients see; changes after a restore.
    let epoch: UInt64
    /// The key of tokens, tickets and media URLs, the same on all nodes.
    let key: [UInt8]
    /// The first members of every group, ascending by number.
    let founders: [Founder]

    /// A cluster that begins now.
    init(founders: [Founder], random: any RandomSource) {
        self.init(
            cluster: random.bytes(16), epoch: 1, key: random.bytes(32),
            founders: founders.sorted { $0.number < $1.number })
    }

    init(cluster: [UInt8], epoch: UInt64, key: [UInt8], founders: [Founder]) {
        self.cluster = cluster
        self.epoch = epoch
        self.key = key
        self.founders = founders
    }
}
