import Bytes
import Platform

/// What the start found in one volume.
struct VolumeScan {
    /// Blobs in the order of their offsets.
    var blobs: [(hash: BlobHash, location: BlobLocation)] = []
    var damage: [BlobDamage] = []
    var header: VolumeHeader?
    /// Where the records end.
    var end = BlobFormat.firstRecord
    /// Everything below is proved to be durable.
    var mark: UInt64 = 0
    /// The volume was never used: its creation was cut.
    var isStillborn = false
}

/// Reads the records of one volume, trusting nothing.
struct VolumeScanner {
    let file: any File
    let id: UInt64
    private let size: UInt64
    private var scan = VolumeScan()

    private static let searchBytes = 1 << 20

    /// Scans the headers of `file`, and the pages of what no mark proves.
    static func scan(_ file: any File, id: UInt64) throws(DiskError) -> VolumeScan {
        var scanner = VolumeScanner(file: file, id: id, size: try file.size())
        try scanner.run()
        return scanner.scan
    }

    private init(file: any File, id: UInt64, size: UInt64) {
        self.file = file
        self.id = id
        self.size = size
    }

    private mutating func run() throws(DiskError) {
        let front = try file.read(Int(BlobFormat.firstRecord), at: 0)
        guard let header = VolumeHeader.decode(front, id: id) else {
            if size <= BlobFormat.firstRecord {
                scan.isStillborn = true
            } else {
                addDamage(0, "a volume header", "other bytes")
            }
            return
        }
        scan.header = header
        switch header.kind {
        case .single: try readSingle(header)
        case .shared: try readShared(header)
        }
    }

    private mutating func readSingle(_ header: VolumeHeader) throws(DiskError) {
        let offset = BlobFormat.firstRecord
        guard let record = try record(at: offset, header.salt), record.kind == .blob else {
            addDamage(offset, "the record of a single blob", "other bytes")
            return
        }
        add(record, offset)
        scan.mark = size
        scan.end = size
    }

    private mutating func readShared(_ header: VolumeHeader) throws(DiskError) {
        var offset = BlobFormat.firstRecord
        while true {
            if let record = try record(at: offset, header.salt) {
                if record.kind == .blob { add(record, offset) }
                scan.mark = max(scan.mark, record.mark)
                offset += BlobFormat.recordBytes(record.length)
                continue
            }
            guard let next = try nextRecord(behind: offset, header.salt) else { break }
            addDamage(offset, "a record", "other bytes up to \(next)")
            offset = next
        }
        scan.end = offset
        try cutTornBlobs(header.salt)
    }

    /// A valid header at `offset` whose record lies inside the file.
    private func record(at offset: UInt64, _ salt: UInt64) throws(DiskError) -> BlobRecordHeader? {
        guard offset <= size, size - offset >= UInt64(BlobFormat.headerBytes) else { return nil }
        let bytes = try file.read(BlobFormat.headerBytes, at: offset)
        guard bytes.count == BlobFormat.headerBytes,
            let record = bytes.withUnsafeBytes({
                BlobRecordHeader($0, salt: salt, offset: offset)
            }), BlobFormat.recordBytes(record.length) <= size - offset
        else { return nil }
        return record
    }

    /// The first valid record behind a hole, if some record there proves that the hole was durable.
    private func nextRecord(
        behind hole: UInt64, _ salt: UInt64
    ) throws(DiskError) -> UInt64? {
        var first: UInt64?
        var offset = hole + BlobFormat.alignment
        while offset < size {
            let bytes = try file.read(Self.searchBytes, at: offset)
            var index = 0
            while index + BlobFormat.headerBytes <= bytes.count {
                let place = offset + UInt64(index)
                let record = bytes.withUnsafeBytes { raw -> BlobRecordHeader? in
                    let magic = raw.loadUnaligned(fromByteOffset: index, as: UInt32.self)
                    guard UInt32(littleEndian: magic) == BlobFormat.recordMagic else { return nil }
                    let slice = raw[index..<(index + BlobFormat.headerBytes)]
                    return BlobRecordHeader(
                        UnsafeRawBufferPointer(rebasing: slice), salt: salt, offset: place)
                }
                if let record, BlobFormat.recordBytes(record.length) <= size - place {
                    if first == nil { first = place }
                    if record.mark > hole { return first }
                }
                index += Int(BlobFormat.alignment)
            }
            if bytes.count < Self.searchBytes { break }
            offset += UInt64(index)
        }
        return nil
    }

    /// Headers may have reached the disk before their pages: behind the last mark, pages count.
    private mutating func cutTornBlobs(_ salt: UInt64) throws(DiskError) {
        for (index, blob) in scan.blobs.enumerated() {
            let location = blob.location
            if location.offset + BlobFormat.recordBytes(location.length) <= scan.mark { continue }
            if location.offset < scan.mark { continue }
            if try !isWhole(location, salt) {
                scan.blobs.removeSubrange(index...)
                scan.end = location.offset
                return
            }
        }
    }

    private func isWhole(_ location: BlobLocation, _ salt: UInt64) throws(DiskError) -> Bool {
        for page in 0..<BlobFormat.pages(location.length) {
            let offset = BlobFormat.pageOffset(record: location.offset, index: page)
            let start = page * UInt64(BlobFormat.pageBytes)
            let count = Int(min(UInt64(BlobFormat.pageBytes), location.length - start))
            let bytes = try file.read(count + BlobFormat.checksumBytes, at: offset)
            if VolumePage.damage(in: bytes, count: count, salt: salt, offset: offset) != nil {
                return false
            }
        }
        return true
    }

    private mutating func add(_ record: BlobRecordHeader, _ offset: UInt64) {
        let location = BlobLocation(volume: id, offset: offset, length: record.length)
        scan.blobs.append((record.hash, location))
    }

    private mutating func addDamage(_ offset: UInt64, _ expected: String, _ found: String) {
        scan.damage.append(
            BlobDamage(file: file.path, offset: offset, expected: expected, found: found))
    }
}

/// Pages with their checksums.
enum VolumePage {
    /// What is wrong with a page of `count` bytes and its checksum behind; nil: nothing.
    static func damage(
        in bytes: [UInt8], count: Int, salt: UInt64, offset: UInt64
    ) -> (expected: String, found: String)? {
        guard bytes.count == count + BlobFormat.checksumBytes else {
            return ("\(count + BlobFormat.checksumBytes) bytes", "\(bytes.count)")
        }
        return bytes.withUnsafeBytes { raw in
            let stored = UInt64(
                littleEndian: raw.loadUnaligned(fromByteOffset: count, as: UInt64.self))
            let computed = BlobFormat.pageChecksum(
                UnsafeRawBufferPointer(rebasing: raw[..<count]), salt: salt, offset: offset)
            if stored == computed { return nil }
            return ("checksum \(String(stored, radix: 16))", String(computed, radix: 16))
        }
    }

    /// Appends the pages of `bytes`, the first at `offset`, with their checksums.
    static func append(_ bytes: [UInt8], salt: UInt64, offset: UInt64, to target: inout [UInt8]) {
        bytes.withUnsafeBytes { raw in
            var start = 0
            var place = offset
            while start < raw.count {
                let end = min(start + BlobFormat.pageBytes, raw.count)
                let page = UnsafeRawBufferPointer(rebasing: raw[start..<end])
                target.append(contentsOf: page)
                let checksum = BlobFormat.pageChecksum(page, salt: salt, offset: place)
                withUnsafeBytes(of: checksum.littleEndian) { target.append(contentsOf: $0) }
                place += UInt64(page.count + BlobFormat.checksumBytes)
                start = end
            }
        }
    }
}
