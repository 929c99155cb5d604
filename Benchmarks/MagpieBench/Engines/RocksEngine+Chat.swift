#if canImport(CRocksDB)
    import CRocksDB

    /// What the chat rows ask beside pages.
    extension RocksEngine {
        func scan(
            from conversation: ConversationName, rows: Int,
            _ visit: (UnsafeRawBufferPointer) -> Void
        ) throws {
            let iterator = try Self.orThrow(rocksdb_create_iterator(database, reads))
            defer { rocksdb_iter_destroy(iterator) }
            ([1] + conversation.prefix).withUnsafeBytes {
                rocksdb_iter_seek(iterator, $0.chars, $0.count)
            }
            var count = 0
            while rocksdb_iter_valid(iterator) != 0, count < rows {
                var (keyBytes, valueBytes) = (0, 0)
                let key = UnsafeRawBufferPointer(
                    start: rocksdb_iter_key(iterator, &keyBytes), count: keyBytes)
                _ = rocksdb_iter_value(iterator, &valueBytes)
                guard key.first == 1 else { return }
                visit(UnsafeRawBufferPointer(rebasing: key[1...]))
                count += 1
                if count < rows { rocksdb_iter_next(iterator) }
            }
        }

        func containsChatRow(_ key: UnsafeRawBufferPointer) throws -> Bool { try get(key) != nil }

        /// Range deletes, and files that lie inside a range go at once.
        func drop(_ conversation: ConversationName) throws {
            let batch = try Self.orThrow(rocksdb_writebatch_create())
            defer { rocksdb_writebatch_destroy(batch) }
            let ranges = ([1, 2, 5] as [UInt8]).map { keyspace in
                let lower = [keyspace] + conversation.prefix
                return (lower, lower + [UInt8](repeating: 0xff, count: 33))
            }
            for (lower, upper) in ranges {
                Self.withChars(lower, upper) { lower, upper in
                    rocksdb_writebatch_delete_range(
                        batch, lower.chars, lower.count, upper.chars, upper.count)
                }
            }
            try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_write(database, asyncWrites, batch, $0)
            }
            for (lower, upper) in ranges {
                try Self.withChars(lower, upper) { lower, upper in
                    try checked("rocksdb", free: { rocksdb_free($0) }) {
                        rocksdb_delete_file_in_range(
                            database, lower.chars, lower.count, upper.chars, upper.count, $0)
                    }
                }
            }
        }

        /// What is in memory is flushed for it, so that no log need be copied.
        func checkpoint(to directory: String) throws {
            let checkpoint = try Self.orThrow(
                checked("rocksdb", free: { rocksdb_free($0) }) {
                    rocksdb_checkpoint_object_create(database, $0)
                })
            defer { rocksdb_checkpoint_object_destroy(checkpoint) }
            try checked("rocksdb", free: { rocksdb_free($0) }) {
                rocksdb_checkpoint_create(checkpoint, directory, 0, $0)
            }
        }

        func compact() { rocksdb_compact_range(database, nil, 0, nil, 0) }

        /// The context belongs to the thread and counts at RocksDB's default level.
        var blockReads: UInt64? {
            guard let context = rocksdb_perfcontext_create() else { return nil }
            defer { rocksdb_perfcontext_destroy(context) }
            return rocksdb_perfcontext_metric(context, Int32(rocksdb_block_read_count))
        }

        private static func withChars<Result>(
            _ lower: [UInt8], _ upper: [UInt8],
            _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Result
        ) rethrows -> Result {
            try lower.withUnsafeBytes { lower in
                try upper.withUnsafeBytes { try body(lower, $0) }
            }
        }
    }
#endif
