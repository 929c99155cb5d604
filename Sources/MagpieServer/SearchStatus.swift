import ChatNode

/// The search index in the words of `/status` and `/metrics`.
enum SearchStatus {
    /// Members of a JSON object.
    static func json(_ report: SearchReport) -> String {
        let indexing = report.indexing.map { shard in
            #"{"shard":\#(shard.shard),"slotsDone":\#(shard.slotsDone),"slots":\#(shard.slots)}"#
        }
        return """
            "documents":"\(report.documents)","segments":\(report.segments),\
            "bytes":"\(report.bytes)","openedBytes":"\(report.openedBytes)",\
            "deadDocuments":"\(report.deadDocuments)",\
            "tail":\(report.tailEvents),"merging":\(report.isMerging),\
            "indexing":[\(indexing.joined(separator: ","))]
            """
    }

    /// Lines of the Prometheus format.
    static func metrics(_ report: SearchReport) -> String {
        var lines = MetricLines()
        lines.add(
            "search_documents", "Messages in segments of the search index.",
            UInt64(report.documents))
        lines.add("search_segments", "Segments of the search index.", UInt64(report.segments))
        lines.add("search_bytes", "Bytes of segments, on the disk.", report.bytes)
        lines.add(
            "search_opened_bytes",
            "Bytes of segments that were used since the start: what is mapped.",
            report.openedBytes)
        lines.add(
            "search_dead_documents", "Messages of segments that were edited or erased since.",
            UInt64(report.deadDocuments))
        lines.add(
            "search_tail", "Changes that the search index has in memory alone.",
            UInt64(report.tailEvents))
        lines.add(
            "search_shards_indexing", "Shards whose search index is being made anew.",
            UInt64(report.indexing.count))
        return lines.text
    }
}
