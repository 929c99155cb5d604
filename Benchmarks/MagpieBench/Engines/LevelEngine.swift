#if canImport(CLevelDB)
    import CLevelDB

    /// LevelDB through its C interface, checksums verified on every read.
    // `database` changes only in `settle`, when no other thread is at work; LevelDB allows every
    // other call used here from any thread.
    final class LevelEngine: StorageEngine, @unchecked Sendable {
        static let version = "LevelDB \(leveldb_major_version()).\(leveldb_minor_version())"

        private(set) var database: OpaquePointer
        let asyncWrites: OpaquePointer
        let syncWrites: OpaquePointer
        private let reads: OpaquePointer
        private let options: OpaquePointer
        private let cache: OpaquePointer
        private let filter: OpaquePointer
        private let directory: String
        /// Of the one thread that puts.
        private let batch: OpaquePointer

        init(_ setup: EngineSetup) throws {
            directory = setup.directory
            options = try Self.orThrow(leveldb_options_create())
            cache = try Self.orThrow(leveldb_cache_create_lru(setup.budget.blockCacheBytes))
            filter = try Self.orThrow(leveldb_filterpolicy_create_bloom(10))
            leveldb_options_set_create_if_missing(options, 1)
            // One is written while the other is flushed: the budget.
            leveldb_options_set_write_buffer_size(
                options, setup.tableBytes ?? setup.budget.writeBufferBytes / 2)
            if let bytes = setup.tableBytes { leveldb_options_set_max_file_size(options, bytes) }
            leveldb_options_set_cache(options, cache)
            leveldb_options_set_filter_policy(options, filter)
            leveldb_options_set_compression(options, Int32(leveldb_snappy_compression))
            asyncWrites = try Self.orThrow(leveldb_writeoptions_create())
            syncWrites = try Self.orThrow(leveldb_writeoptions_create())
            leveldb_writeoptions_set_sync(syncWrites, 1)
            reads = try Self.orThrow(leveldb_readoptions_create())
            leveldb_readoptions_set_verify_checksums(reads, 1)
            batch = try Self.orThrow(leveldb_writebatch_create())
            database = try Self.open(directory, options)
        }

        private static func open(
            _ directory: String, _ options: OpaquePointer
        ) throws -> OpaquePointer {
            try orThrow(
                checked("leveldb", free: { leveldb_free($0) }) {
                    leveldb_open(options, directory, $0)
                })
        }

        private static func orThrow(_ handle: OpaquePointer?) throws -> OpaquePointer {
            guard let handle else { throw EngineError("leveldb: no memory") }
            return handle
        }

        func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
            leveldb_writebatch_clear(batch)
            leveldb_writebatch_put(batch, key.chars, key.count, value.chars, value.count)
            try checked("leveldb", free: { leveldb_free($0) }) {
                leveldb_write(database, asyncWrites, batch, $0)
            }
        }

        func get(_ key: UnsafeRawBufferPointer) throws -> Int? {
            var count = 0
            let value = try checked("leveldb", free: { leveldb_free($0) }) {
                leveldb_get(database, reads, key.chars, key.count, &count, $0)
            }
            guard let value else { return nil }
            leveldb_free(value)
            return count
        }

        func rows() throws -> LevelRows {
            LevelRows(try Self.orThrow(leveldb_create_iterator(database, reads)))
        }

        func makeWriter() throws -> LevelWriter {
            LevelWriter(self, batch: try Self.orThrow(leveldb_writebatch_create()))
        }

        /// LevelDB has neither bounds nor a seek backwards: to the first row behind the page, and
        /// back from there.
        func page(
            _ conversation: ConversationName, below seq: UInt64, rows: Int
        ) throws -> (rows: Int, bytes: Int) {
            let length = 1 + ConversationName.bytes
            return try withUnsafeTemporaryAllocation(byteCount: length + 8, alignment: 8) { raw in
                guard let base = raw.baseAddress else { return (0, 0) }
                raw[0] = 1
                conversation.write(to: base + 1)
                (base + length).storeBytes(of: seq.bigEndian, as: UInt64.self)
                let cursor = LevelRows(
                    try Self.orThrow(leveldb_create_iterator(database, reads)))
                cursor.seek(UnsafeRawBufferPointer(raw))
                if cursor.isValid { cursor.previous() } else { cursor.seekToLast() }
                let prefix = UnsafeRawBufferPointer(rebasing: raw[..<length])
                var (count, bytes) = (0, 0)
                while cursor.isValid, count < rows, cursor.key.starts(with: prefix) {
                    count += 1
                    bytes += cursor.rowBytes
                    if count < rows { cursor.previous() }
                }
                return (count, bytes)
            }
        }

        func scan(
            from conversation: ConversationName, rows: Int,
            _ visit: (UnsafeRawBufferPointer) -> Void
        ) throws {
            let cursor = LevelRows(try Self.orThrow(leveldb_create_iterator(database, reads)))
            ([1] + conversation.prefix).withUnsafeBytes { cursor.seek($0) }
            var count = 0
            while cursor.isValid, count < rows, cursor.key.first == 1 {
                _ = cursor.rowBytes
                visit(UnsafeRawBufferPointer(rebasing: cursor.key[1...]))
                count += 1
                if count < rows { cursor.next() }
            }
        }

        func containsChatRow(_ key: UnsafeRawBufferPointer) throws -> Bool { try get(key) != nil }

        /// There is no range delete: every row is looked up and removed.
        func drop(_ conversation: ConversationName) throws {
            let batch = try Self.orThrow(leveldb_writebatch_create())
            defer { leveldb_writebatch_destroy(batch) }
            for keyspace in [1, 2, 5] as [UInt8] {
                let prefix = [keyspace] + conversation.prefix
                let cursor = LevelRows(try Self.orThrow(leveldb_create_iterator(database, reads)))
                prefix.withUnsafeBytes { cursor.seek($0) }
                while cursor.isValid, cursor.key.starts(with: prefix) {
                    leveldb_writebatch_delete(batch, cursor.key.chars, cursor.key.count)
                    cursor.next()
                }
            }
            try checked("leveldb", free: { leveldb_free($0) }) {
                leveldb_write(database, asyncWrites, batch, $0)
            }
        }

        /// Not told.
        var blockReads: UInt64? { nil }

        func drain() {}
        func awaitRecovery() {}

        /// There is no flush: opening again turns the log into tables.
        func flush() throws {
            leveldb_close(database)
            database = try Self.open(directory, options)
        }

        func checkpoint(to directory: String) throws {
            throw EngineError("leveldb: there are no checkpoints")
        }

        func compact() { leveldb_compact_range(database, nil, 0, nil, 0) }

        /// When background work ends is not told: the process has used no time for a while then.
        func settle() throws {
            try flush()
            Quiet.waitForIdleProcess()
        }

        func close() {
            leveldb_close(database)
            leveldb_writeoptions_destroy(asyncWrites)
            leveldb_writeoptions_destroy(syncWrites)
            leveldb_readoptions_destroy(reads)
            leveldb_writebatch_destroy(batch)
            leveldb_options_destroy(options)
            leveldb_cache_destroy(cache)
            leveldb_filterpolicy_destroy(filter)
        }
    }

    /// Appends messages as write batches; LevelDB groups the commits of its threads itself.
    final class LevelWriter: ChatWriter {
        private let engine: LevelEngine
        private let batch: OpaquePointer
        private let builder = ChatRowBuilder()

        init(_ engine: LevelEngine, batch: OpaquePointer) {
            self.engine = engine
            self.batch = batch
        }

        deinit { leveldb_writebatch_destroy(batch) }

        func commit(_ message: ChatMessage) throws { try write(message, engine.syncWrites) }
        func load(_ message: ChatMessage) throws { try write(message, engine.asyncWrites) }

        private func write(_ message: ChatMessage, _ options: OpaquePointer) throws {
            leveldb_writebatch_clear(batch)
            builder.rows(of: message) { key, value in
                leveldb_writebatch_put(batch, key.chars, key.count, value.chars, value.count)
            }
            try checked("leveldb", free: { leveldb_free($0) }) {
                leveldb_write(engine.database, options, batch, $0)
            }
        }
    }

    /// A LevelDB iterator as a cursor.
    final class LevelRows: RowCursor {
        private let iterator: OpaquePointer

        init(_ iterator: OpaquePointer) { self.iterator = iterator }

        deinit { leveldb_iter_destroy(iterator) }

        func seekToFirst() { leveldb_iter_seek_to_first(iterator) }
        func seekToLast() { leveldb_iter_seek_to_last(iterator) }
        func seek(_ key: UnsafeRawBufferPointer) {
            leveldb_iter_seek(iterator, key.chars, key.count)
        }
        func next() { leveldb_iter_next(iterator) }
        func previous() { leveldb_iter_prev(iterator) }
        var isValid: Bool { leveldb_iter_valid(iterator) != 0 }

        var rowBytes: Int {
            var (key, value) = (0, 0)
            _ = leveldb_iter_key(iterator, &key)
            _ = leveldb_iter_value(iterator, &value)
            return key + value
        }

        /// The row's key; lives until the cursor moves. Only when valid.
        var key: UnsafeRawBufferPointer {
            var count = 0
            let key = leveldb_iter_key(iterator, &count)
            return UnsafeRawBufferPointer(start: key, count: count)
        }
    }
#endif
