"""Three nodes as processes: their files, how they are started and stopped, and whether the cluster is whole."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from network import call

NODES = (1, 2, 3)
FAKETIME = [Path(p) for p in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1")]
DISK_MEGABYTES = 1024  # of the node whose disk can be filled; a sparse file


def faketime():
    return next((p for p in FAKETIME if p.exists()), None)


def http(method, url, body=None, token=None, timeout=5.0):
    """Status and body of an HTTP call; OSError when there was no answer."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, parsed(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, parsed(error.read())
    except Exception as error:  # also http.client's own: a connection that ends in mid-answer
        raise OSError(repr(error)) from error


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return {"text": body.decode(errors="replace")[:200]}



class Node:
    """One node. `wanted` says whether it ought to run; the supervisor of a run looks after that."""

    def __init__(self, number, directory, binary, network):
        self.number, self.directory, self.binary, self.network = number, directory, binary, network
        self.data = directory / f"node-{number}"
        self.config = directory / f"node-{number}.json"
        self.log = directory / f"node-{number}.log"
        self.process = None
        self.wanted = False
        self.excuse = None  # why it may stop by itself just now
        self.is_halted = False  # stopped by itself, and was excused
        self.starts = 0

    def __str__(self):
        return f"node {self.number}"

    @property
    def url(self):
        return self.network.url(self.number)

    def configure(self):
        members = [{"number": n, "peer": self.network.peer(n), "url": self.network.url(n)} for n in NODES]
        cluster = {"name": "chaos", "number": self.number, "nodes": members}
        if listen := self.network.peer_listen(self.number):
            cluster["peerListen"] = listen
        self.config.write_text(json.dumps({
            "data": str(self.data), "listen": self.network.listen(self.number), "publicUrl": self.url,
            "rateLimits": False, "memory": 64, "cluster": cluster}, indent=1))

    def start(self, clock=None):
        """Starts it, with a clock that is `clock` seconds off."""
        environment = dict(os.environ)
        if clock:
            environment |= {"LD_PRELOAD": str(faketime()), "FAKETIME": f"{clock:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        with open(self.log, "ab") as log:
            log.write(f"--- start {self.starts} at {time.strftime('%H:%M:%S')}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [*self.network.inside(self.number), str(self.binary), "serve", "--config", str(self.config), "--log-level", "info"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        self.starts += 1
        self.wanted = True

    def kill(self):
        self.wanted = False
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    async def stop(self, patience=30):
        """SIGTERM; the exit code, or None when it did not end."""
        self.wanted = False
        self.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if (code := self.process.poll()) is not None:
                return code
            await asyncio.sleep(0.05)
        return None

    def signal(self, which):
        self.process.send_signal(which)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=12):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def admin(self, path):
        """What a call that loopback alone may make answers; None when it does not."""
        command = [*self.network.inside(self.number), "curl", "-s", "-m", "3", self.network.loopback(self.number) + path]
        done = await asyncio.to_thread(call, *command, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    async def lack(self):
        """What this node lacks to be whole, in words; None when it lacks nothing."""
        try:
            status, _ = await asyncio.to_thread(http, "GET", self.url + "/readyz", None, None, 2)
        except OSError as error:
            return f"{self} does not answer: {error}"
        if status != 200:
            return f"{self} is not ready: {status}"
        done = await self.admin("/admin/shards")
        if not done or "shards" not in done:
            return f"{self} does not say how its shards are: {done}"
        for shard in done["shards"]:
            where = f"{self}, shard {shard['shard']}"
            if shard["leader"] is None:
                return f"{where}: no leader"
            if sorted(shard["voters"]) != list(NODES) or shard["learners"]:
                return f"{where}: voters {shard['voters']}, learners {shard['learners']}"
            if shard["role"] not in ("leader", "follower"):
                return f"{where}: {shard['role']}"
        nodes = await self.admin("/admin/nodes")
        for other in (nodes or {}).get("nodes", []):
            if not other["ready"] or not (other["self"] or other["connected"]):
                return f"{self} sees node {other['node']}: connected {other['connected']}, ready {other['ready']}"
        return None if nodes and nodes.get("nodes") else f"{self} does not say how the nodes are: {nodes}"


class Cluster:
    def __init__(self, directory, binary, network, small_disk):
        """`small_disk` is the number of the node whose data lies on a disk of its own, or None."""
        self.network = network
        self.nodes = [Node(n, directory, binary, network) for n in NODES]
        self.small = self.nodes[small_disk - 1] if small_disk else None
        self.directory = directory

    async def open(self):
        await self.network.open()
        for node in self.nodes:
            node.configure()
            node.data.mkdir()
        if self.small:
            image = self.directory / "disk.img"
            with open(image, "wb") as file:
                file.truncate(DISK_MEGABYTES << 20)
            call("mkfs.ext4", "-q", "-m", "0", str(image))
            call("mount", "-o", "loop", str(image), str(self.small.data))
            self.empty(self.small)
        for node in self.nodes:
            node.start()

    async def close(self, is_kept):
        for node in self.nodes:
            if node.is_running():
                node.kill()
        if self.small:
            if is_kept:
                shutil.copytree(self.small.data, self.directory / f"node-{self.small.number}-files", ignore_dangling_symlinks=True)
            call("umount", "-l", str(self.small.data), check=False)
        await self.network.close()

    def empty(self, node):
        """The disk is new."""
        for item in node.data.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()

    async def most_leading(self):
        """The node that leads most shards."""
        counts = []
        for node in self.nodes:
            done = await node.admin("/admin/shards")
            counts.append(sum(s["role"] == "leader" for s in (done or {}).get("shards", [])))
        return self.nodes[counts.index(max(counts))]

    async def lack(self):
        for node in self.nodes:
            if lack := await node.lack():
                return lack
        return None


def can_mount():
    """What keeps this machine from a disk of its own for a node, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    if not shutil.which("mkfs.ext4"):
        return "no mkfs.ext4"
    return None if call("losetup", "-f", check=False).returncode == 0 else "no loop devices"
