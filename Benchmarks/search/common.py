"""What the peers' drivers of `magpie-bench search` share: arguments, files, clocks, and the lines they print.

A driver is a class with:
    version, settings              one line each
    build(directory, lines)        writes an index from batches of lines in one go and forces it into one segment
    live(directory, batches)       writes one with a commit per batch of (lines, changes)
    open(directory)                opens it for searching
    close()
    prepare(query, filter, order, after)   callables that give hits; the fastest counts. after: the ninetieth hit
    everything(query, filter)      count and the newest 1,000 documents
    visible(number)                adds a message with one new word, commits, and finds it
    nothing(order)                 a callable whose word no document has
    components(directory)          bytes by name
    segments()
Lines have the fields of DriverRecord.swift. Documents are numbered in the order of time.
"""
import argparse
import gc
import json
import os
import random
import shutil
import sys
import time
import zlib

BUILD_BYTES = 256 << 20
now = time.perf_counter_ns


def emit(kind, **fields):
    print(json.dumps({"kind": kind, **fields}), flush=True)


def skip(engine, package, remedy):
    """Says that a package is missing, and ends."""
    emit("skipped", reason=f"{engine} is not measured: {package} is missing ({remedy})")
    sys.exit(0)


class Line:
    """A document: number, conversation, seq, sender, time, flags, and its tokens parted by blanks."""

    __slots__ = ("number", "conversation", "sender", "time", "flags", "text")

    def __init__(self, fields, text):
        self.number, self.conversation = int(fields[0]), int(fields[1])
        self.sender, self.time, self.flags = int(fields[3]), int(fields[4]), int(fields[5])
        self.text = text


class Change:
    """An edit of a document, which then has `line.text`, or its removal."""

    __slots__ = ("batch", "line", "old", "is_removal")

    def __init__(self, fields):
        self.batch, self.is_removal = int(fields[0]), fields[1] == "delete"
        self.line, self.old = Line(fields[2:], fields[9]), fields[8]


def batches(path, size):
    with open(path, encoding="utf-8", newline="\n") as file:
        batch = []
        for row in file:
            fields = row.rstrip("\n").split("\t")
            batch.append(Line(fields, fields[6]))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def status(name):
    with open("/proc/self/status") as file:
        for row in file:
            if row.startswith(name):
                return int(row.split()[1]) * 1024
    return 0


def reset_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def files(directory):
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            yield path, os.path.getsize(path)


def by_ending(directory):
    sizes = {}
    for path, size in files(directory):
        ending = os.path.splitext(path)[1] or os.path.basename(path)
        sizes[ending] = sizes.get(ending, 0) + size
    return sizes


def drop_page_cache(directory):
    for path, _ in files(directory):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class Clock:
    """Adds up the time of what is measured; what Python makes ready for the binding is left out."""

    def __init__(self):
        self.nanoseconds = 0

    def __enter__(self):
        self.start = now()

    def __exit__(self, *_):
        self.nanoseconds += now() - self.start


