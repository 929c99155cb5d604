"""What stands between the nodes, and can be cut: packets between namespaces, or a proxy before each node's peer port.

Both know the same words: `drop(source, target)` loses everything that `source` sends to `target`, `heal()` ends all cuts,
and clients reach every node throughout.
"""

import asyncio
import os
import shutil
import socket
import subprocess

PEER_PORT = 9080
CLIENT_PORT = 8080


def call(*arguments, check=True):
    return subprocess.run(arguments, check=check, capture_output=True, text=True)


class Namespaces:
    """A network namespace for each node and a bridge for all. Needs root, iproute2 and iptables."""

    kind = "network namespaces"

    @staticmethod
    def missing():
        """What keeps this machine from it, or nothing."""
        if os.geteuid() != 0:
            return "not root"
        for program in ("ip", "iptables"):
            if not shutil.which(program):
                return f"no {program}"
        probe = f"mgp{os.getpid()}"
        made = call("ip", "netns", "add", probe, check=False)
        call("ip", "netns", "del", probe, check=False)
        return None if made.returncode == 0 else made.stderr.strip()

    def __init__(self, numbers):
        pid = os.getpid()
        self.numbers = list(numbers)
        self.bridge = f"mgb{pid}"
        self.subnet = f"10.{64 + pid % 128}.{pid // 128 % 256}"
        self.names = {n: f"mg{pid}n{n}" for n in self.numbers}
        self.links = {n: f"mg{pid}v{n}" for n in self.numbers}

    async def open(self):
        call("ip", "link", "add", "name", self.bridge, "type", "bridge")
        call("ip", "address", "add", f"{self.subnet}.254/24", "dev", self.bridge)
        call("ip", "link", "set", self.bridge, "up")
        for n in self.numbers:
            inside = ("ip", "-n", self.names[n])
            call("ip", "netns", "add", self.names[n])
            call("ip", "link", "add", self.links[n], "type", "veth", "peer", "name", "eth0", "netns", self.names[n])
            call("ip", "link", "set", self.links[n], "master", self.bridge, "up")
            call(*inside, "address", "add", f"{self.host(n)}/24", "dev", "eth0")
            call(*inside, "link", "set", "eth0", "up")
            call(*inside, "link", "set", "lo", "up")

    async def close(self):
        for n in self.numbers:
            call("ip", "link", "del", self.links[n], check=False)
            call("ip", "netns", "del", self.names[n], check=False)
        call("ip", "link", "del", self.bridge, check=False)

    def host(self, n):
        return f"{self.subnet}.{n}"

    def listen(self, n):
        return f"0.0.0.0:{CLIENT_PORT}"

    def url(self, n):
        return f"http://{self.host(n)}:{CLIENT_PORT}"

    def peer(self, n):
        return f"{self.host(n)}:{PEER_PORT}"

    def peer_listen(self, n):
        return None

    def inside(self, n):
        """What a command begins with that is to run where node `n` does."""
        return ["ip", "netns", "exec", self.names[n]]

    def loopback(self, n):
        return f"http://127.0.0.1:{CLIENT_PORT}"

    def drop(self, source, target):
        call("ip", "netns", "exec", self.names[target], "iptables", "-w", "-A", "INPUT", "-s", self.host(source), "-j", "DROP")

    def heal(self):
        for n in self.numbers:
            call("ip", "netns", "exec", self.names[n], "iptables", "-w", "-F", "INPUT")


class Proxies:
    """All nodes on 127.0.0.1, and before each node's peer port a proxy that the others take for it."""

    kind = "fault proxies on 127.0.0.1"

    def __init__(self, numbers):
        self.numbers = list(numbers)
        self.ports = {(use, n): free_port() for use in ("client", "peer", "proxy") for n in self.numbers}
        self.dropped = set()
        self.servers, self.channels = [], set()

    async def open(self):
        for n in self.numbers:
            async def accept(reader, writer, target=n):
                await self.carry(reader, writer, target)
            self.servers.append(await asyncio.start_server(accept, "127.0.0.1", self.ports["proxy", n]))

    async def close(self):
        for server in self.servers:
            server.close()
        for channel in list(self.channels):
            channel.abort()

    def listen(self, n):
        return f"127.0.0.1:{self.ports['client', n]}"

    def url(self, n):
        return "http://" + self.listen(n)

    loopback = url

    def peer(self, n):
        return f"127.0.0.1:{self.ports['proxy', n]}"

    def peer_listen(self, n):
        return f"127.0.0.1:{self.ports['peer', n]}"

    def inside(self, n):
        return []

    def drop(self, source, target):
        self.dropped.add((source, target))

    def heal(self):
        """Channels that lost bytes are broken: their ends make new ones."""
        self.dropped.clear()
        for channel in list(self.channels):
            if channel.has_lost:
                channel.abort()

    async def carry(self, reader, writer, target):
        """One channel. The dialer's greeting says who it is: its number stands in bytes 14 and 15 (peer-link.md)."""
        channel = Channel([writer])
        self.channels.add(channel)
        try:
            head = await reader.readexactly(16)
            source = int.from_bytes(head[14:16], "little")
            while (source, target) in self.dropped or (target, source) in self.dropped:
                await asyncio.sleep(0.05)
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", self.ports["peer", target])
            channel.writers.append(inner)
            inner.write(head)
            await asyncio.gather(
                self.pump(reader, inner, (source, target), channel), self.pump(inner_reader, writer, (target, source), channel))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            channel.abort()
            self.channels.discard(channel)

    async def pump(self, reader, writer, way, channel):
        while data := await reader.read(1 << 16):
            if way in self.dropped:
                channel.has_lost = True
                continue
            writer.write(data)
            await writer.drain()
        channel.abort()


class Channel:
    def __init__(self, writers):
        self.writers = writers
        self.has_lost = False

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
