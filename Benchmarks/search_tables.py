#!/usr/bin/env python3
"""Prints the tables of docs/benchmarks/search.md from the results of a run.

    Tools/bench search --corpus chitchat.jsonl --json > results.jsonl
    Benchmarks/search_tables.py results.jsonl

With engines behind the file, only these; what is not in the file is left out. The words around the tables are for a
person to write.

    Benchmarks/search_tables.py results.jsonl magpie tantivy
"""
import json
import math
import sys

STATES = {"one": "one segment", "natural": "as naturally left", "writing": "beside a writer"}
ORDERS = {"newest-10": "newest 10", "newest-50": "newest 50", "page-10": "a page of 10", "bm25-10": "the ten best by BM25"}
FILTERS = {
    "none": "no filter", "in:small": "one small conversation", "in:large": "the largest conversation",
    "members-50": "a member of 50 conversations", "members-500": "a member of 500 conversations",
    "members-5000": "a member of 5,000 conversations", "from:": "one sender", "date": "a tenth of the time",
    "has:": "with a picture",
}
# Whose classes are shown one by one.
DETAILED = [
    ("one", "newest-10", "none"), ("one", "bm25-10", "none"), ("one", "newest-10", "members-500"),
    ("one", "newest-10", "from:"), ("writing", "newest-10", "none"), ("writing", "bm25-10", "none"),
]
CJK = ["cjk-1", "cjk-2", "cjk-4"]


def number(value, digits=1):
    """As the tables of the tool show it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}"


def ratio(value):
    if value is None:
        return "–"
    return f"{value:.2f}" + (" **loss**" if value < 1 else "")


def mean(values):
    """The geometric mean, since ratios multiply."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def table(head, rows, are_numbers=True):
    if not rows:
        return ""
    rule = "| --- |" + (" ---: |" if are_numbers else " --- |") * (len(head) - 1)
    lines = ["| " + " | ".join(head) + " |", rule] + ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


