import Bytes

/// The names of a simulated file system: what a caller sees, and the changes whose directory was
/// not synced yet. Each of those survives a crash or not, on its own; a rename is one change.
struct SimulatedNames {
    private enum Change {
        case add(String, Int)
        case remove(String, Int)
        case rename(from: String, to: String, Int)

        var directories: [String] {
            switch self {
            case .add(let name, _), .remove(let name, _): [SimulatedPath.parent(name)]
            case .rename(let source, let target, _):
                [SimulatedPath.parent(source), SimulatedPath.parent(target)]
            }
        }

        var inode: Int {
            switch self {
            case .add(_, let inode), .remove(_, let inode), .rename(_, _, let inode): inode
            }
        }
    }

    /// Normal path → inode, as seen.
    private(set) var seen: [String: Int] = [:]
    private var durable: [String: Int] = [:]
    private var pending: [Change] = []
    /// Directories; making one is durable at once.
    private(set) var directories: Set<String> = [""]

    mutating func makeDirectory(_ path: String) {
        var path = path
        while directories.insert(path).inserted { path = SimulatedPath.parent(path) }
    }

    mutating func add(_ path: String, _ inode: Int) {
        seen[path] = inode
        pending.append(.add(path, inode))
    }

    mutating func remove(_ path: String) {
        guard let inode = seen.removeValue(forKey: path) else { return }
        pending.append(.remove(path, inode))
    }

    mutating func rename(_ source: String, to target: String) {
        guard source != target, let inode = seen.removeValue(forKey: source) else { return }
        seen[target] = inode
        pending.append(.rename(from: source, to: target, inode))
    }

    /// Makes the changes in a directory durable, in their order.
    mutating func sync(_ directory: String) {
        var rest: [Change] = []
        for change in pending {
            if change.directories.contains(directory) {
                Self.apply(change, to: &durable)
            } else {
                rest.append(change)
            }
        }
        pending = rest
    }

    /// Settles which names the platter holds.
    mutating func crash(_ generator: inout SplitMix64, _ mood: CrashMood) {
        for change in pending where mood.survives(&generator) {
            Self.apply(change, to: &durable)
        }
        pending = []
        seen = durable
    }

    /// A change needs what came before it: one whose ground is missing did not happen.
    private static func apply(_ change: Change, to names: inout [String: Int]) {
        switch change {
        case .add(let path, let inode):
            if names[path] == nil { names[path] = inode }
        case .remove(let path, let inode):
            if names[path] == inode { names[path] = nil }
        case .rename(let source, let target, let inode):
            if let there = names[source] {
                if there != inode { return }
                names[source] = nil
            }
            names[target] = inode
        }
    }

    /// Inodes that some name, seen or possible after a crash, leads to.
    var reachable: Set<Int> {
        Set(seen.values).union(durable.values).union(pending.map(\.inode))
    }

    /// Names in a directory, files and directories.
    func list(_ directory: String) -> [String] {
        var names: Set<String> = []
        for path in seen.keys where SimulatedPath.parent(path) == directory {
            names.insert(SimulatedPath.last(path))
        }
        for path in directories where path != "" && SimulatedPath.parent(path) == directory {
            names.insert(SimulatedPath.last(path))
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

/// Paths in a normal form: parts joined by `/`, without empty parts and `.`; the root is empty.
enum SimulatedPath {
    static func normal(_ path: String) -> String {
        path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    static func parent(_ path: String) -> String {
        guard let cut = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[..<cut])
    }

    static func last(_ path: String) -> String {
        guard let cut = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: cut)...])
    }
}
