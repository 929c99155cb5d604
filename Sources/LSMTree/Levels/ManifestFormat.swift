import Bytes
package import SortedTable

/// What the manifest says, record by record. `docs/formats/manifest.md` has a worked example.
///
/// A tree directory holds `CURRENT`, one manifest and the tables:
///
///     CURRENT                     16 hex digits of the manifest's id, a space, 16 hex digits of
///                                 XXH3-64 of those digits, a newline: 34 bytes
///     NNNNNNNNNNNNNNNN.manifest   records of RecordFile, file id = the number in the name
///     NNNNNNNNNNNNNNNN.sst        tables; numbers are shared with manifests and never reused
///
/// Record payload, integers little endian, lengths and counts varints:
///
/// | field | meaning |
/// |---|---|
/// | u8 version | 1 |
/// | u8 flags | bit 0: there is a state; bit 1: end of the opening; other bits zero |
/// | varint next file id | every listed table has a lower id; never decreases |
/// | varint last sequence | the last sequence that is in tables |
/// | prefixed state | only with flag bit 0: opaque, the owner's |
/// | varint count, then removals | u8 keyspace, u8 level, u64 file id |
/// | varint count, then additions | u8 level, table summary |
///
/// Record type 1 (opening) rebuilds the whole tree: a manifest starts with one or more, the last of
/// which, and only it, has flag bit 1. Record type 2 (edit) changes it. **Everything in one record
/// happens together**: the tables of a cut and the state that says what the cut covers. A move is
/// a removal and an addition of one id.
///
/// Validity: RecordFile's rule for each record; then removed tables must be listed on that level,
/// added ones must not be listed anywhere, levels below 0 must stay disjoint, and every byte must
/// be used. A torn last record is cut (it was never acted on); anything else that is wrong stops
/// the open with a report.
///
/// Known weaknesses: a manifest whose middle is rotten stops the open. ``TreeRepair`` rebuilds it
/// by hand; a replica has peers that have everything.
enum ManifestFormat {
    static let version: UInt8 = 1
    static let openingType: UInt8 = 1
    static let editType: UInt8 = 2
    static let ending = ".manifest"
    static let currentName = "CURRENT"
    static let newCurrentName = "CURRENT.new"
    /// Tables that one opening record lists at most, to keep records small.
    static let tablesPerRecordMax = 4096

    /// The name of the manifest with this id.
    static func name(_ id: UInt64) -> String {
        digits(id) + ending
    }

    /// The id in a manifest's name, or nil.
    static func id(_ name: String) -> UInt64? {
        guard name.utf8.count == 16 + ending.utf8.count, name.hasSuffix(ending) else { return nil }
        return number(name.prefix(16))
    }

    /// The bytes of `CURRENT`.
    static func current(_ id: UInt64) -> [UInt8] {
        let digits = digits(id)
        return [UInt8](
            "\(digits) \(Self.digits(Checksum.xxh3([UInt8](digits.utf8))))\n".utf8)
    }

    /// The manifest id that `CURRENT` names, or nil when the bytes are not that.
    static func currentID(_ bytes: [UInt8]) -> UInt64? {
        guard bytes.count == 34, let text = String(validating: bytes, as: UTF8.self),
            let id = number(text.prefix(16)), current(id) == bytes
        else { return nil }
        return id
    }

    private static func digits(_ value: UInt64) -> String {
        Hex.encode(withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) })
    }

    private static func number(_ digits: some StringProtocol) -> UInt64? {
        guard let bytes = Hex.decode(digits), bytes.count == 8 else { return nil }
        return bytes.reduce(0) { $0 &<< 8 | UInt64($1) }
    }
}

/// One record of the manifest: what changes together.
package struct ManifestEdit: Equatable, Sendable {
    /// A table that a level loses.
    package struct Removal: Equatable, Sendable {
        /// Number of the keyspace.
        package var keyspace: UInt8
        /// The level it is on.
        package var level: UInt8
        /// The table.
        package var fileID: UInt64
    }

    /// A table that a level gets.
    package struct Addition: Equatable, Sendable {
        /// The level it comes to.
        package var level: UInt8
        /// The table; names its keyspace.
        package var summary: TableSummary
    }

    /// True in opening records.
    package var isOpening = false
    /// True in the last opening record.
    package var endsOpening = false
    /// Ids from here on are free.
    package var nextFileID: UInt64
    /// The last sequence that is in tables.
    package var lastSequence: SequenceNumber
    /// The owner's bytes, when they change.
    package var state: [UInt8]?
    /// Tables that go.
    package var removals: [Removal] = []
    /// Tables that come.
    package var additions: [Addition] = []

    /// The record's payload.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 256 + (state?.count ?? 0) + additions.count * 200)
        writer.write(ManifestFormat.version)
        writer.write(UInt8((state == nil ? 0 : 1) | (endsOpening ? 2 : 0)))
        writer.write(varint: nextFileID)
        writer.write(varint: lastSequence)
        if let state { writer.write(prefixed: state) }
        writer.write(varint: UInt64(removals.count))
        for removal in removals {
            writer.write(removal.keyspace)
            writer.write(removal.level)
            writer.write(fixed: removal.fileID)
        }
        writer.write(varint: UInt64(additions.count))
        for addition in additions {
            writer.write(addition.level)
            addition.summary.encode(into: &writer)
        }
        return writer.bytes
    }

    /// Reads a record's payload; `type` is the record's. Throws ``DecodeError`` when it is not one.
    package static func decode(
        type: UInt8, _ payload: UnsafeRawBufferPointer
    ) throws -> ManifestEdit {
        var reader = ByteReader(payload)
        guard type == ManifestFormat.openingType || type == ManifestFormat.editType else {
            throw DecodeError.invalid(offset: 0, what: "manifest record type")
        }
        guard try reader.readByte() == ManifestFormat.version else {
            throw DecodeError.invalid(offset: 0, what: "manifest version")
        }
        let flags = try reader.readByte()
        let isOpening = type == ManifestFormat.openingType
        guard flags & ~3 == 0, isOpening || flags & 2 == 0 else {
            throw DecodeError.invalid(offset: 1, what: "manifest flags")
        }
        var edit = ManifestEdit(
            isOpening: isOpening, endsOpening: flags & 2 != 0,
            nextFileID: try reader.readVarint(), lastSequence: try reader.readVarint())
        guard edit.lastSequence <= InternalKey.sequenceMax else {
            throw DecodeError.invalid(offset: reader.offset, what: "sequence")
        }
        if flags & 1 != 0 { edit.state = try reader.readPrefixedBytes() }
        for _ in 0..<(try reader.readCount(max: payload.count)) {
            edit.removals.append(
                Removal(
                    keyspace: try reader.readByte(), level: try level(&reader),
                    fileID: try reader.readFixed()))
        }
        for _ in 0..<(try reader.readCount(max: payload.count)) {
            edit.additions.append(
                Addition(level: try level(&reader), summary: try TableSummary(from: &reader)))
        }
        try reader.expectEnd()
        return edit
    }

    private static func level(_ reader: inout ByteReader) throws -> UInt8 {
        let level = try reader.readByte()
        guard level < TreeOptions.levelCount else {
            throw DecodeError.invalid(offset: reader.offset - 1, what: "level")
        }
        return level
    }
}
