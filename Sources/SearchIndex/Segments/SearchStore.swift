internal import Bytes
package import Platform

/// The index of one shard on disk: segments, their dead documents, and how far the messages were
/// read, all of which change together. One thread owns it; what it gives out may go anywhere.
///
/// After an error of ``commit(_:cursor:)`` or ``install(_:)`` nobody knows which manifest is on
/// the disk: the store refuses all that follows and must be opened anew.
///
/// Segments are opened when something in them is needed: what rot and loss there are is met then,
/// by a search, a commit or a merge.
package struct SearchStore: ~Copyable {
    /// One segment in use.
    private struct Live {
        let handle: SegmentHandle
        var dead: DeadDocuments
        var deadVersion: UInt64
        /// No document died in an earlier generation than this; nil when none is dead. Not stored:
        /// after an opening the dead count as dead for ever.
        var deadSince: UInt64?

        var summary: SegmentSummary { handle.summary }
        var documents: Int { Int(handle.summary.documents) }
    }

    private let place: SegmentHandle.Place
    private var live: [Live] = []
    private var manifest: SearchManifest
    /// The number of the next file. An index that takes this one's place begins with it, so that
    /// who still searches this one does not take the other's files for its own.
    package private(set) var nextFileID: UInt64
    private var failure: SearchError?
    /// File ids of the inputs of the merge under way.
    private var merging: Set<UInt64> = []

    /// How far the messages were read, as given to the last commit; empty at first.
    package var cursor: [UInt8] { manifest.cursor }

    /// The number of changes so far: what was committed has died or lives since this generation at
    /// the latest.
    package var generation: UInt64 { manifest.generation }

    /// What can be searched now.
    package var snapshot: SearchSnapshot {
        SearchSnapshot(entries: live.map { .init(handle: $0.handle, dead: $0.dead) })
    }

    private var files: any FileSystem { place.files }
    private var directory: String { place.directory }

    private init(place: SegmentHandle.Place, manifest: SearchManifest, nextFileID: UInt64) {
        self.place = place
        self.manifest = manifest
        self.nextFileID = max(manifest.nextFileID, nextFileID)
    }

    // MARK: Opening

    /// Opens the index in `directory`, which is made when it is not there. Reads the manifest and
    /// the lists of dead documents, and looks whether all segments are there. An error of which
    /// ``SearchError/needsRebuild`` is true means: call ``discard(files:directory:)``, open again,
    /// and read all messages.
    ///
    /// - Parameter nextFileID: numbers below are not given to files.
    package static func open(
        files: any FileSystem, directory: String, tokens: TokenVersion, nextFileID: UInt64 = 1
    ) throws(SearchError) -> SearchStore {
        try SearchError.atDisk { () throws(DiskError) in try files.makeDirectory(directory) }
        let place = SegmentHandle.Place(files: files, directory: directory, tokens: tokens)
        var store = SearchStore(
            place: place, manifest: try readManifest(files, directory, tokens),
            nextFileID: nextFileID)
        for entry in store.manifest.entries {
            let dead = try readDead(entry, files, directory)
            store.live.append(
                Live(
                    handle: SegmentHandle(entry.summary, at: place), dead: dead,
                    deadVersion: entry.deadVersion, deadSince: dead.count > 0 ? 0 : nil))
        }
        try store.lookAtNames()
        return store
    }

    private static func readManifest(
        _ files: any FileSystem, _ directory: String, _ tokens: TokenVersion
    ) throws(SearchError) -> SearchManifest {
        guard let stored = try storedManifest(files, directory) else { return SearchManifest() }
        if stored.tokens != tokens { throw .outdated(found: stored.tokens) }
        return stored.manifest
    }

    /// What `MANIFEST` says; nil when there is none.
    static func storedManifest(
        _ files: any FileSystem, _ directory: String
    ) throws(SearchError) -> (manifest: SearchManifest, tokens: TokenVersion)? {
        let path = "\(directory)/\(SearchManifestFormat.name)"
        let isThere = try SearchError.atDisk { () throws(DiskError) in try files.exists(path) }
        if !isThere { return nil }
        let bytes = try read(files, path, max: 1 << 30)
        do { return try SearchManifestFormat.decode(bytes) } catch { throw error.error(in: path) }
    }

    /// Opens a file that must be there.
    static func openFile(
        _ files: any FileSystem, _ path: String
    ) throws(SearchError) -> any File {
        do throws(DiskError) {
            return try files.open(path, .read)
        } catch {
            if error.reason == .notFound { throw lost(path) }
            throw SearchError.reading(path, error)
        }
    }

    private static func lost(_ path: String) -> SearchError {
        .corrupt(file: path, offset: 0, expected: "a file", found: "none")
    }

    /// The bytes of a file that must be there.
    static func read(
        _ files: any FileSystem, _ path: String, max: UInt64
    ) throws(SearchError) -> [UInt8] {
        let file = try openFile(files, path)
        defer { file.close() }
        let size = try SearchError.whileReading(path) { () throws(DiskError) in try file.size() }
        guard size <= max else {
            throw .corrupt(
                file: path, offset: 0, expected: "at most \(max) bytes", found: "\(size)")
        }
        return try SearchError.whileReading(path) { () throws(DiskError) in
            try file.read(Int(size), at: 0)
        }
    }

    /// The dead documents of a segment, as a manifest names them.
    static func readDead(
        _ entry: SearchManifest.Entry, _ files: any FileSystem, _ directory: String
    ) throws(SearchError) -> DeadDocuments {
        let (fileID, documents) = (entry.summary.fileID, Int(entry.summary.documents))
        if entry.deadVersion == 0 { return DeadDocuments(documents: documents) }
        let name = DeadFormat.name(segment: fileID, version: entry.deadVersion)
        let path = "\(directory)/\(name)"
        let bytes = try read(files, path, max: 1 << 33)
        do throws(Rot) {
            let dead = try DeadFormat.decode(
                bytes, segment: fileID, version: entry.deadVersion, documents: documents)
            guard dead.count == Int(entry.dead) else {
                throw Rot(32, "\(entry.dead) dead documents", "\(dead.count)")
            }
            return dead
        } catch {
            throw error.error(in: path)
        }
    }

    static func openSegment(
        _ files: any FileSystem, _ fileID: UInt64, _ path: String
    ) throws(SearchError) -> SegmentReader {
        let file = try openFile(files, path)
        defer { file.close() }
        return try SegmentReader.open(file: file, fileID: fileID)
    }

    /// Sees what is missing. Removes what a crash left behind, and never gives its numbers again.
    private mutating func lookAtNames() throws(SearchError) {
        let files = files
        let directory = directory
        let names = try SearchError.atDisk { () throws(DiskError) in try files.list(directory) }
        var known: Set<String> = [SearchManifestFormat.name]
        for entry in manifest.entries { known.formUnion(Self.names(entry)) }
        let missing = known.subtracting(names).subtracting([SearchManifestFormat.name]).min()
        if let missing { throw Self.lost("\(directory)/\(missing)") }
        for name in names where !known.contains(name) && Self.isOurs(name) {
            if let number = FileName.number(name.prefix(16)), number < .max {
                nextFileID = max(nextFileID, number + 1)
            }
            try SearchError.atDisk { () throws(DiskError) in
                try files.unlink("\(directory)/\(name)")
            }
        }
    }

    static func isOurs(_ name: String) -> Bool {
        name == SearchManifestFormat.newName || name.hasSuffix(SegmentFormat.ending)
            || name.hasSuffix(DeadFormat.ending)
    }

    static func names(_ entry: SearchManifest.Entry) -> [String] {
        let fileID = entry.summary.fileID
        let segment = SegmentFormat.name(fileID)
        return entry.deadVersion == 0
            ? [segment] : [segment, DeadFormat.name(segment: fileID, version: entry.deadVersion)]
    }

    /// Removes an index that must be rebuilt, its manifest first: what a crash leaves is empty or
    /// is removed by the next opening.
    package static func discard(
        files: any FileSystem, directory: String
    ) throws(SearchError) {
        try SearchError.atDisk { () throws(DiskError) in
            try files.makeDirectory(directory)
            let manifest = "\(directory)/\(SearchManifestFormat.name)"
            if try files.exists(manifest) {
                try files.unlink(manifest)
                try files.syncDirectory(directory)
            }
            for name in try files.list(directory) where isOurs(name) {
                try files.unlink("\(directory)/\(name)")
            }
        }
    }

    /// True when the index has a segment in the file at `path`.
    package func hasSegment(at path: String) -> Bool {
        live.contains { place.path(SegmentFormat.name($0.summary.fileID)) == path }
    }
}