class Run:
    def __init__(self, driver):
        parser = argparse.ArgumentParser(description="A driver of `magpie-bench search`.")
        for name in ["tokens", "changes", "queries", "directory", "states"]:
            parser.add_argument(f"--{name}", required=True)
        for name in ["passes", "budget-ms", "batch", "seed"]:
            parser.add_argument(f"--{name}", type=int, required=True)
        self.options = parser.parse_args()
        self.driver = driver
        with open(self.options.queries, encoding="utf-8") as file:
            self.set = json.load(file)

    def perform(self):
        emit("about", version=self.driver.version, settings=self.driver.settings)
        for state in self.options.states.split(","):
            directory = os.path.join(self.options.directory, state)
            os.makedirs(directory)
            if state == "one":
                self.bulk(directory)
            else:
                self.live(directory)
            self.sizes(state, directory)
            self.search(state)
            if state == "natural":
                self.visible()
            self.driver.close()
            shutil.rmtree(directory)

    def figure(self, state, name, value):
        emit("figure", state=state, name=name, value=value)

    def bulk(self, directory):
        emit("stage", name="bulk")
        reset_peak()
        before, processor = status("VmRSS"), time.process_time()
        clock, count = self.driver.build(directory, batches(self.options.tokens, 10_000))
        self.figure("one", "bulk messages/s", count / (clock.nanoseconds / 1e9))
        self.figure("one", "bulk CPU-s per million", (time.process_time() - processor) * 1e6 / count)
        self.figure("one", "bulk peak RSS growth MiB", (status("VmHWM") - before) / (1 << 20))
        start = now()
        self.driver.force(directory)
        self.figure("one", "to one segment s", (now() - start) / 1e9)
        drop_page_cache(directory)
        start = now()
        self.driver.open(directory)
        query = self.set["queries"][0]
        self.driver.prepare(query["query"], self.set["filters"][query["filter"]], "newest-10", None)[0]()
        self.figure("one", "cold open ms", (now() - start) / 1e6)

    def live(self, directory):
        emit("stage", name="live")
        with open(self.options.changes, encoding="utf-8", newline="\n") as file:
            changes = [Change(row.rstrip("\n").split("\t")) for row in file]

        def steps():
            place = 0
            for number, lines in enumerate(batches(self.options.tokens, self.options.batch)):
                end = place
                while end < len(changes) and changes[end].batch <= number:
                    end += 1
                yield lines, changes[place:end]
                place = end

        clock, count = self.driver.live(directory, steps())
        self.figure("natural", "live messages/s", count / (clock.nanoseconds / 1e9))
        self.driver.open(directory)

    def sizes(self, state, directory):
        for name, size in sorted(self.driver.components(directory).items()):
            emit("component", state=state, name=name, value=size)
        alive = self.driver.count()
        self.figure(state, "bytes/message", sum(size for _, size in files(directory)) / alive)
        self.figure(state, "segments", self.driver.segments())

    def search(self, state):
        emit("stage", name=f"check {state}")
        tasks = []
        for query in self.set["queries"]:
            narrowing = self.set["filters"][query["filter"]]
            count, newest = self.driver.everything(query["query"], narrowing)
            crc = zlib.crc32(b"".join(number.to_bytes(4, "little") for number in newest))
            emit("check", state=state, id=query["id"], count=count, crc=crc)
            for order in query["orders"]:
                if order == "page-10" and len(newest) <= 90:
                    continue
                after = newest[89] if order == "page-10" else None
                tasks.append((query["id"], order, self.driver.prepare(query["query"], narrowing, order, after)))
        emit("stage", name=f"measure {state}")
        self.measure(state, tasks)
        for order in ["newest-10", "bm25-10"]:
            call = self.driver.nothing(order)
            times = []
            for _ in range(1_000):
                start = now()
                call()
                times.append(now() - start)
            emit("call", state=state, order=order, us=sorted(times)[500] / 1e3)

    def measure(self, state, tasks):
        """The least time of each task over shuffled passes, the first not counted; of several ways the fastest."""
        ways = [(index, call) for index, task in enumerate(tasks) for call in task[2]]
        best, spent = [float("inf")] * len(ways), [0] * len(ways)
        budget = self.options.budget_ms * 1_000_000
        generator = random.Random(self.options.seed)
        order = list(range(len(ways)))
        gc.disable()
        for number in range(self.options.passes + 1):
            generator.shuffle(order)
            for way in order:
                if number >= 2 and spent[way] >= budget:
                    continue
                call = ways[way][1]
                start = now()
                call()
                taken = now() - start
                spent[way] += taken
                if number > 0 and taken < best[way]:
                    best[way] = taken
        gc.enable()
        least = [float("inf")] * len(tasks)
        for (index, _), taken in zip(ways, best):
            least[index] = min(least[index], taken)
        for (number, order, _), taken in zip(tasks, least):
            emit("time", state=state, id=number, order=order, us=taken / 1e3)

    def visible(self):
        emit("stage", name="visible")
        times = []
        for number in range(100):
            start = now()
            if not self.driver.visible(number):
                sys.exit("a message is not found after its commit")
            times.append((now() - start) / 1e6)
        times.sort()
        self.figure("natural", "visible ms p50", times[49])
        self.figure("natural", "visible ms p99", times[98])
