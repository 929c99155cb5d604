package import Platform

/// What an index on disk consists of, read without changing anything: for tools.
package struct IndexInspection {
    /// A segment as the manifest has it.
    package struct Segment: Sendable {
        /// What the manifest says of the file.
        package let summary: SegmentSummary
        /// Dead documents.
        package let dead: Int
        /// The version of the list of dead documents; 0: there is none.
        package let deadVersion: UInt64
        /// The names of its files: the segment, and the list when there is one.
        package let files: [String]
        fileprivate let entry: SearchManifest.Entry
    }

    /// How many changes there were.
    package let generation: UInt64
    /// The number of the next file.
    package let nextFileID: UInt64
    /// How far the messages were read.
    package let cursor: [UInt8]
    /// How words were cut.
    package let tokens: TokenVersion
    /// The segments, in the manifest's order.
    package let segments: [Segment]
    private let files: any FileSystem
    private let directory: String

    /// The name of the manifest in an index's directory.
    package static var manifestName: String { SearchManifestFormat.name }

    /// Reads the manifest in `directory`; nil when there is none.
    package static func read(
        files: any FileSystem, directory: String
    ) throws(SearchError) -> IndexInspection? {
        guard let (manifest, tokens) = try SearchStore.storedManifest(files, directory) else {
            return nil
        }
        return IndexInspection(files, directory, manifest, tokens)
    }

    private init(
        _ files: any FileSystem, _ directory: String, _ manifest: SearchManifest,
        _ tokens: TokenVersion
    ) {
        generation = manifest.generation
        nextFileID = manifest.nextFileID
        cursor = manifest.cursor
        self.tokens = tokens
        segments = manifest.entries.map {
            Segment(
                summary: $0.summary, dead: Int($0.dead), deadVersion: $0.deadVersion,
                files: SearchStore.names($0), entry: $0)
        }
        self.files = files
        self.directory = directory
    }

    /// Opens a segment with its dead documents, as ``SearchStore`` does.
    package func open(
        _ segment: Segment
    ) throws(SearchError) -> (reader: SegmentReader, dead: DeadDocuments) {
        let place = SegmentHandle.Place(files: files, directory: directory, tokens: tokens)
        let reader = try SegmentHandle(segment.summary, at: place).open()
        return (reader, try SearchStore.readDead(segment.entry, files, directory))
    }

    /// The first document that lives in two of some open segments, which no index allows.
    package static func double(
        in opened: [(reader: SegmentReader, dead: DeadDocuments)]
    ) -> DocumentKey? {
        for (index, (reader, dead)) in opened.enumerated() {
            for document in 0..<UInt32(reader.documentCount) where !dead.contains(document) {
                let key = reader.key(document)
                for other in opened[(index + 1)...] {
                    if let place = other.reader.find(key), !other.dead.contains(place) {
                        return key
                    }
                }
            }
        }
        return nil
    }

    /// Names of files of an index that the manifest does not name, ascending: what a crash left
    /// behind.
    package func strangers() throws(SearchError) -> [String] {
        let known = Set(segments.flatMap(\.files) + [SearchManifestFormat.name])
        let (files, directory) = (files, directory)
        return try SearchError.atDisk { () throws(DiskError) in
            try files.list(directory).filter { SearchStore.isOurs($0) && !known.contains($0) }
        }.sorted()
    }

    // MARK: Single files

    /// The file id in the name of a segment; nil when it is no segment's.
    package static func segmentID(_ name: String) -> UInt64? {
        name.hasSuffix(SegmentFormat.ending)
            ? FileName.number(name.dropLast(SegmentFormat.ending.utf8.count)) : nil
    }

    /// Segment and version in the name of a list of dead documents; nil when it is none.
    package static func deadList(_ name: String) -> (segment: UInt64, version: UInt64)? {
        let parts = name.dropLast(DeadFormat.ending.utf8.count)
            .split(separator: "-", omittingEmptySubsequences: false)
        guard name.hasSuffix(DeadFormat.ending), parts.count == 2,
            let segment = FileName.number(parts[0]), let version = FileName.number(parts[1])
        else { return nil }
        return (segment, version)
    }

    /// Opens one segment by its path, of which the last part is its name.
    package static func openSegment(
        files: any FileSystem, path: String, fileID: UInt64
    ) throws(SearchError) -> SegmentReader {
        try SearchStore.openSegment(files, fileID, path)
    }

    /// What would be found in open segments.
    package static func snapshot(
        of opened: [(reader: SegmentReader, dead: DeadDocuments)]
    ) -> SearchSnapshot {
        SearchSnapshot(opened.map { .init(reader: $0.reader, dead: $0.dead) })
    }

    /// Reads a list of dead documents by itself: it says of how many documents.
    package static func readDead(
        files: any FileSystem, path: String, segment: UInt64, version: UInt64
    ) throws(SearchError) -> DeadDocuments {
        let bytes = try SearchStore.read(files, path, max: 1 << 33)
        do throws(Rot) {
            return try DeadFormat.decode(
                bytes, segment: segment, version: version,
                documents: DeadFormat.storedDocuments(bytes))
        } catch {
            throw error.error(in: path)
        }
    }
}
