"""What is done to the nodes. Each fault does its harm, waits, undoes it, and says in words what it did."""

import asyncio
import os
import signal

from cluster import NODES, can_mount, faketime


# As `--faults` takes them. With those of the second line there is no majority for a while.
KINDS = (
    "kill", "absent", "crashloop", "pause", "pauseleader", "cut", "cutpair", "oneway", "flap", "rolling", "clock", "wipe", "flip", "full",
    "killtwo", "killall", "pausetwo")


class Faults:
    """All faults, by name. `random` is drawn from the run's seed."""

    def __init__(self, run, random):
        self.run, self.cluster, self.random = run, run.cluster, random
        self.is_killed_full = False

    def missing(self, kind):
        """What this machine lacks for a kind of fault, or nothing."""
        if kind == "clock":
            return None if faketime() else "faketime is not installed"
        if kind == "full":
            return can_mount()
        return None

    def node(self):
        return self.random.choice(self.cluster.nodes)

    async def hold(self, least, most):
        await asyncio.sleep(self.random.uniform(least, most))

    async def kill(self):
        node = self.node()
        node.kill()
        await self.hold(1, 6)
        node.start()
        return f"{node} killed"

    async def absent(self):
        """Away so long, while so much is written, that the others' logs have moved on."""
        node = self.node()
        node.kill()
        usual, self.run.load.ballast_rate = self.run.load.ballast_rate, 300.0
        await self.hold(15, 25)
        self.run.load.ballast_rate = usual
        node.start()
        return f"{node} was away"

    async def crashloop(self):
        node, times = self.node(), self.random.randrange(2, 6)
        for _ in range(times):
            node.kill()
            node.start()
            await self.hold(0, 2)
        node.kill()
        node.start()
        return f"{node} killed {times + 1} times as it started"

    async def pause(self):
        return await self.stop_and_go(self.node())

    async def pauseleader(self):
        return await self.stop_and_go(await self.cluster.most_leading())

    async def stop_and_go(self, node):
        seconds = self.random.uniform(1, 8)
        node.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        node.signal(signal.SIGCONT)
        return f"{node} stopped for {seconds:.1f} s"

    async def cut(self):
        node = self.node()
        for other in NODES:
            if other != node.number:
                self.cluster.network.drop(node.number, other)
                self.cluster.network.drop(other, node.number)
        return await self.heal_later(f"{node} cut off")

    async def cutpair(self):
        a, b = self.random.sample(NODES, 2)
        self.cluster.network.drop(a, b)
        self.cluster.network.drop(b, a)
        return await self.heal_later(f"nodes {a} and {b} cut off from each other")

    async def oneway(self):
        node = self.node()
        others = [n for n in NODES if n != node.number]
        way = self.random.choice(("mute", "deaf", "half"))
        if way == "half":
            others = [self.random.choice(others)]
        for other in others:
            self.cluster.network.drop(*((other, node.number) if way == "deaf" else (node.number, other)))
        words = f"{node} hears nobody" if way == "deaf" else f"{node} is not heard by {' and '.join(map(str, others))}"
        return await self.heal_later(words)

    async def heal_later(self, words):
        seconds = self.random.uniform(2, 9)
        await asyncio.sleep(seconds)
        self.cluster.network.heal()
        return f"{words} for {seconds:.1f} s"

    async def flap(self):
        """A cut that comes and goes, each time between others."""
        times = self.random.randrange(5, 15)
        for _ in range(times):
            self.cluster.network.drop(*self.random.sample(NODES, 2))
            await self.hold(0.05, 1)
            if self.random.random() < 0.7:
                self.cluster.network.heal()
                await self.hold(0, 0.5)
        self.cluster.network.heal()
        return f"{times} short cuts"

    async def rolling(self):
        nodes = self.random.sample(self.cluster.nodes, 3)
        for node in nodes:
            await self.stop_gracefully(node)
            node.start()
            await self.run.whole(f"the restart of {node}")
        return f"nodes {', '.join(str(n.number) for n in nodes)} restarted"

    async def stop_gracefully(self, node):
        code = await node.stop()
        if code != 0:
            self.run.history.broken(f"{node} ends with {code} after SIGTERM; 0 and within 30 s is right")

    async def killtwo(self):
        nodes = self.random.sample(self.cluster.nodes, 2)
        for node in nodes:
            node.kill()
            await self.hold(0, 1)
        await self.hold(0, 3)
        for node in nodes:
            node.start()
            await self.hold(0, 3)
        return f"{nodes[0]} and {nodes[1]} killed"

    async def pausetwo(self):
        nodes = self.random.sample(self.cluster.nodes, 2)
        for which in (signal.SIGSTOP, signal.SIGCONT):
            for node in nodes:
                node.signal(which)
                await self.hold(0, 2)
        return f"{nodes[0]} and {nodes[1]} stopped, and woken"

    async def killall(self):
        for node in self.random.sample(self.cluster.nodes, 3):
            node.kill()
        await self.hold(0, 1)
        for node in self.random.sample(self.cluster.nodes, 3):
            node.start()
            await self.hold(0, 1)
        return "all nodes killed"

    async def clock(self):
        node, seconds = self.node(), self.random.choice((-60, 60))
        await self.stop_gracefully(node)
        node.start(clock=seconds)
        await self.hold(8, 14)
        await self.stop_gracefully(node)
        node.start()
        return f"{node} with a clock {seconds:+d} s off"

    async def wipe(self):
        node, is_killed_again = self.node(), self.random.random() < 0.4
        node.kill()
        self.cluster.empty(node)
        await self.hold(0, 2)
        node.start()
        if is_killed_again:
            await self.hold(0.2, 3)
            node.kill()
            node.start()
        return f"{node} lost its disk" + (", and was killed as it was rebuilt" if is_killed_again else "")

    async def flip(self):
        """Bits of a stopped node's files. It starts clean or is rebuilt; and what it did not meet yet is put right, so that it is
        not the second damaged node later on."""
        node = self.node()
        if self.random.random() < 0.5:
            await self.stop_gracefully(node)
        else:
            node.kill()
        # Until the others hold all that this one was alone with another to hold.
        await self.hold(2, 3)
        copy = self.random.choice((0, 4096))
        flips = [self.flip_bit(node, copy) for _ in range(self.random.randrange(1, 4))]
        before = self.damaged(node)
        node.excuse = "bits of its files were flipped"
        node.start()
        what = f"{node}: {', '.join(map(str, flips))}"
        await self.run.whole(f"flipped bits in {what}")
        is_rebuilt = self.damaged(node) != before
        left = [f for f in flips if f.is_unnoticed()]
        if left:
            await self.stop_gracefully(node)
            for f in left:
                f.toggle()
            node.start()
            await self.run.whole(f"putting right {', '.join(map(str, left))} of {node}")
        node.excuse = None
        for name in self.damaged(node):
            if name not in before:
                self.run.history.count("damaged files set aside")
        return f"{what}: " + ("rebuilt" if is_rebuilt else "started as it was" + (", put right later" if left else ""))

    def damaged(self, node):
        return sorted(p.name for p in node.data.glob("damaged-*"))

    def flip_bit(self, node, copy):
        """Flips one, anywhere in what a file holds; in the superblock only in the copy at `copy`, since it has two for this."""
        kinds = {"log": "log/*", "table": "tree/*.sst", "manifest": "tree/*.manifest", "superblock": "SUPERBLOCK"}
        files = []
        for kind in [*self.random.choices(list(kinds), [5, 5, 2, 1], k=4), "superblock"]:
            files = sorted(p for p in node.data.glob(kinds[kind]) if used_bytes(p) > 1)
            if files:
                break
        path = self.random.choice(files)
        offset = copy + self.random.randrange(254) if kind == "superblock" else self.random.randrange(used_bytes(path))
        flip = Flip(node.data, path, offset, self.random.randrange(8))
        flip.toggle()
        return flip

    async def full(self):
        """No room, while bulk is written; every other time the node is killed in it, and has to start without room."""
        node = self.cluster.small
        self.is_killed_full = is_killed = not self.is_killed_full
        node.excuse = "its disk is full"
        node.is_halted = False
        stuffing = node.data / "stuffing"
        stuff(stuffing)
        usual, self.run.load.ballast_rate = self.run.load.ballast_rate, 300.0
        await self.hold(5, 10)
        if is_killed and not node.is_halted:
            node.kill()
            node.start()
        await self.hold(10, 15)
        self.run.load.ballast_rate = usual
        tail = node.tail(6)
        stuffing.unlink()
        await asyncio.sleep(1)
        if is_halted := node.is_halted:
            if not any(word in tail.lower() for word in ("space", "full")):
                self.run.history.broken(f"{node} stopped on a full disk and does not say so:\n{tail}")
            node.start()
        node.excuse = None
        return f"the disk of {node} was full" + (", it was killed" if is_killed else "") + (": it stopped itself" if is_halted else "")


