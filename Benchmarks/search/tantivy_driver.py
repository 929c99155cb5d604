#!/usr/bin/env python3
"""tantivy's driver of `magpie-bench search`: python3 -m venv .venv-search && .venv-search/bin/pip install tantivy"""
import importlib.metadata
import re

import common

try:
    import tantivy
    from tantivy import Occur, Query
except ImportError:
    common.skip("tantivy", "the Python package tantivy", "python3 -m venv .venv-search && .venv-search/bin/pip install tantivy")


class Driver:
    version = f"tantivy {importlib.metadata.version('tantivy')} (Python binding)"
    settings = (
        "one indexing thread, 256 MiB heap, default merge policy; whitespace tokenizer, positions, nothing stored; "
        "numbers indexed and fast; count=False; newest first by the fast field of the number; prebuilt queries; "
        "commit() syncs; page 10 by offset"
    )

    def __init__(self):
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", stored=False, tokenizer_name="whitespace", index_option="position")
        for name in ["number", "conversation", "sender", "time", "flags"]:
            schema.add_unsigned_field(name, stored=False, indexed=True, fast=True)
        self.schema = schema.build()

    def create(self, directory):
        self.index = tantivy.Index(self.schema, path=directory)
        return self.index.writer(heap_size=common.BUILD_BYTES, num_threads=1)

    @staticmethod
    def document(line):
        document = tantivy.Document()
        document.add_text("text", line.text)
        document.add_unsigned("number", line.number)
        document.add_unsigned("conversation", line.conversation)
        document.add_unsigned("sender", line.sender)
        document.add_unsigned("time", line.time)
        for bit in range(4):
            if line.flags >> bit & 1:
                document.add_unsigned("flags", bit)
        return document

    def build(self, directory, batches):
        writer, clock, count = self.create(directory), common.Clock(), 0
        for lines in batches:
            documents = [self.document(line) for line in lines]
            count += len(lines)
            with clock:
                for document in documents:
                    writer.add_document(document)
        with clock:
            writer.commit()
            writer.wait_merging_threads()
        return clock, count

    def force(self, directory):
        """The binding has no merge: with one thread and one commit there is one segment while the heap suffices."""

    def live(self, directory, steps):
        writer, clock, count = self.create(directory), common.Clock(), 0
        for lines, changes in steps:
            documents = [self.document(line) for line in lines]
            edits = self.edits(changes)
            count += len(lines)
            with clock:
                self.take(writer, documents, edits)
                writer.commit()
        with clock:
            writer.wait_merging_threads()
        return clock, count

    def edits(self, changes):
        return [(change.line.number, None if change.is_removal else self.document(change.line)) for change in changes]

    def take(self, writer, documents, edits):
        for document in documents:
            writer.add_document(document)
        for number, document in edits:
            # By term, the binding looks for a signed number and removes nothing.
            writer.delete_documents_by_query(Query.term_query(self.schema, "number", number))
            if document is not None:
                writer.add_document(document)

    def begin(self, directory):
        self.open(directory)
        self.writer = self.index.writer(heap_size=common.BUILD_BYTES, num_threads=1)

    def write(self, lines, changes):
        self.take(self.writer, [self.document(line) for line in lines], self.edits(changes))

    def commit(self):
        self.writer.commit()
        self.refresh()

    def refresh(self):
        self.index.reload()
        self.searcher = self.index.searcher()

    def open(self, directory):
        self.index = tantivy.Index.open(directory)
        self.index.config_reader(reload_policy="manual")
        self.index.reload()
        self.searcher = self.index.searcher()
        self.writer = None

    def close(self):
        if self.writer is not None:
            self.writer.wait_merging_threads()
        self.searcher = self.index = self.writer = None

    def count(self):
        return self.searcher.num_docs

    def segments(self):
        return self.searcher.num_segments

    def components(self, directory):
        return common.by_ending(directory)

    def term(self, word):
        return Query.term_query(self.schema, "text", word, index_option="freq")

    def words(self, query):
        words, op = query["words"], query["op"]
        if op == "word":
            return self.term(words[0])
        if op == "prefix":
            return Query.regex_query(self.schema, "text", re.escape(words[0]) + ".*")
        if op == "phrase":
            return Query.phrase_query(self.schema, "text", words)
        if op == "not":
            return Query.boolean_query([(Occur.Must, self.term(words[0])), (Occur.MustNot, self.term(words[1]))])
        occur = Occur.Must if op == "all" else Occur.Should
        return Query.boolean_query([(occur, self.term(word)) for word in words])

    def narrowed(self, query, narrowing):
        parts = [(Occur.Must, self.words(query))]

        def add(part):
            parts.append((Occur.Must, Query.const_score_query(part, 0.0)))

        own = narrowing.get("conversations")
        if own is not None:
            if len(own) == 1:
                add(Query.term_query(self.schema, "conversation", own[0]))
            else:
                add(Query.term_set_query(self.schema, "conversation", own))
        if "sender" in narrowing:
            add(Query.term_query(self.schema, "sender", narrowing["sender"]))
        if "low" in narrowing:
            add(Query.range_query(self.schema, "time", tantivy.FieldType.Unsigned, narrowing["low"], narrowing["high"]))
        if "flags" in narrowing:
            add(Query.term_query(self.schema, "flags", narrowing["flags"].bit_length() - 1))
        return parts[0][1] if len(parts) == 1 else Query.boolean_query(parts)

    def prepare(self, query, narrowing, order, after):
        built = self.narrowed(query, narrowing)
        if order == "bm25-10":
            return [lambda: self.searcher.search(built, 10, count=False)]
        limit, offset = (50 if order == "newest-50" else 10), (90 if after is not None else 0)
        return [lambda: self.searcher.search(built, limit, count=False, order_by_field="number", offset=offset)]

    def nothing(self, order):
        return self.prepare({"op": "word", "words": ["zqnothing"]}, {}, order, None)[0]

    def everything(self, query, narrowing):
        found = self.searcher.search(self.narrowed(query, narrowing), 1_000, count=True, order_by_field="number")
        return found.count, [number for number, _ in found.hits]

    def visible(self, number):
        if self.writer is None:
            self.writer = self.index.writer(heap_size=common.BUILD_BYTES, num_threads=1)
        word = f"zqvisible{number}"
        line = common.Line([1 << 40, 1 << 40, 0, 0, 2_000_000_000_000 + number, 0], word)
        self.writer.add_document(self.document(line))
        self.commit()
        return len(self.searcher.search(self.term(word), 1, count=False).hits) == 1


common.Run(Driver()).perform()
