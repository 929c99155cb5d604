import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import SearchIndex
import Synchronization

// What the indexer's lane does in its turns.
extension SearchIndexer {
    // MARK: Touches

    /// Takes what entries touched, at most `budget` rows; true when nothing is left.
    @discardableResult
    func workOff(_ budget: inout Int) -> Bool {
        // The second round takes what came while the first was under way.
        for _ in 0..<2 {
            guard workOffBatch(&budget) else { return false }
            batch = touches.take()
            batchPlace = 0
            if batch.isEmpty { return true }
            beginBatch()
        }
        return workOffBatch(&budget)
    }

    private func beginBatch() {
        for (group, index) in batch.installed.sorted(by: { $0.key < $1.key }) {
            shard(group)?.beginAnew(upTo: index)
        }
        for group in batch.lost.sorted() { shard(group)?.beginAnew(upTo: nil) }
    }

    /// True when the batch is worked off.
    private func workOffBatch(_ budget: inout Int) -> Bool {
        if batchPlace < batch.touches.count {
            let queries = ChatQueries(tree.snapshot())
            while batchPlace < batch.touches.count {
                if budget <= 0 { return false }
                if workOffTouch(queries, &budget) { batchPlace += 1 }
            }
        }
        endBatch()
        return true
    }

    /// True when all entries of the next touch were looked at.
    private func workOffTouch(
        _ queries: ChatQueries<Snapshot>, _ budget: inout Int
    ) -> Bool {
        let touch = batch.touches[batchPlace]
        guard let shard = shard(touch.shard), !shard.mustRebuild else { return true }
        let first = touch.seqs.lowerBound
        let room = max(1, min(budget, shard.tailRoom))
        let last = min(touch.seqs.upperBound, first + UInt64(room) - 1)
        let conversation = SearchID(touch.conversation)
        do {
            try queries.visitEntries(of: touch.conversation, first...last) { seq, entry in
                shard.take(
                    entry, DocumentKey(conversation: conversation, seq: seq), &tokenizer)
            }
        } catch {
            fail(shard, error)
        }
        budget -= Int(last - first) + 1
        if shard.isTailFull, !shard.isClosed { commit(shard) }
        if last == touch.seqs.upperBound { return true }
        batch.touches[batchPlace].seqs = (last + 1)...touch.seqs.upperBound
        return false
    }

    private func endBatch() {
        for shard in shards where batch.applied[Int(shard.shard)] > 0 {
            shard.took(upTo: batch.applied[Int(shard.shard)])
        }
        if batch.isErasing {
            for shard in shards { shard.wantPurge() }
        }
        if batch.isCut || batch.isErasing {
            for shard in shards where shard.isBehind && !dueCommits.contains(shard.shard) {
                dueCommits.append(shard.shard)
            }
        }
        batch = .init(applied: [LogIndex](repeating: 0, count: batch.applied.count))
        batchPlace = 0
    }

    // MARK: The disk

    /// A shard is not opened while a merge writes into its directory.
    func mayOpen(_ shard: SearchShard) -> Bool { merging != shard.shard }

    func open(_ shard: SearchShard) {
        do throws(SearchError) {
            try shard.open()
            if shard.isScanning {
                notice(
                    "search index of shard \(shard.shard): it is made anew from the messages, "
                        + "because \(shard.rebuildReason)")
            }
        } catch {
            fail(shard, error)
        }
    }

    func commit(_ shard: SearchShard) {
        do throws(SearchError) {
            try shard.commit()
        } catch {
            fail(shard, error)
        }
    }

    /// A shard's index cannot be gone on with; the operator hears it once.
    func fail(_ shard: SearchShard, _ error: any Error) {
        // Rows that cannot be read may be missing in the index.
        let isDamaged = (error as? SearchError)?.needsRebuild
        let mustRebuild = isDamaged ?? true
        if shard.fail(nowNs, mustRebuild: mustRebuild, isDamaged: isDamaged ?? false) {
            tellTrouble(shard, error, mustRebuild ? "is made anew" : "is opened again")
        }
    }

