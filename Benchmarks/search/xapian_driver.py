#!/usr/bin/env python3
"""Xapian's driver of `magpie-bench search`: apt-get install python3-xapian, for the system's own Python."""
import os
import shutil

import common

os.environ["XAPIAN_FLUSH_THRESHOLD"] = "200000"
try:
    import xapian
except ImportError:
    common.skip("xapian", "Debian's package python3-xapian", "apt-get install python3-xapian")


class Driver:
    version = f"Xapian {xapian.version_string()} (Debian's Python binding)"
    settings = (
        "glass, flushed after 200,000 documents or by commit(), which syncs; conversation, sender and flags as boolean terms, "
        "time as a value; docid in the order of time; newest first: BoolWeight, descending docid; relevance: "
        "BM25Weight(1.2, 0, 0, 0.75, 0); one segment: compact(); page 10 by offset"
    )

    @staticmethod
    def document(line):
        document = xapian.Document()
        for position, word in enumerate(line.text.split(" ") if line.text else []):
            document.add_posting(word, position)
        document.add_boolean_term(f"XC{line.conversation}")
        document.add_boolean_term(f"XS{line.sender}")
        for bit in range(4):
            if line.flags >> bit & 1:
                document.add_boolean_term(f"XF{bit}")
        document.add_value(0, xapian.sortable_serialise(line.time))
        return document

    def build(self, directory, batches):
        database = xapian.WritableDatabase(directory, xapian.DB_CREATE_OR_OPEN)
        clock, count = common.Clock(), 0
        for lines in batches:
            documents = [(line.number + 1, self.document(line)) for line in lines]
            count += len(lines)
            with clock:
                for number, document in documents:
                    database.replace_document(number, document)
        with clock:
            database.commit()
        database.close()
        return clock, count

    def force(self, directory):
        compact = directory + ".compact"
        database = xapian.Database(directory)
        database.compact(compact)
        database.close()
        shutil.rmtree(directory)
        os.rename(compact, directory)

    def live(self, directory, steps):
        database = xapian.WritableDatabase(directory, xapian.DB_CREATE_OR_OPEN)
        clock, count = common.Clock(), 0
        for lines, changes in steps:
            prepared = self.prepared(lines, changes)
            count += len(lines)
            with clock:
                self.take(database, *prepared)
                database.commit()
        database.close()
        return clock, count

    def prepared(self, lines, changes):
        documents = [(line.number + 1, self.document(line)) for line in lines]
        documents += [(change.line.number + 1, self.document(change.line)) for change in changes if not change.is_removal]
        return documents, [change.line.number + 1 for change in changes if change.is_removal]

    @staticmethod
    def take(database, documents, removed):
        for number, document in documents:
            database.replace_document(number, document)
        for number in removed:
            database.delete_document(number)

    def begin(self, directory):
        self.open(directory)
        self.writer = xapian.WritableDatabase(directory, xapian.DB_OPEN)

    def write(self, lines, changes):
        self.take(self.writer, *self.prepared(lines, changes))

    def commit(self):
        self.writer.commit()
        self.refresh()

    def refresh(self):
        self.database.reopen()

    def open(self, directory):
        self.directory = directory
        self.database = xapian.Database(directory)
        self.newest = xapian.Enquire(self.database)
        self.newest.set_weighting_scheme(xapian.BoolWeight())
        self.newest.set_docid_order(xapian.Enquire.DESCENDING)
        self.ranked = xapian.Enquire(self.database)
        self.ranked.set_weighting_scheme(xapian.BM25Weight(1.2, 0, 0, 0.75, 0))
        self.writer = None

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.newest = self.ranked = self.database = None

    def count(self):
        return self.database.get_doccount()

    def segments(self):
        return 1

    def components(self, directory):
        return {os.path.basename(path): size for path, size in common.files(directory)}

    @staticmethod
    def words(query):
        words, op = query["words"], query["op"]
        if op == "word":
            return xapian.Query(words[0])
        if op == "prefix":
            return xapian.Query(xapian.Query.OP_WILDCARD, words[0], 0, xapian.Query.WILDCARD_LIMIT_ERROR)
        if op == "phrase":
            return xapian.Query(xapian.Query.OP_PHRASE, words, len(words))
        if op == "not":
            return xapian.Query(xapian.Query.OP_AND_NOT, xapian.Query(words[0]), xapian.Query(words[1]))
        return xapian.Query(xapian.Query.OP_OR if op == "any" else xapian.Query.OP_AND, words)

    def narrowed(self, query, narrowing):
        built = self.words(query)
        parts = []
        own = narrowing.get("conversations")
        if own is not None:
            parts.append(xapian.Query(xapian.Query.OP_OR, [f"XC{conversation}" for conversation in own]))
        if "sender" in narrowing:
            parts.append(xapian.Query(f"XS{narrowing['sender']}"))
        if "low" in narrowing:
            ends = [xapian.sortable_serialise(narrowing[name]) for name in ("low", "high")]
            parts.append(xapian.Query(xapian.Query.OP_VALUE_RANGE, 0, *ends))
        if "flags" in narrowing:
            parts.append(xapian.Query(f"XF{narrowing['flags'].bit_length() - 1}"))
        for part in parts:
            built = xapian.Query(xapian.Query.OP_FILTER, built, part)
        return built

    def prepare(self, query, narrowing, order, after):
        built = self.narrowed(query, narrowing)
        enquire = self.ranked if order == "bm25-10" else self.newest
        first, limit = (90 if after is not None else 0), (50 if order == "newest-50" else 10)

        def call():
            enquire.set_query(built)
            try:
                return [hit.docid for hit in enquire.get_mset(first, limit)]
            except xapian.DatabaseModifiedError:
                # Two commits were made during one search.
                self.refresh()
                return call()

        return [call]

    def nothing(self, order):
        return self.prepare({"op": "word", "words": ["zqnothing"]}, {}, order, None)[0]

    def everything(self, query, narrowing):
        self.newest.set_query(self.narrowed(query, narrowing))
        found = self.newest.get_mset(0, self.database.get_doccount())
        return found.size(), [hit.docid - 1 for hit, _ in zip(found, range(1_000))]

    def visible(self, number):
        if self.writer is None:
            self.writer = xapian.WritableDatabase(self.directory, xapian.DB_OPEN)
        word = f"zqvisible{number}"
        self.writer.add_document(self.document(common.Line([0, 1 << 40, 0, 0, 2_000_000_000_000 + number, 0], word)))
        self.commit()
        self.newest.set_query(xapian.Query(word))
        return self.newest.get_mset(0, 1).size() == 1


common.Run(Driver()).perform()
