#if canImport(CRocksDB)
    import CRocksDB
    import Foundation
    import Synchronization

    /// RocksDB through its C interface: write-ahead log on, checksums verified, reads pinned.
    // The handles are made by init; RocksDB allows every call used here from any thread.
    final class RocksEngine: StorageEngine, @unchecked Sendable {
        /// The library's, as the first store that was opened says: C has no call for it.
        static var version: String { "RocksDB \(knownVersion.withLock { $0 } ?? "")" }
        private static let knownVersion = Mutex<String?>(nil)
        private static let levels: Int32 = 7

        let database: OpaquePointer
        let asyncWrites: OpaquePointer
        let syncWrites: OpaquePointer
        let reads: OpaquePointer
        private let options: OpaquePointer
        private let isTuned: Bool
        /// Of the one thread that puts; as in db_bench, it is not made anew for each row.
        private let batch: OpaquePointer

        init(_ setup: EngineSetup, isTuned: Bool) throws {
            let directory = setup.directory
            let handles = Self.makeOptions(setup, isTuned: isTuned)
            options = handles
            self.isTuned = isTuned
            database = try Self.orThrow(
                checked("rocksdb", free: { rocksdb_free($0) }) {
                    rocksdb_open(handles, directory, $0)
                })
            asyncWrites = try Self.orThrow(rocksdb_writeoptions_create())
            syncWrites = try Self.orThrow(rocksdb_writeoptions_create())
            reads = try Self.orThrow(rocksdb_readoptions_create())
            batch = try Self.orThrow(rocksdb_writebatch_create())
            rocksdb_writeoptions_set_sync(syncWrites, 1)
            rocksdb_readoptions_set_verify_checksums(reads, 1)
            // Rows are walked over all conversations.
            rocksdb_readoptions_set_total_order_seek(reads, 1)
            Self.noteVersion(directory)
        }

        /// Every store has a file of options with a line `rocksdb_version=…`.
        private static func noteVersion(_ directory: String) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            guard let name = names.filter({ $0.hasPrefix("OPTIONS-") }).max(),
                let data = FileManager.default.contents(atPath: directory + "/" + name)
            else { return }
            let key = "rocksdb_version="
            let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return }
            knownVersion.withLock { $0 = String(line.dropFirst(key.count)) }
        }

        static func orThrow(_ handle: OpaquePointer?) throws -> OpaquePointer {
            guard let handle else { throw EngineError("rocksdb: no memory") }
            return handle
        }

        private static func makeOptions(_ setup: EngineSetup, isTuned: Bool) -> OpaquePointer {
            guard let options = rocksdb_options_create(),
                let table = rocksdb_block_based_options_create()
            else { preconditionFailure("RocksDB makes its options") }
            rocksdb_options_set_create_if_missing(options, 1)
            // Two of them, as is the default: the budget.
            rocksdb_options_set_write_buffer_size(
                options, setup.tableBytes ?? setup.budget.writeBufferBytes / 2)
            if let bytes = setup.tableBytes {
                rocksdb_options_set_target_file_size_base(options, UInt64(bytes))
            }
            let cache = rocksdb_cache_create_lru(setup.budget.blockCacheBytes)
            rocksdb_block_based_options_set_block_cache(table, cache)
            rocksdb_cache_destroy(cache)
            if isTuned { tune(options, table, setup.layout) }
            rocksdb_options_set_block_based_table_factory(options, table)
            rocksdb_block_based_options_destroy(table)
            return options
        }

        private static func tune(
            _ options: OpaquePointer, _ table: OpaquePointer, _ layout: StoreLayout
        ) {
            rocksdb_block_based_options_set_filter_policy(
                table, rocksdb_filterpolicy_create_bloom_full(10))
            rocksdb_block_based_options_set_format_version(table, 5)
            rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
            rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1)
            var compression = [Int32](repeating: Int32(rocksdb_lz4_compression), count: Int(levels))
            compression[0] = Int32(rocksdb_no_compression)
            compression[1] = Int32(rocksdb_no_compression)
            rocksdb_options_set_compression_per_level(options, &compression, compression.count)
            rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1)
            rocksdb_options_set_bytes_per_sync(options, 1 << 20)
            rocksdb_options_set_max_background_jobs(options, 2)
            rocksdb_options_set_enable_pipelined_write(options, 1)
            rocksdb_options_set_recycle_log_file_num(options, 4)
            if layout == .chat {
                rocksdb_options_set_prefix_extractor(
                    options, rocksdb_slicetransform_create_fixed_prefix(1 + ConversationName.bytes))
            }
        }

        func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
            rocksdb_writebatch_clear(batch)
            rocksdb_writebatch_put(batch, key.chars, key.count, value.chars, value.count)
            try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_write(database, asyncWrites, batch, $0)
            }
        }

        func get(_ key: UnsafeRawBufferPointer) throws -> Int? {
            let slice = try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_get_pinned(database, reads, key.chars, key.count, $0)
            }
            guard let slice else { return nil }
            var count = 0
            _ = rocksdb_pinnableslice_value(slice, &count)
            rocksdb_pinnableslice_destroy(slice)
            return count
        }

        func rows() throws -> RocksRows {
            RocksRows(try Self.orThrow(rocksdb_create_iterator(database, reads)))
        }

        func makeWriter() throws -> RocksWriter {
            RocksWriter(self, batch: try Self.orThrow(rocksdb_writebatch_create()))
        }

        /// Newest first: from the end of the page backwards. A bound ends the walk.
        func page(
            _ conversation: ConversationName, below seq: UInt64, rows: Int
        ) throws -> (rows: Int, bytes: Int) {
            let length = 1 + ConversationName.bytes
            let bytes = 2 * length + 8
            return try withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 8) { raw in
                guard let base = raw.baseAddress else { return (0, 0) }
                let bounds = base.assumingMemoryBound(to: CChar.self)
                raw[0] = 1
                conversation.write(to: base + 1)
                (base + length).copyMemory(from: base, byteCount: length)
                // Rows below the seq, or all of them: no seq is as large as this.
                let last = seq == .max ? seq : seq - 1
                (base + 2 * length).storeBytes(of: last.bigEndian, as: UInt64.self)
                let options = try Self.orThrow(rocksdb_readoptions_create())
                defer { rocksdb_readoptions_destroy(options) }
                rocksdb_readoptions_set_verify_checksums(options, 1)
                rocksdb_readoptions_set_iterate_lower_bound(options, bounds, length)
                if isTuned {
                    rocksdb_readoptions_set_prefix_same_as_start(options, 1)
                } else {
                    rocksdb_readoptions_set_total_order_seek(options, 1)
                }
                let iterator = try Self.orThrow(rocksdb_create_iterator(database, options))
                defer { rocksdb_iter_destroy(iterator) }
                rocksdb_iter_seek_for_prev(iterator, bounds + length, length + 8)
                var (count, bytes) = (0, 0)
                while rocksdb_iter_valid(iterator) != 0, count < rows {
                    count += 1
                    bytes += RocksRows.rowBytes(iterator)
                    if count < rows { rocksdb_iter_prev(iterator) }
                }
                return (count, bytes)
            }
        }

        func drain() {}
        func awaitRecovery() {}

        func flush() throws {
            let flush = try Self.orThrow(rocksdb_flushoptions_create())
            defer { rocksdb_flushoptions_destroy(flush) }
            rocksdb_flushoptions_set_wait(flush, 1)
            try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_flush(database, flush, $0)
            }
        }

        func settle() throws {
            try flush()
            let names = [
                "rocksdb.num-running-compactions", "rocksdb.num-running-flushes",
                "rocksdb.compaction-pending", "rocksdb.mem-table-flush-pending",
            ]
            Quiet.wait {
                names.allSatisfy { name in
                    var value: UInt64 = 0
                    return rocksdb_property_int(database, name, &value) == 0 && value == 0
                }
            }
        }

        func close() {
            rocksdb_close(database)
            rocksdb_writeoptions_destroy(asyncWrites)
            rocksdb_writeoptions_destroy(syncWrites)
            rocksdb_readoptions_destroy(reads)
            rocksdb_writebatch_destroy(batch)
            rocksdb_options_destroy(options)
        }
    }

    /// Appends messages as write batches; RocksDB groups the commits of its threads itself.
    final class RocksWriter: ChatWriter {
        private let engine: RocksEngine
        private let batch: OpaquePointer
        private let builder = ChatRowBuilder()

        init(_ engine: RocksEngine, batch: OpaquePointer) {
            self.engine = engine
            self.batch = batch
        }

        deinit { rocksdb_writebatch_destroy(batch) }

        func commit(_ message: ChatMessage) throws { try write(message, engine.syncWrites) }
        func load(_ message: ChatMessage) throws { try write(message, engine.asyncWrites) }

        private func write(_ message: ChatMessage, _ options: OpaquePointer) throws {
            rocksdb_writebatch_clear(batch)
            builder.rows(of: message) { key, value in
                rocksdb_writebatch_put(batch, key.chars, key.count, value.chars, value.count)
            }
            try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_write(engine.database, options, batch, $0)
            }
        }
    }

    /// A RocksDB iterator as a cursor.
    final class RocksRows: RowCursor {
        private let iterator: OpaquePointer

        init(_ iterator: OpaquePointer) { self.iterator = iterator }

        deinit { rocksdb_iter_destroy(iterator) }

        func seekToFirst() { rocksdb_iter_seek_to_first(iterator) }
        func seekToLast() { rocksdb_iter_seek_to_last(iterator) }
        func seek(_ key: UnsafeRawBufferPointer) {
            rocksdb_iter_seek(iterator, key.chars, key.count)
        }
        func next() { rocksdb_iter_next(iterator) }
        func previous() { rocksdb_iter_prev(iterator) }
        var isValid: Bool { rocksdb_iter_valid(iterator) != 0 }
        var rowBytes: Int { Self.rowBytes(iterator) }

        static func rowBytes(_ iterator: OpaquePointer) -> Int {
            var (key, value) = (0, 0)
            _ = rocksdb_iter_key(iterator, &key)
            _ = rocksdb_iter_value(iterator, &value)
            return key + value
        }
    }
#endif
