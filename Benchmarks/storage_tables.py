#!/usr/bin/env python3
"""Writes the tables of docs/benchmarks/storage.md anew from the results of a run.

    Tools/bench --workloads all --engines magpie,rocksdb,leveldb --json > results.jsonl
    Benchmarks/storage_tables.py results.jsonl

Everything from "## Goals" to "## What is lost" is replaced; the words around it are for a person to write.
"""
import json
import pathlib
import sys

COLUMNS = ["magpie", "rocksdb", "rocksdb-tuned", "leveldb", "disk"]


def figure(value):
    """Four digits at most behind the first one that counts, with commas in large numbers."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(title, results, cell):
    rows = []
    for workload, engines in results.items():
        cells = [cell(engines[name]) if name in engines else None for name in COLUMNS]
        if any(text is not None for text in cells):
            rows.append(f"| {workload} | " + " | ".join(text or "–" for text in cells) + " |")
    head = "| workload | " + " | ".join(COLUMNS) + " |\n| --- |" + " ---: |" * len(COLUMNS)
    return f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n"


def number(key, scale=1.0):
    return lambda result: None if result.get(key) is None else figure(result[key] * scale)


def latency(result):
    keys = ["p50Us", "p99Us", "p999Us"]
    return None if result.get(keys[0]) is None else " / ".join(figure(result[k]) for k in keys)


def main(path):
    goals, results = [], {}
    for line in open(path):
        row = json.loads(line)
        if "goal" in row:
            goals.append(row)
        else:
            results.setdefault(row["workload"], {})[row["engine"]] = row
    verdicts = [
        f"| {g['workload']} | {g['goal'].replace('>=', '≥').replace('<=', '≤')} | {g['reached']} | "
        + ("met |" if g["isReached"] else "**missed** |")
        for g in goals
    ]
    units = {w: next(iter(e.values()))["unit"] for w, e in results.items()}
    other = "; ".join(f"{w}: {u}" for w, u in sorted(units.items()) if u != "ops/s")
    writing = {w: e for w, e in results.items() if w.startswith(("fill", "over", "chat-append", "bare"))}
    parts = [
        "## Goals\n\n| workload | goal | reached | |\n| --- | --- | ---: | --- |\n" + "\n".join(verdicts) + "\n",
        f"Units of the next table: {other}; all others ops/s.\n",
        table("Figures", results, number("value")),
        table("Processor seconds per million operations", results, number("cpuSecondsPerMillion")),
        table("Latency in microseconds, p50 / p99 / p99.9", results, latency),
        table("Bytes given to write calls per byte handed over", writing, number("writeAmplification")),
        table("Bytes of files per live byte at the end", writing, number("spaceAmplification")),
        table("Blocks read per operation", results, number("blockReadsPerOperation")),
        table("Peak resident memory in MiB", results, lambda r: f"{r['peakRssBytes'] / (1 << 20):.0f}"),
    ]
    page = pathlib.Path(__file__).resolve().parent.parent / "docs/benchmarks/storage.md"
    text = page.read_text()
    start, end = text.index("## Goals"), text.index("## What is lost")
    page.write_text(text[:start] + "\n".join(parts) + "\n" + text[end:])


if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
    sys.exit(__doc__)
main(sys.argv[1])