// Changing the index.
extension SearchStore {
    /// Makes what happened in `builder` findable and durable, together with the cursor up to which
    /// it happened. A document of the builder replaces every earlier version of itself.
    package mutating func commit(
        _ builder: SegmentBuilder, cursor: [UInt8]
    ) throws(SearchError) {
        precondition(
            cursor.count <= SearchManifestFormat.cursorBytesMax, "a cursor of bounded size")
        var next = live
        let touched = builder.touched()
        for index in next.indices { try touched.kill(in: next[index].handle, &next[index].dead) }
        try changing { (store) throws(SearchError) in
            if !builder.isEmpty {
                let fileID = store.takeFileID()
                let tokens = store.place.tokens
                let summary = try SegmentFileWriter(place: store.place).write(fileID) {
                    (file) throws(SearchError) in
                    try builder.write(to: file, fileID: fileID, tokens: tokens)
                }
                if let summary { next.append(store.fresh(summary)) }
            }
            try store.publish(next, cursor: cursor)
        }
    }

    private func fresh(_ summary: SegmentSummary) -> Live {
        Live(
            handle: SegmentHandle(summary, at: place),
            dead: DeadDocuments(documents: Int(summary.documents)), deadVersion: 0)
    }

    private mutating func changing(
        _ body: (inout SearchStore) throws(SearchError) -> Void
    ) throws(SearchError) {
        if let failure { throw failure }
        do {
            try body(&self)
        } catch {
            failure = error
            throw error
        }
    }

