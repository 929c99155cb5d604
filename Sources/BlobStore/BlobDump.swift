import Bytes
package import Platform

/// Volumes as text for people, one line a field.
package enum BlobDump {
    /// Lines for the head of the volume and for each of its blobs, then what is damaged and where
    /// the records end.
    package static func lines(_ file: any File, id: UInt64) throws(BlobError) -> [String] {
        let scan = try onDisk { () throws(DiskError) in
            try VolumeScanner.scan(file, id: id)
        }
        var lines: [String] = []
        if let header = scan.header {
            lines.append("volume \(header.id)")
            lines.append("  kind      \(header.kind == .shared ? "shared" : "single")")
            lines.append("  salt      \(String(header.salt, radix: 16))")
        } else {
            lines.append(scan.isStillborn ? "volume that was never used" : "no volume header")
        }
        for (hash, location) in scan.blobs {
            lines.append("blob at \(location.offset)")
            lines.append("  hash      \(hash)")
            lines.append("  length    \(location.length)")
            lines.append("  pages     \(BlobFormat.pages(location.length))")
        }
        for damage in scan.damage {
            lines.append("rot at \(damage.offset)")
            lines.append("  expected  \(damage.expected)")
            lines.append("  found     \(damage.found)")
        }
        lines.append("end at \(scan.end), proved durable up to \(scan.mark)")
        return lines
    }
}