class Flip:
    """A bit of a file."""

    def __init__(self, root, path, offset, bit):
        self.root, self.path, self.offset, self.bit = root, path, offset, bit
        self.value = None

    def __str__(self):
        return f"{self.path.relative_to(self.root)} byte {self.offset} bit {self.bit}"

    def toggle(self):
        with open(self.path, "r+b") as file:
            file.seek(self.offset)
            self.value = file.read(1)[0] ^ (1 << self.bit)
            file.seek(self.offset)
            file.write(bytes([self.value]))
            file.flush()
            os.fsync(file.fileno())

    def is_unnoticed(self):
        """True when the damage lies where it can be met later. Log and manifest are read in full at every start."""
        if self.path.suffix != ".sst" and self.path.name != "SUPERBLOCK":
            return False
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                return file.read(1) == bytes([self.value])
        except FileNotFoundError:
            return False


def stuff(path):
    """Takes all room that is left."""
    with open(path, "wb") as file:
        size, step = 0, 64 << 20
        while step >= 4096:
            try:
                os.posix_fallocate(file.fileno(), size, step)
                size += step
            except OSError:
                step //= 2


def used_bytes(path):
    """The size without the zeros at the end: files are made ahead."""
    return max(len(path.read_bytes().rstrip(b"\0")), 1)
