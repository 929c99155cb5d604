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
    refresh()                      sees what another process has committed; prepared callables then search in it
    begin(directory)               opens an index for writing beside searches of another process
    write(lines, changes)          takes documents and changes into the commit to come
    commit()                       makes them durable, and findable for this process
    components(directory)          bytes by name
    segments()
Lines have the fields of DriverRecord.swift. Documents are numbered in the order of time.
"""
import argparse
import gc
import json
import mmap
import os
import random
import shutil
import subprocess
import sys
import time
import zlib

BUILD_BYTES = 256 << 20
# Beside a writer: how often it commits, what is searched, and when it gives up.
COMMIT_NS = 250_000_000
LOAD_FILTERS, LOAD_ORDERS = ["none", "in:small", "members-500"], ["newest-10", "bm25-10"]
TOO_LATE = 3
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
        for name in ["passes", "budget-ms", "batch", "seed", "write-rate", "write-from"]:
            parser.add_argument(f"--{name}", type=int, required=True)
        parser.add_argument("--writer", metavar="SIGNALS", help="be the writer beside the searches")
        self.options = parser.parse_args()
        self.driver = driver
        with open(self.options.queries, encoding="utf-8") as file:
            self.set = json.load(file)

    def perform(self):
        if self.options.writer:
            return self.write()
        emit("about", version=self.driver.version, settings=self.driver.settings)
        for state in self.options.states.split(","):
            directory = os.path.join(self.options.directory, state)
            os.makedirs(directory)
            if state == "writing":
                self.writing(directory)
            else:
                self.bulk(directory) if state == "one" else self.live(directory)
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
        clock, count = self.driver.live(directory, (step for _, *step in self.steps()))
        self.figure("natural", "live messages/s", count / (clock.nanoseconds / 1e9))
        self.driver.open(directory)

    def steps(self):
        """The number of each commit, its documents, and the changes that fall into it."""
        with open(self.options.changes, encoding="utf-8", newline="\n") as file:
            changes = [Change(row.rstrip("\n").split("\t")) for row in file]
        place = 0
        for number, lines in enumerate(batches(self.options.tokens, self.options.batch)):
            end = place
            while end < len(changes) and changes[end].batch <= number:
                end += 1
            yield number, lines, changes[place:end]
            place = end

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
            newest = self.check(state, query, narrowing) if query["isChecked"] else []
            for order in query["orders"]:
                if order == "page-10" and len(newest) <= 90:
                    continue
                after = newest[89] if order == "page-10" else None
                tasks.append((query["id"], order, self.driver.prepare(query["query"], narrowing, order, after)))
        emit("stage", name=f"measure {state}")
        self.measure(state, tasks)
        self.calls(state)

    def check(self, state, query, narrowing):
        count, newest = self.driver.everything(query["query"], narrowing)
        crc = zlib.crc32(b"".join(number.to_bytes(4, "little") for number in newest))
        emit("check", state=state, id=query["id"], count=count, crc=crc)
        return newest

    def calls(self, state):
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

    # Beside a writer, which is a process of its own: two threads of one Python would wait for each other.

    def writing(self, directory):
        emit("stage", name="fill writing")
        first = self.options.write_from
        self.driver.live(directory, (step for number, *step in self.steps() if number < first))
        self.driver.open(directory)
        tasks = []
        for query in self.set["queries"]:
            if query["filterKind"] in LOAD_FILTERS:
                narrowing = self.set["filters"][query["filter"]]
                for order in LOAD_ORDERS:
                    tasks.append((query["id"], order, self.fastest(query["query"], narrowing, order)))
        emit("stage", name="writing")
        path = directory + ".signals"
        signals = Signals(path, is_new=True)
        command = [sys.executable] + sys.argv + ["--writer", path]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as writer:
            samples = self.search_beside(writer, signals, tasks)
            said = writer.stdout.read()
        if writer.returncode != 0:
            sys.exit("the writer failed")
        for (number, order, _), own in zip(tasks, samples):
            emit("load", state="writing", id=number, order=order, samples=[taken / 1e3 for taken in own])
        self.driver.refresh()
        figures = json.loads(said)
        for name, value in figures.items():
            self.figure("writing", name, value)
        self.figure("writing", "segments", self.driver.segments())
        emit("stage", name="check writing")
        # An engine that was too slow holds less than the scan knows.
        if figures["share of events taken"] == 1:
            for query in self.set["queries"]:
                if query["isChecked"]:
                    self.check("writing", query, self.set["filters"][query["filter"]])
        self.calls("writing")

    def fastest(self, query, narrowing, order):
        """The fastest of several ways, each tried twice."""
        def taken(call):
            call()
            start = now()
            call()
            return now() - start

        calls = self.driver.prepare(query, narrowing, order, None)
        return calls[0] if len(calls) == 1 else min(calls, key=taken)

    def search_beside(self, writer, signals, tasks):
        """Every time of each task, shuffled, over and over, until all is written."""
        samples = [[] for _ in tasks]
        generator = random.Random(self.options.seed)
        order, seen = list(range(len(tasks))), 0
        while not signals.is_ready and writer.poll() is None:
            time.sleep(0.001)
        gc.disable()
        while not signals.is_over and writer.poll() is None:
            generator.shuffle(order)
            for index in order:
                if signals.is_over:
                    break
                if signals.commits != seen:
                    seen = signals.commits
                    self.driver.refresh()
                call = tasks[index][2]
                start = now()
                call()
                samples[index].append(now() - start)
        gc.enable()
        return samples

    def write(self):
        """The writer's process: what comes is due at a fixed rate, whether the engine keeps up or not."""
        others = os.sched_getaffinity(0)
        everywhere = set(range(os.cpu_count()))
        os.sched_setaffinity(0, everywhere - others or everywhere)
        events = []
        for number, lines, changes in self.steps():
            if number >= self.options.write_from:
                events += [(line, None) for line in lines] + [(None, change) for change in changes]
        self.driver.begin(os.path.join(self.options.directory, "writing"))
        signals = Signals(self.options.writer)
        signals.set_ready()
        gc.disable()
        interval = 1e9 / self.options.write_rate
        start = now() + 10_000_000
        findable, commits, next_event, committed, pending = [], 0, 0, start, []
        searcher = os.getppid()
        while next_event < len(events) or pending:
            moment = now()
            # Nobody searches any more, or it is hopeless.
            if os.getppid() != searcher or moment > start + TOO_LATE * len(events) * interval:
                break
            due = min(len(events), int((moment - start) / interval) + 1, next_event + 1_000)
            if due > next_event:
                own = events[next_event:due]
                self.driver.write([line for line, _ in own if line], [change for _, change in own if change])
                pending += range(next_event, due)
                next_event = due
            if pending and (now() >= committed + COMMIT_NS or next_event == len(events)):
                committed = now()
                self.driver.commit()
                commits += 1
                self.find([events[number] for number in pending])
                moment = now()
                findable += [moment - start - number * interval for number in pending]
                pending = []
                signals.set_commits(commits)
            time.sleep(0.005)
        seconds = (now() - start) / 1e9
        signals.set_over()
        self.driver.close()
        findable.sort()
        taken = len(findable)

        def milliseconds(share):
            return findable[max(0, -int(-taken * share // 1) - 1)] / 1e6 if taken else 0

        print(json.dumps({
            "events/s": taken / seconds, "share of events taken": taken / max(1, len(events)),
            "findable ms p50": milliseconds(0.5), "findable ms p99": milliseconds(0.99),
            "findable ms max": milliseconds(1), "commits": commits,
        }))

    def find(self, events):
        """Looks for the newest of the new documents by its first word, in its conversation."""
        changed = {change.line.number for _, change in events if change}
        for line, _ in reversed(events):
            if line and line.text and line.number not in changed:
                query = {"op": "word", "words": [line.text.split(" ")[0]]}
                narrowing = {"kind": "in:small", "conversations": [line.conversation]}
                if line.number not in self.driver.everything(query, narrowing)[1]:
                    sys.exit("a document is not found when it should be")
                return


class Signals:
    """What the writer tells those who search, in memory that both see: ready, over, commits."""

    def __init__(self, path, is_new=False):
        with open(path, "w+b" if is_new else "r+b") as file:
            if is_new:
                file.write(bytes(10))
                file.flush()
            self.memory = mmap.mmap(file.fileno(), 10)

    is_ready = property(lambda self: self.memory[0] == 1)
    is_over = property(lambda self: self.memory[1] == 1)
    commits = property(lambda self: int.from_bytes(self.memory[2:10], "little"))

    def set_ready(self):
        self.memory[0] = 1

    def set_over(self):
        self.memory[1] = 1

    def set_commits(self, count):
        self.memory[2:10] = count.to_bytes(8, "little")
