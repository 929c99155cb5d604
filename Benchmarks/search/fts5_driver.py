#!/usr/bin/env python3
"""SQLite FTS5's driver of `magpie-bench search`: SQLite comes with Python."""
import os
import sqlite3

import common

connection = sqlite3.connect(":memory:")
if ("ENABLE_FTS5",) not in connection.execute("PRAGMA compile_options").fetchall():
    common.skip("fts5", "FTS5 in this Python's SQLite", "apt-get install python3 libsqlite3-0")

# Everything but blanks belongs to a token: the tokens are cut and folded already.
CREATE = """
CREATE VIRTUAL TABLE messages USING fts5(
    text, tags, content='', tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'");
CREATE TABLE document(number INTEGER PRIMARY KEY, conversation INTEGER, sender INTEGER, time INTEGER, flags INTEGER);
INSERT INTO messages(messages, rank) VALUES('rank', 'bm25(1.0, 0.0)');
"""
INSERT = "INSERT INTO messages(rowid, text, tags) VALUES(?, ?, ?)"
REMOVE = "INSERT INTO messages(messages, rowid, text, tags) VALUES('delete', ?, ?, ?)"
# A membership of more conversations is no list of tags any more.
TAGS_MAX = 50


def tags(line):
    bits = "".join(f" xf{bit}" for bit in range(4) if line.flags >> bit & 1)
    return f"xc{line.conversation} xs{line.sender}{bits}"


def quoted(word):
    return '"' + word.replace('"', '""') + '"'


