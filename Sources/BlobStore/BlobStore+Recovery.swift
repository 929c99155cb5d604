package import Platform

/// Starting a store: every volume's record headers are read, never whole volumes.
extension BlobStore {
    private static let rewriteBytes = 1 << 20

    /// Opens the store in `directory`, which is made when missing.
    ///
    /// Unfinished uploads are removed, torn tails are cut, and what no mark proves to be durable is
    /// checked page by page and written again. What can't be read although it was durable is
    /// left as it is and told in ``damage``; its blobs are missing.
    ///
    /// - Parameter random: gives each volume its salt.
    package static func open(
        fileSystem: any FileSystem, directory: String,
        options: BlobStoreOptions = BlobStoreOptions(), random: any RandomSource
    ) throws(BlobError) -> BlobStore {
        let files = VolumeFiles(
            fileSystem: fileSystem, directory: directory, openMax: options.openFilesMax)
        var state = State()
        var damage: [BlobDamage] = []
        do throws(DiskError) {
            try fileSystem.makeDirectory(directory)
            for name in try fileSystem.list(directory) {
                guard let (id, isUpload) = VolumeName.parse(name) else { continue }
                state.nextID = max(state.nextID, id &+ 1)
                if isUpload {
                    try fileSystem.unlink("\(directory)/\(name)")
                } else {
                    damage += try read(id, files, options, &state)
                }
            }
            try fileSystem.syncDirectory(directory)
        } catch {
            throw .disk(error)
        }
        return BlobStore(
            fileSystem: fileSystem, directory: directory, options: options, random: random,
            files: files, state: state, damage: damage)
    }

    /// Takes one volume into the index; what is damaged in it.
    private static func read(
        _ id: UInt64, _ files: VolumeFiles, _ options: BlobStoreOptions, _ state: inout State
    ) throws(DiskError) -> [BlobDamage] {
        let file = try files.file(id)
        let scan = try VolumeScanner.scan(file, id: id)
        guard let header = scan.header else {
            if scan.isStillborn { try files.remove(id) }
            return scan.damage
        }
        // Later copies win: they were written because an earlier one was damaged.
        for blob in scan.blobs { state.note(blob.location, of: blob.hash) }
        state.salts[id] = header.salt
        if header.kind == .shared {
            try settle(file, scan)
            if scan.damage.isEmpty, scan.end < options.volumeBytes {
                state.shared = Volume(
                    id: id, salt: header.salt, file: file, end: scan.end, durableEnd: scan.end,
                    blobEnd: scan.end, markedEnd: scan.mark)
            }
        }
        return scan.damage
    }

    /// Cuts what lies behind the end, and makes durable what may have been read from memory only.
    private static func settle(_ file: any File, _ scan: VolumeScan) throws(DiskError) {
        let size = try file.size()
        let start = max(scan.mark, BlobFormat.firstRecord)
        if size == scan.end, start >= scan.end { return }
        var offset = start
        while offset < scan.end {
            let count = Int(min(UInt64(rewriteBytes), scan.end - offset))
            try file.write(try file.read(count, at: offset), at: offset)
            offset += UInt64(count)
        }
        if size > scan.end { try file.truncate(scan.end) }
        try file.sync()
    }
}