    private mutating func takeFileID() -> UInt64 {
        defer { nextFileID += 1 }
        return nextFileID
    }

    /// Makes `next` the index: new versions of dead documents, then the manifest.
    private mutating func publish(_ wanted: [Live], cursor: [UInt8]) throws(SearchError) {
        var next = wanted.filter { $0.dead.count < $0.documents }
        var manifest = SearchManifest()
        manifest.generation = self.manifest.generation + 1
        manifest.cursor = cursor
        for index in next.indices {
            let fileID = next[index].summary.fileID
            let before = self.manifest.entries.first { $0.summary.fileID == fileID }
            if next[index].dead.count != Int(before?.dead ?? 0) {
                next[index].deadVersion = manifest.generation
                next[index].deadSince = next[index].deadSince ?? manifest.generation
                let name = DeadFormat.name(segment: fileID, version: manifest.generation)
                try writeNew(
                    name,
                    DeadFormat.encode(
                        next[index].dead, segment: fileID, version: manifest.generation))
            }
            manifest.entries.append(
                .init(
                    summary: next[index].summary, deadVersion: next[index].deadVersion,
                    dead: UInt32(next[index].dead.count)))
        }
        manifest.nextFileID = nextFileID
        try syncDirectory()
        try writeNew(
            SearchManifestFormat.newName,
            SearchManifestFormat.encode(manifest, tokens: place.tokens))
        let (files, directory) = (files, directory)
        try SearchError.atDisk { () throws(DiskError) in
            try files.rename(
                "\(directory)/\(SearchManifestFormat.newName)",
                to: "\(directory)/\(SearchManifestFormat.name)")
        }
        try syncDirectory()
        let kept = Set(manifest.entries.flatMap(Self.names))
        let stillborn = wanted.filter { $0.deadVersion == 0 }
            .map { SegmentFormat.name($0.summary.fileID) }
        let old = Set(self.manifest.entries.flatMap(Self.names) + stillborn)
        for name in old.subtracting(kept).sorted() {
            try SearchError.atDisk { () throws(DiskError) in
                try files.unlink("\(directory)/\(name)")
            }
        }
        self.manifest = manifest
        live = next
    }

