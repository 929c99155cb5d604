import LSMTree
import SortedTable

extension TableInspector {
    /// `sst verify`: the checksum of every block and the digest of the whole file. Quick: rows are
    /// not compared with separators, filters and properties, which `sst check` does.
    func verify(_ path: String) throws {
        var listings = Listings(places)
        try each(path) { path, reader in
            let blocks = try reader.layout().blocks.count
            let digest = try reader.digest()
            let listed = listings.summary(of: path)
            if let listed, listed.bytes != reader.bytes || listed.digest != digest {
                report.addCorrupt(
                    file: path, offset: 0,
                    expected: "\(listed.bytes) bytes with digest \(Self.hex(listed.digest)), as "
                        + "the manifest says",
                    found: "\(reader.bytes) bytes with digest \(Self.hex(digest))")
                return
            }
            let manifest = listed == nil ? "no manifest lists it" : "as its manifest says"
            report.add(
                "table",
                "ok: \(path): \(blocks) blocks, \(reader.bytes) bytes, digest "
                    + "\(Self.hex(digest)), \(manifest)",
                [
                    ("file", .text(path)), ("blocks", .number(blocks)),
                    ("bytes", .number(reader.bytes)), ("digest", .text(Self.hex(digest))),
                    ("isListed", .flag(listed != nil)),
                ])
        }
    }
}

/// What the manifests beside tables say of them. Each manifest is read once.
private struct Listings {
    private let places: Places
    private var byDirectory: [String: [UInt64: TableSummary]] = [:]

    init(_ places: Places) { self.places = places }

    /// What the manifest of the table's directory lists; nil when it does not list it, or can't be
    /// read, which `manifest check` reports.
    mutating func summary(of path: String) -> TableSummary? {
        guard let id = TableName.fileID(Places.name(path)) else { return nil }
        let directory = Places.directory(path)
        if let known = byDirectory[directory] { return known[id] }
        let listed = (try? read(directory)) ?? [:]
        byDirectory[directory] = listed
        return listed[id]
    }

    private func read(_ directory: String) throws -> [UInt64: TableSummary] {
        let fileSystem = places.fileSystem
        guard
            let current = try ManifestReader.currentID(
                fileSystem: fileSystem, directory: directory)
        else { return [:] }
        var shape = TreeShape()
        try ManifestReader.read(fileSystem: fileSystem, directory: directory, id: current) {
            offset, edit in _ = shape.apply(edit, at: offset)
        }
        return Dictionary(
            shape.tables.map { ($0.summary.fileID, $0.summary) }, uniquingKeysWith: { $1 })
    }
}
