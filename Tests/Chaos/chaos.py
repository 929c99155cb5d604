#!/usr/bin/env python3
"""Three real nodes under load while they are killed, stopped, cut off, filled, wiped and damaged; and what clients were promised is checked.

    Tools/chaos                                 five minutes of everything
    Tools/chaos --seconds 60 --faults kill,cut --seed 7

Exit code 0 when every promise held, 1 when one did not (the seed is printed and the directory kept), 2 on wrong usage.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster import NODES, Cluster, can_mount
from faults import KINDS, Faults
from history import History, describe
from network import Namespaces, Proxies

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-chaos"
WEBSOCKETS = "websockets==15.0.1"


def require_websockets():
    """Runs this script again in a virtual environment that has websockets, making it when missing."""
    python = VENV / "bin" / "python"
    if Path(sys.prefix).resolve() == VENV.resolve():
        try:
            import websockets.asyncio.client  # noqa: F401
            return
        except ImportError:
            if subprocess.call([python, "-m", "pip", "install", "--quiet", WEBSOCKETS]) != 0:
                sys.exit(f"chaos.py: {WEBSOCKETS} could not be installed into {VENV}")
    elif not python.exists():
        print(f"making {VENV.name} with {WEBSOCKETS}", file=sys.stderr)
        if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("chaos.py: no virtual environment; install it with: sudo apt-get install python3-venv")
    os.execv(python, [str(python), *sys.argv])


def usage():
    parser = argparse.ArgumentParser(
        prog="Tools/chaos", description="Harms a cluster of three real processes under load, and checks that nothing is lost.",
        epilog=f"Faults: {', '.join(KINDS)}.")
    parser.add_argument("--seconds", type=float, default=300, help="how long new faults begin (default 300)")
    parser.add_argument("--seed", type=int, help="of faults and load (default: chance)")
    parser.add_argument("--faults", help="only these, with commas (default: all)")
    parser.add_argument("--rate", type=float, default=120, help="messages a second at most (default 120)")
    parser.add_argument("--calm", type=float, default=2, help="seconds between faults (default 2)")
    parser.add_argument("--slow", type=float, default=1e9, help="print each fault's slowest message when it took this many seconds")
    parser.add_argument("--proxies", action="store_true", help="cut by proxies, not by network namespaces, also as root")
    parser.add_argument("--keep", action="store_true", help="keep the directory of a run that held")
    parser.add_argument("--bin", type=Path, default=ROOT / ".build/release", help="where the programs are")
    options = parser.parse_args()
    options.faults = options.faults.split(",") if options.faults else list(KINDS)
    for kind in options.faults:
        if kind not in KINDS:
            parser.error(f"there is no fault {kind}; there are: {', '.join(KINDS)}")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "little")
    return options


class Run:
    """One run: cluster, load, faults, verdict."""

    def __init__(self, options, directory):
        from load import Load  # needs websockets, which may have to be installed first
        self.options, self.directory = options, directory
        self.random = random.Random(options.seed)
        lack = "--proxies" if options.proxies else Namespaces.missing()
        network = Proxies(NODES) if lack else Namespaces(NODES)
        say(f"seed {options.seed}, {network.kind}{f' ({lack})' if lack else ''}, {directory}")
        # The programs as they are now: a build meanwhile changes nothing.
        for name in ("magpie", "magpie-dump"):
            shutil.copy2(options.bin / name, directory / name)
        small = None if "full" not in options.faults or can_mount() else self.random.choice(NODES)
        self.cluster = Cluster(directory, directory / "magpie", network, small)
        self.history = History()
        self.load = Load({n.number: n.url for n in self.cluster.nodes}, self.history, options.seed, options.rate)
        self.faults = Faults(self, self.random)
        self.done = []  # (kind, seconds, gap of all, gap of one)
        self.began = time.monotonic()

    def say(self, sentence):
        say(f"{time.monotonic() - self.began:7.1f}  {sentence}")

    async def whole(self, after, patience=150):
        """Returns once every node is ready and votes in every shard."""
        end, last = time.monotonic() + patience, None
        while time.monotonic() < end:
            last = await self.cluster.lack()
            if last is None:
                return
            await asyncio.sleep(0.2)
        self.history.broken(f"not whole {patience} s after {after}: {last}")

    async def supervise(self):
        """What a service manager does: a node that stopped itself for a reason is started again. Without a reason is a fault of ours."""
        while True:
            await asyncio.sleep(0.2)
            for node in self.cluster.nodes:
                if not node.wanted or node.is_running():
                    continue
                node.wanted = False
                code = node.process.returncode
                if node.excuse is None:
                    self.history.broken(f"{node} ended by itself with {code}:\n{node.tail()}")
                self.say(f"         {node} ended with {code}, since {node.excuse}: {node.tail(1)[:300]}")
                if node.excuse == "its disk is full":
                    node.is_halted = True
                    continue
                self.history.count("restarts of damaged nodes")
                await asyncio.sleep(0.5)
                node.start()

    async def strike(self):
        """Faults, one after the other, in decks that hold each kind once."""
        kinds = []
        for kind in self.options.faults:
            if lack := self.faults.missing(kind):
                self.say(f"{kind} is left out: {lack}")
            else:
                kinds.append(kind)
        end, deck = time.monotonic() + self.options.seconds, []
        while kinds and time.monotonic() < end:
            deck = deck or self.random.sample(kinds, len(kinds))
            kind = deck.pop()
            start = time.monotonic()
            words = await getattr(self.faults, kind)()
            healed = time.monotonic()
            await self.whole(f"{kind}: {words}")
            now = time.monotonic()
            gaps = self.history.gaps(start, now)
            self.done.append((kind, now - start, *gaps))
            self.say(
                f"{kind}: {words}. From {start - self.began:.1f} to {healed - self.began:.1f}, whole {now - healed:.1f} s later; "
                f"nothing acknowledged for {gaps[0]:.2f} s, in one conversation for {gaps[1]:.2f} s")
            slowest = self.history.slowest(start)
            if slowest and slowest.acknowledged - slowest.invoked > self.options.slow:
                self.say(f"         slowest: {describe(slowest)}, {slowest.invoked - start:.2f} s after the fault began")
            await asyncio.sleep(self.options.calm)

    async def check(self):
        """The end: everything, on every node."""
        await self.load.finish()
        await self.whole("the end")
        heads = {}
        for node in self.cluster.nodes:
            for conversation in self.load.conversations + self.load.ballast:
                entries = await self.load.whole(node.number, conversation)
                self.history.check_log(conversation, entries, f"node {node.number}")
                if heads.setdefault(conversation, len(entries)) != len(entries):
                    self.history.broken(f"{conversation} has {heads[conversation]} entries and, on {node}, {len(entries)}")
        self.history.check_order()
        end = time.monotonic() + 20
        while late := [item for item in self.load.listeners if any(item.have[c] != heads[c] for c in item.have)]:
            if time.monotonic() > end:
                lacks = {c: (have, heads[c]) for c, have in late[0].have.items() if have != heads[c]}
                self.history.broken(f"the listener on node {late[0].node} was never shown the end: {lacks}")
            if error := self.load.failed():
                raise error
            await asyncio.sleep(0.2)
        await self.load.stop()
        for node in self.cluster.nodes:
            await self.faults.stop_gracefully(node)
        for node in self.cluster.nodes:
            for name in node.data.glob("damaged-*"):
                shutil.rmtree(name)
            done = subprocess.run([self.directory / "magpie-dump", "db", "check", node.data], capture_output=True, text=True)
            if done.returncode != 0:
                self.history.broken(f"the files of {node} are damaged: {(done.stdout + done.stderr)[-600:]}")

    async def go(self):
        """True when every promise held."""
        tasks, has_held = [], False
        try:
            await self.cluster.open()
            tasks.append(asyncio.create_task(self.supervise()))
            await self.whole("the start")
            await self.load.prepare()
            self.load.start()
            self.say(f"{len(self.load.conversations)} conversations, {len(self.load.writers)} writers")

            async def story():
                await asyncio.sleep(2)
                await self.strike()
                await self.check()
            tasks.append(asyncio.create_task(story()))
            tasks.append(asyncio.create_task(self.watch()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            has_held = True
        except Exception as error:
            self.say(f"BROKEN  {type(error).__name__}: {error}")
            if not self.history.violations:
                import traceback
                traceback.print_exception(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.load.stop()
            await self.cluster.close(is_kept=self.options.keep or not has_held)
        return has_held

    async def watch(self):
        """Ends with the first error of a client."""
        while True:
            await asyncio.sleep(0.2)
            if error := self.load.failed():
                raise error

    def summary(self):
        say(f"\n{'fault':<12}{'times':>6}{'seconds':>9}{'longest gap':>13}{'in one conversation':>21}")
        for kind in dict.fromkeys(kind for kind, *_ in self.done):
            rows = [row for row in self.done if row[0] == kind]
            say(f"{kind:<12}{len(rows):>6}{sum(r[1] for r in rows):>9.0f}{max(r[2] for r in rows):>11.2f} s{max(r[3] for r in rows):>19.2f} s")
        say("\n" + ", ".join(f"{what}: {count}" for what, count in sorted(self.history.counts.items())))


def say(sentence):
    print(sentence, flush=True)


async def main(options):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))  # HTTP calls, some of which wait for a stopped node
    directory = Path(tempfile.mkdtemp(prefix="magpie-chaos-"))
    run = Run(options, directory)
    whole = asyncio.create_task(run.go())
    for which in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(which, whole.cancel)
    try:
        has_held = await whole
    except asyncio.CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        say("stopped")
        return 1
    run.summary()
    if has_held:
        say(f"everything held: {len(run.done)} faults, {run.history.counts.get('acknowledged', 0)} messages, seed {options.seed}")
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
        return 0
    say(f"a promise was broken, seed {options.seed}; the nodes' files and logs are in {directory}")
    return 1


if __name__ == "__main__":
    chosen = usage()
    require_websockets()
    sys.exit(asyncio.run(main(chosen)))