    private func syncDirectory() throws(SearchError) {
        try SearchError.atDisk { () throws(DiskError) in try files.syncDirectory(directory) }
    }

    private func writeNew(_ name: String, _ bytes: [UInt8]) throws(SearchError) {
        try SearchError.atDisk { () throws(DiskError) in
            let path = "\(directory)/\(name)"
            if try files.exists(path) { try files.unlink(path) }
            let file = try files.open(path, .create)
            defer { file.close() }
            try file.write(bytes, at: 0)
            try file.sync()
        }
    }
}

// Merging, in three steps, so that the long one may run on another thread.
extension SearchStore {
    /// The next merge, if one is due and none is under way.
    package mutating func planMerge() -> MergePlan? {
        if failure != nil || !merging.isEmpty { return nil }
        let candidates = live.map {
            MergePolicy.Candidate(
                documents: $0.documents, dead: $0.dead.count, minTime: $0.summary.minTime)
        }
        return MergePolicy.pick(candidates).map { plan($0) }
    }

    /// A merge of all segments into one; nil when there is at most one, without dead documents.
    package mutating func planFullMerge() -> MergePlan? {
        if failure != nil || !merging.isEmpty || live.isEmpty { return nil }
        if live.count == 1, live[0].dead.count == 0 { return nil }
        return plan(Array(live.indices))
    }

    /// The rewriting of one segment without its dead documents, some of which died in `generation`
    /// or before; of several the one whose died first. Nil when there is none.
    ///
    /// Words of what was erased stand in the files until then. Who wants them gone takes the
    /// ``generation`` after the erasing commit and repeats this, each plan run and installed, until
    /// it is nil: so each segment concerned is rewritten once, one at a time, however much dies
    /// meanwhile, and the others not at all, as a full merge would.
    package mutating func planPurge(diedUntil generation: UInt64 = .max) -> MergePlan? {
        if failure != nil || !merging.isEmpty { return nil }
        var first: (since: UInt64, index: Int)?
        for (index, segment) in live.enumerated() {
            guard let since = segment.deadSince, since <= generation else { continue }
            if first.map({ since < $0.since }) ?? true { first = (since, index) }
        }
        return first.map { plan([$0.index]) }
    }

    private mutating func plan(_ indexes: [Int]) -> MergePlan {
        merging = Set(indexes.map { live[$0].summary.fileID })
        return MergePlan(
            inputs: indexes.map { .init(handle: live[$0].handle, dead: live[$0].dead) },
            generation: generation, fileID: takeFileID(), place: place)
    }

    /// Puts the result of a merge in the place of its inputs. Documents that died since it was
    /// planned are dead in the result too.
    package mutating func install(_ merged: MergedSegment) throws(SearchError) {
        try changing { (store) throws(SearchError) in
            let inputIDs = Set(merged.inputs.map(\.summary.fileID))
            var next = store.live.filter { !inputIDs.contains($0.summary.fileID) }
            var result = merged.summary.map { store.fresh($0) }
            for (input, numbers) in zip(merged.inputs, merged.numbers) {
                // An input that is gone died whole.
                let now = store.live.first { $0.summary.fileID == input.summary.fileID }
                for (document, number) in numbers.enumerated()
                where number != SegmentMerger.gone
                    && now?.dead.contains(UInt32(document)) ?? true
                {
                    if result?.dead.insert(number) == true {
                        result?.deadSince = merged.generation + 1
                    }
                }
            }
            if let result { next.append(result) }
            try store.publish(next, cursor: store.manifest.cursor)
        }
        merging = []
    }

    /// Gives a planned merge up that failed, or whose result is not wanted; a result's file is
    /// removed by the next opening.
    package mutating func abandonMerge() { merging = [] }
}