    private func tellTrouble(_ shard: SearchShard, _ error: any Error, _ remedy: String) {
        notice(
            "search index of shard \(shard.shard): \(error). The node goes on; the index \(remedy) "
                + "when that can be done")
    }

    /// A search met a file of an index that it cannot read. What is reported of an index that was
    /// thrown away meanwhile is no news.
    func takeDamage(_ error: SearchError) {
        let path: String
        switch error {
        case .corrupt(let file, _, _, _), .otherFormat(let file, _): path = file
        case .disk, .outdated, .tooLarge: return
        }
        guard let shard = shards.first(where: { $0.hasSegment(at: path) }), !shard.isClosed else {
            return
        }
        fail(shard, error)
    }

    // MARK: Scanning

    /// Reads some rows of a shard that is made anew, if there is one. On this lane, so that what is
    /// read and what entries touch come in one order.
    func scan() {
        let start = nowNs
        guard let shard = shards.first(where: { $0.isScanning && $0.dueNs <= start }),
            case .scanning(let key) = shard.phase
        else { return }
        guard hasRoom() else {
            scanDueNs = start &+ NodeLimits.searchPauseNsMin
            return
        }
        do {
            let queries = ChatQueries(tree.snapshot())
            let next = try queries.visitEntries(
                in: shard.slots, from: key, limit: NodeLimits.searchScanRows
            ) { shard.scan($0, &tokenizer) }
            shard.scanned(upTo: next)
        } catch {
            // Its rows cannot be read now: its scan goes on from here later, others' at once.
            if shard.pause(start) { tellTrouble(shard, error, "is gone on with") }
            return
        }
        if shard.isWhole {
            notice("search index of shard \(shard.shard): it is whole again")
            commit(shard)
        } else if shard.isTailFull {
            commit(shard)
        }
        // Half of the time belongs to others.
        let now = nowNs
        scanDueNs = now &+ max(now &- start, NodeLimits.searchRestNs)
    }

    // MARK: Merges

    /// Begins the next merge that is due, if none is under way.
    func beginMerge() {
        guard merging == nil, nowNs >= mergeDueNs, hasRoom() else { return }
        for shard in shards where !shard.isClosed {
            guard let plan = shard.planPurge() ?? shard.planMerge() else { continue }
            merging = shard.shard
            mergeLane.submit { [self, group = shard.shard] in
                let result = Result { () throws(SearchError) in
                    try plan.run(isCancelled: { [self] in isEnding.load(ordering: .relaxed) })
                }
                finished(group, result)
            }
            return
        }
    }

    func takeMerge(_ group: GroupID, _ result: Result<MergedSegment, SearchError>) {
        merging = nil
        guard let shard = shard(group), !shard.isClosed else { return }
        do throws(SearchError) {
            switch result {
            case .success(let merged): try shard.install(merged)
            case .failure(let error) where error.needsRebuild: throw error
            case .failure:
                // Nothing is lost but the work, and room is what it may lack.
                shard.abandonMerge()
                mergeDueNs = nowNs &+ NodeLimits.searchPauseNsMax
            }
        } catch {
            fail(shard, error)
        }
    }

    // MARK: Figures

    var report: SearchReport {
        var report = SearchReport()
        for shard in shards {
            let contents = shard.contents
            report.documents += contents.documents
            report.segments += contents.segments
            report.bytes += contents.bytes
            report.openedBytes += contents.openedBytes
            report.deadDocuments += contents.deadDocuments
            report.tailEvents += shard.tailEvents
            if !shard.isWhole {
                report.indexing.append(
                    .init(
                        shard: shard.shard, slotsDone: shard.scannedSlots,
                        slots: shard.slotCount))
            }
        }
        report.isMerging = merging != nil
        return report
    }
}
