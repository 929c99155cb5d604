import Bytes
import LSMTree
import Platform
import SortedTable

/// Finds the files that a path stands for: a file itself, or what lies anywhere under a directory.
struct Places {
    let fileSystem: any FileSystem

    init(_ fileSystem: any FileSystem = LinuxFileSystem()) {
        self.fileSystem = fileSystem
    }

    /// Table files: the path itself when it is a file, or all `*.sst` under it.
    func tables(_ path: String) throws -> [String] {
        try files(path) { $0.hasSuffix(TableName.ending) }
    }

    /// Log segments: the path itself, or all `NNNNNNNNNNNNNNNN.log` under it.
    func segments(_ path: String) throws -> [String] {
        try files(path) { Self.id($0, ending: ".log") != nil }
    }

    /// Trees: directories with a `CURRENT`, under the path or the path itself.
    func trees(_ path: String) throws -> [String] {
        try files(path) { $0 == "CURRENT" }.map(Self.directory)
    }

    /// Manifests as (directory, id): of a manifest file itself, or those that `CURRENT` files under
    /// a directory name.
    func manifests(_ path: String) throws -> [(directory: String, id: UInt64)] {
        if let id = Self.id(Self.name(path), ending: ".manifest") {
            try expectExists(path)
            return [(Self.directory(path), id)]
        }
        return try trees(path).compactMap { directory in
            try ManifestReader.currentID(fileSystem: fileSystem, directory: directory)
                .map { (directory, $0) }
        }
    }

    /// The last part of a path.
    static func name(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// A path without its last part.
    static func directory(_ path: String) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        return parts.isEmpty ? "." : parts.joined(separator: "/")
    }

    /// The number in a name of 16 hexadecimal digits and an ending.
    static func id(_ name: String, ending: String) -> UInt64? {
        guard name.utf8.count == 16 + ending.utf8.count, name.hasSuffix(ending),
            let bytes = Hex.decode(name.prefix(16))
        else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    func expectExists(_ path: String) throws {
        guard try fileSystem.exists(path) else { throw UsageMistake("there is no \(path)") }
    }

    /// The path itself when it is a file, or the files under it that are wanted by name.
    func files(_ path: String, _ isWanted: (String) -> Bool) throws -> [String] {
        try expectExists(path)
        guard let names = names(path) else { return [path] }
        var found: [String] = []
        walk(path, names, isWanted, &found)
        return found
    }

    private func walk(
        _ directory: String, _ names: [String], _ isWanted: (String) -> Bool,
        _ found: inout [String]
    ) {
        for name in names {
            let path = directory.hasSuffix("/") ? directory + name : directory + "/" + name
            if isWanted(name) {
                found.append(path)
            } else if !name.hasPrefix("damaged-"), let inner = self.names(path) {
                // What a node set aside is damaged for certain; name it to look at it.
                walk(path, inner, isWanted, &found)
            }
        }
    }

    /// The names in a directory; nil when the path is not one.
    func names(_ path: String) -> [String]? {
        try? fileSystem.list(path)
    }
}
