import ChatNode
import LSMTree
import RecordLog

/// Disk, scrub, quarantine and garbage in the words of `/status` and `/metrics`.
enum StorageStatus {
    /// Members of a JSON object.
    static func json(_ report: StorageReport) -> String {
        let disk = report.disk
        let scrub = report.scrub
        let last = scrub.lastRound
        let quarantined = report.quarantined.map { table in
            let damage = ClusterStatus.text("\(table.damage)")
            return """
                {"keyspace":"\(table.keyspace)","level":\(table.level),\
                "bytes":"\(table.bytes)","damage":\(damage)}
                """
        }
        return """
            "disk":{"room":"\(disk.room.rawValue)","freeBytes":"\(disk.freeBytes)",\
            "usedBytes":"\(disk.usedBytes)","ballastBytes":"\(disk.ballastBytes)",\
            "ballastGivenUp":\(disk.ballastGivenUp),"waiting":\(disk.isWaiting)},\
            "scrub":{"rounds":\(scrub.rounds),"finishedMs":"\(last?.finishedMs ?? 0)",\
            "bytes":"\(last?.bytes ?? 0)","findings":\(last?.findings ?? 0),\
            "unread":\(last?.unread ?? 0)},\
            "quarantined":[\(quarantined.joined(separator: ","))]
            """
    }

    /// Lines of the Prometheus format.
    static func metrics(_ report: StorageReport) -> String {
        var lines = MetricLines()
        let disk = report.disk
        lines.add("disk_free_bytes", "Bytes that the node may still take.", disk.freeBytes)
        lines.add("disk_used_bytes", "Bytes of tables, log, media and ballast.", disk.usedBytes)
        lines.add("disk_ballast_bytes", "Bytes of ballast that are written.", disk.ballastBytes)
        lines.add(
            "disk_room", "0 ample, 1 short: messages are refused, 2 exhausted: erasures alone.",
            level(of: disk.room))
        lines.add("disk_waiting", "1 while a write waits for room.", disk.isWaiting ? 1 : 0)
        let log = report.log
        lines.start("log_bytes", "Bytes of log files, by what they are.")
        for (kind, bytes) in [
            ("records", log.recordBytes), ("unwritten", log.unwrittenBytes),
            ("spare", log.spareBytes), ("ready", log.readyBytes),
        ] {
            lines.add(bytes, #"kind="\#(kind)""#)
        }
        addScrub(report, to: &lines)
        addGarbage(report.garbage, to: &lines)
        return lines.text
    }

    private static func level(of room: DiskRoom) -> UInt64 {
        switch room {
        case .ample: 0
        case .short: 1
        case .exhausted: 2
        }
    }

    private static func addScrub(_ report: StorageReport, to lines: inout MetricLines) {
        let scrub = report.scrub
        let last = scrub.lastRound
        lines.add("scrub_rounds", "Rounds of the scrub since the start.", scrub.rounds)
        lines.add(
            "scrub_finished_ms", "When the last one ended, in milliseconds since 1970.",
            last?.finishedMs ?? 0)
        lines.add("scrub_bytes", "Bytes checked since the start.", scrub.bytes)
        lines.add("scrub_yields", "Times that it gave way since the start.", scrub.yields)
        lines.add(
            "scrub_unread", "Tables that the last round could not read.",
            UInt64(last?.unread ?? 0))
        lines.add(
            "tables_quarantined", "Tables in which damage was found.",
            UInt64(report.quarantined.count))
    }

    private static func addGarbage(_ garbage: TreeGarbage, to lines: inout MetricLines) {
        lines.add(
            "tables_obsolete_bytes", "Bytes of replaced tables that readers still hold.",
            garbage.obsolete.bytes)
        lines.start(
            "table_garbage_bytes", "Estimate of bytes that nobody can read, by where and why.")
        for keyspace in garbage.keyspaces {
            for (number, level) in keyspace.levels.enumerated() where level.bytes > 0 {
                for (reason, bytes) in [
                    ("covered", level.coveredBytes), ("expired", level.expiredBytes),
                    ("deleted", level.deletedBytes), ("overwritten_max", level.overwrittenBytesMax),
                    ("tombstones", level.tombstoneBytes),
                ] {
                    lines.add(
                        bytes,
                        #"keyspace="\#(keyspace.name)",level="\#(number)",reason="\#(reason)""#)
                }
            }
        }
    }
}