class Driver:
    version = f"SQLite {sqlite3.sqlite_version} FTS5 (Python's sqlite3)"
    settings = (
        "WAL, synchronous=FULL, 256 MiB cache; contentless table, rowid in the order of time; filters both as tokens of a "
        "second column and as a join with a table, the faster counts; newest first by rowid, page 10 by rowid; "
        "relevance by rank"
    )

    def connect(self, directory):
        self.database = sqlite3.connect(os.path.join(directory, "index.db"), isolation_level=None)
        execute = self.database.execute
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute(f"PRAGMA cache_size=-{common.BUILD_BYTES >> 10}")
        self.lists = {}

    def add(self, rows, numbers):
        self.database.executemany(INSERT, rows)
        self.database.executemany("INSERT INTO document VALUES(?, ?, ?, ?, ?)", numbers)

    @staticmethod
    def rows(lines):
        return (
            [(line.number, line.text, tags(line)) for line in lines],
            [(line.number, line.conversation, line.sender, line.time, line.flags) for line in lines],
        )

    def build(self, directory, batches):
        self.connect(directory)
        self.database.executescript(CREATE)
        clock, count = common.Clock(), 0
        self.database.execute("BEGIN")
        for lines in batches:
            rows = self.rows(lines)
            count += len(lines)
            with clock:
                self.add(*rows)
        with clock:
            self.database.execute("COMMIT")
        return clock, count

    def force(self, directory):
        self.database.execute("INSERT INTO messages(messages) VALUES('optimize')")
        self.database.execute("VACUUM")
        self.close()

    def live(self, directory, steps):
        self.connect(directory)
        self.database.executescript(CREATE)
        clock, count = common.Clock(), 0
        for lines, changes in steps:
            rows, edits = self.rows(lines), self.edits(changes)
            count += len(lines)
            with clock:
                self.database.execute("BEGIN")
                self.add(*rows)
                self.change(*edits)
                self.database.execute("COMMIT")
        self.close()
        return clock, count

    @staticmethod
    def edits(changes):
        return (
            [(change.line.number, change.old, tags(change.line)) for change in changes],
            [(change.line.number, change.line.text, tags(change.line)) for change in changes if not change.is_removal],
            [(change.line.number,) for change in changes if change.is_removal],
        )

    def change(self, old, new, removed):
        self.database.executemany(REMOVE, old)
        self.database.executemany(INSERT, new)
        self.database.executemany("DELETE FROM document WHERE number = ?", removed)

    def begin(self, directory):
        self.open(directory)
        self.writing = False

    def write(self, lines, changes):
        if not self.writing:
            self.database.execute("BEGIN")
            self.writing = True
        self.add(*self.rows(lines))
        self.change(*self.edits(changes))

    def commit(self):
        self.database.execute("COMMIT")
        self.writing = False

    def refresh(self):
        """Every statement sees what is committed."""

    def open(self, directory):
        self.connect(directory)
        self.database.execute("CREATE TEMP TABLE own(list INTEGER, conversation INTEGER, PRIMARY KEY(list, conversation)) WITHOUT ROWID")

    def close(self):
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.database.close()

    def count(self):
        return self.database.execute("SELECT count(*) FROM document").fetchone()[0]

    def segments(self):
        # The structure record: version, levels and segments as varints behind four bytes.
        record = self.database.execute("SELECT block FROM messages_data WHERE id = 10").fetchone()[0]
        return record[5]

    def components(self, directory):
        try:
            rows = self.database.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
            return {name: size for name, size in rows if size > 8192}
        except sqlite3.OperationalError:
            return common.by_ending(directory)

    def list_of(self, conversations):
        key = tuple(conversations)
        if key not in self.lists:
            self.lists[key] = len(self.lists)
            rows = [(self.lists[key], conversation) for conversation in key]
            self.database.executemany("INSERT INTO own VALUES(?, ?)", rows)
        return self.lists[key]

    @staticmethod
    def match(query):
        words, op = [quoted(word) for word in query["words"]], query["op"]
        if op == "prefix":
            body = words[0] + "*"
        elif op == "phrase":
            body = " + ".join(words)
        else:
            body = {"not": " NOT ", "any": " OR "}.get(op, " AND ").join(words)
        return f"text : ({body})"

    def ways(self, query, narrowing):
        """Statements that give the hits, as (tables, condition, arguments)."""
        words = self.match(query)
        if narrowing.get("kind", "none") == "none":
            return [("messages", "messages MATCH ?", [words])]
        found, conditions, arguments, own = [], [], [words], None
        conversations = narrowing.get("conversations")
        if conversations is not None:
            own = [f"xc{conversation}" for conversation in conversations]
            if len(conversations) == 1:
                conditions.append("conversation = ?")
                arguments.append(conversations[0])
            else:
                conditions.append("EXISTS (SELECT 1 FROM own WHERE list = ? AND own.conversation = document.conversation)")
                arguments.append(self.list_of(conversations))
        if "sender" in narrowing:
            own = [f"xs{narrowing['sender']}"]
            conditions.append("sender = ?")
            arguments.append(narrowing["sender"])
        if "low" in narrowing:
            conditions.append("time BETWEEN ? AND ?")
            arguments += [narrowing["low"], narrowing["high"]]
        if "flags" in narrowing:
            own = [f"xf{narrowing['flags'].bit_length() - 1}"]
            conditions.append("flags & ? <> 0")
            arguments.append(narrowing["flags"])
        joined = "messages CROSS JOIN document ON number = messages.rowid"
        found.append((joined, " AND ".join(["messages MATCH ?"] + conditions), arguments))
        if own is not None and len(own) <= TAGS_MAX:
            found.append(("messages", "messages MATCH ?", [f"({words}) AND tags : ({' OR '.join(own)})"]))
        return found

    def prepare(self, query, narrowing, order, after):
        execute, calls = self.database.execute, []
        for tables, condition, arguments in self.ways(query, narrowing):
            if order == "bm25-10":
                tail = "ORDER BY rank LIMIT 10"
            else:
                tail = f"ORDER BY messages.rowid DESC LIMIT {50 if order == 'newest-50' else 10}"
            if after is not None:
                condition, arguments = condition + " AND messages.rowid < ?", arguments + [after]
            text = f"SELECT messages.rowid FROM {tables} WHERE {condition} {tail}"
            calls.append(lambda text=text, arguments=arguments: execute(text, arguments).fetchall())
        return calls

    def nothing(self, order):
        return self.prepare({"op": "word", "words": ["zqnothing"]}, {}, order, None)[0]

    def everything(self, query, narrowing):
        answers = []
        for tables, condition, arguments in self.ways(query, narrowing):
            rows = self.database.execute(
                f"SELECT messages.rowid FROM {tables} WHERE {condition} ORDER BY messages.rowid DESC", arguments
            ).fetchall()
            answers.append((len(rows), [number for number, in rows[:1_000]]))
        # Ways that disagree give an answer that no scan gives.
        return answers[0] if all(answer == answers[0] for answer in answers) else (-1, [])

    def visible(self, number):
        word = f"zqvisible{number}"
        line = common.Line([(1 << 40) + number, 1 << 40, 0, 0, 2_000_000_000_000 + number, 0], word)
        self.database.execute("BEGIN")
        self.add(*self.rows([line]))
        self.database.execute("COMMIT")
        return len(self.prepare({"op": "word", "words": [word]}, {}, "newest-10", None)[0]()) == 1


common.Run(Driver()).perform()
