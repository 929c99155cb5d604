import Bytes
package import Platform
import SortedTable

/// A manifest as text for people.
package enum ManifestDump {
    /// Lines for every record of manifest `id` in `directory`. Throws at rot.
    package static func lines(
        fileSystem: any FileSystem, directory: String, id: UInt64
    ) throws(TreeError) -> [String] {
        var lines: [String] = []
        try ManifestReader.read(fileSystem: fileSystem, directory: directory, id: id) {
            (offset, edit) throws(TreeError) in
            let end = edit.endsOpening ? ", last" : ""
            lines.append("\(edit.isOpening ? "opening" : "edit") at \(offset)\(end)")
            lines.append("  next file id   \(edit.nextFileID)")
            lines.append("  last sequence  \(edit.lastSequence)")
            if let state = edit.state {
                let shown = Hex.encode(state.prefix(32))
                lines.append("  state          \(state.count) bytes \(shown)")
            }
            for removal in edit.removals {
                lines.append(
                    "  remove  \(name(removal.fileID))  keyspace \(removal.keyspace)"
                        + "  level \(removal.level)")
            }
            for addition in edit.additions {
                let summary = addition.summary
                let properties = summary.properties
                lines.append(
                    "  add     \(name(summary.fileID))  keyspace \(summary.keyspace)"
                        + "  level \(addition.level)  bytes \(summary.bytes)"
                        + "  rows \(properties.rows)  deletes \(properties.deletes)"
                        + "  range deletes \(properties.rangeDeletes)")
                lines.append(
                    "          keys \(Hex.encode(summary.smallestUserKey))"
                        + " … \(Hex.encode(summary.largestUserKey))"
                        + "  sequences \(properties.minSequence) … \(properties.maxSequence)"
                        + "  digest \(String(summary.digest, radix: 16))")
            }
        }
        return lines
    }

    private static func name(_ id: UInt64) -> String { String(id, radix: 16) }
}