class Results:
    def __init__(self, path, wanted):
        self.cells, self.figures, self.components, self.checks, self.spreads = {}, {}, {}, [], []
        self.goals, self.setting, self.engines = [], [], []
        with open(path, encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if "engine" not in row or not wanted or row["engine"] in wanted:
                    self.take(row)
        order = ["magpie", "tantivy", "fts5", "xapian"]
        self.engines.sort(key=order.index)
        self.peers = [engine for engine in self.engines if engine != "magpie"]

    def take(self, row):
        if "engine" in row and row["engine"] not in self.engines:
            self.engines.append(row["engine"])
        if row["workload"] == "search-spread":
            self.spreads.append(row)
        elif "goal" in row:
            self.goals.append(row)
        elif "lines" in row:
            self.setting = row["lines"]
        elif "class" in row:
            group = (row["state"], row["order"], row["filter"])
            self.cells.setdefault(group, {}).setdefault(row["class"], {})[row["engine"]] = row
        elif "wrong" in row:
            self.checks.append(row)
        elif "name" in row:
            known = self.components if row["workload"] == "search-bytes" else self.figures
            known.setdefault((row["state"], row["name"]), {})[row["engine"]] = row["value"]

    def missing(self, engine):
        """What stands where an engine has no figure."""
        stopped = any(line.startswith("Skipped:") and f"{engine} was ended" in line for line in self.setting)
        return "stopped" if stopped else "–"

    def ratios(self, cell, key):
        """Of each peer that has the cell: its time over Magpie's."""
        if "magpie" not in cell:
            return {}
        own = max(cell["magpie"][key], 0.01)
        return {peer: cell[peer][key] / own for peer in self.peers if peer in cell}

    def lost(self, cells, key="netP50Us"):
        """Classes in which the best of the peers is faster."""
        return sum(min(self.ratios(cell, key).values(), default=math.inf) < 1 for cell in cells.values())

    def reached(self, group, cells):
        goal = 2 if group[2].startswith("members") else 1
        return sum(
            min(self.ratios(cell, key).get("tantivy", 0) for key in ("netP50Us", "netP99Us")) >= goal
            for cell in cells.values()
        )


def goals(results):
    rows = []
    for goal in results.goals:
        words = goal["goal"].replace(">=", "≥").replace("<=", "≤")
        verdict = {True: "met", False: "**missed**", None: "not measured"}[goal.get("isReached")]
        rows.append([goal["workload"], words, goal.get("reached") or "–", verdict])
    return section("Goals", table(["row", "goal", "reached", ""], rows, are_numbers=False))


def section(title, *parts):
    body = "\n".join(part for part in parts if part)
    return f"## {title}\n\n{body}\n" if body else ""


def checks(results):
    differ = sum(check["wrong"] + check["wrongRanked"] for check in results.checks)
    total = sum(check["queries"] + check["ranked"] for check in results.checks)
    own = [
        f"{check['engine']}, {check['state']}: {check['wrong'] + check['wrongRanked']} of {check['queries'] + check['ranked']}"
        for check in results.checks if check["wrong"] + check["wrongRanked"]
    ]
    where = f" ({'; '.join(own)})" if own else ""
    return f"Hits: {differ} of {total:,} comparisons differ{where}.\n\n" if results.checks else ""


def overview(results):
    """Beside one peer with the goal, beside several with what is lost to the best of them."""
    peers = results.peers
    is_one = len(peers) == 1
    if is_one:
        head = ["state, order, filter", "classes", f"{peers[0]} / magpie, net p50", "classes lost at p50"]
        head += ["classes that meet the goal at p50 and p99"] if peers == ["tantivy"] else []
    else:
        count = {2: "two", 3: "three"}.get(len(peers), "peers")
        head = ["state, order, filter"] + peers + [f"classes lost to the best of the {count}"]
    rows = []
    for group, cells in results.cells.items():
        means = []
        for peer in peers:
            found = mean([own[peer] for own in (results.ratios(cell, "netP50Us") for cell in cells.values()) if peer in own])
            means.append(results.missing(peer) if found is None else ratio(found))
        lost = results.lost(cells)
        row = [", ".join(group)] + ([str(len(cells))] + means + [str(lost)] if is_one else means + [f"{lost} of {len(cells)}"])
        rows.append(row + ([str(results.reached(group, cells))] if peers == ["tantivy"] else []))
    words = "Above 1 Magpie is faster: geometric means of the peers' net p50 over Magpie's. The goal is ≥ 1 in every class, ≥ 2 where\n"
    words += "filtered by membership.\n"
    return section("All classes together", words, table(head, rows)) if peers else ""


def spread(results):
    rows = [
        [f"{row['state']}, {row['order']}, {row['filter']}", row["peer"], f"{row['least']:.2f}", f"{row['median']:.2f}", f"{row['most']:.2f}"]
        for row in results.spreads
    ]
    runs = max((row["runs"] for row in results.spreads), default=0)
    return section(f"The same in {runs} runs", table(["state, order, filter", "peer / magpie", "least", "median", "most"], rows))


def classes(results, group, only=None):
    cells = {name: cell for name, cell in results.cells.get(group, {}).items() if only is None or name in only}
    peers = results.peers
    head = ["class"] + [f"{engine} p50 / p99" for engine in results.engines]
    if peers:
        head += [f"{peers[0]} / magpie, net p50", "net p99"] if len(peers) == 1 else ["best / magpie, net p50", "net p99"]
    rows, calls = [], {}
    for name, cell in cells.items():
        row = [name]
        for engine in results.engines:
            if engine in cell:
                calls[engine] = cell[engine]["callUs"]
                row.append(f"{number(cell[engine]['p50Us'])} / {number(cell[engine]['p99Us'])}")
            else:
                row.append(results.missing(engine))
        if peers:
            row += [ratio(min(results.ratios(cell, key).values(), default=None)) for key in ("netP50Us", "netP99Us")]
        rows.append(row)
    said = ", ".join(f"{engine} {call:.2f} us" for engine, call in calls.items())
    note = f"A call that finds nothing: {said}.\n" if said else ""
    title = f"Microseconds: {STATES[group[0]]}, {ORDERS[group[1]]}, {FILTERS[group[2]]}"
    return section(title, table(head, rows), note) if rows else ""


def cjk(results):
    """Unspaced scripts, of all groups: their classes are missing where the data has none."""
    return "\n".join(
        part for group in results.cells if group not in DETAILED
        for part in [classes(results, group, CJK)] if part
    )


def index(results):
    rows = []
    for (state, name), values in results.figures.items():
        cells = [number(values[engine]) if engine in values else results.missing(engine) for engine in results.engines]
        rows.append([f"{state}, {name}"] + cells)
    parts = {}
    for (state, name), values in sorted(results.components.items()):
        for engine, value in values.items() if state == "one" else []:
            parts.setdefault(engine, []).append((name, value))
    lines = []
    for engine in results.engines:
        total = sum(value for _, value in parts.get(engine, []))
        each = results.figures.get(("one", "bytes/message"), {}).get(engine)
        if total and each:
            scale = each / total
            shares = "; ".join(f"{name} {value * scale:.2f}" for name, value in parts[engine])
            lines.append(f"{engine}: {shares}.\n")
    bytes_said = "Bytes a message, state one.\n" if lines else ""
    return section("The index", table(["figure"] + results.engines, rows), bytes_said, *lines)


def main(path, *wanted):
    results = Results(path, wanted)
    parts = ["\n".join(f"- {line}" for line in results.setting) + "\n\n", checks(results), goals(results), overview(results), spread(results)]
    parts += [classes(results, group) for group in DETAILED] + [cjk(results), index(results)]
    print("\n".join(part.rstrip("\n") + "\n" for part in parts if part.strip()))


if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
    sys.exit(__doc__)
main(*sys.argv[1:])
