"""The clients: writers, readers and listeners, who come back after every fault as real ones do."""

import asyncio
import json
import random
import string
import time
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from cluster import NODES, http

PATIENCE = 2.5  # seconds for an answer
RETRIED = {"no_quorum", "unavailable", "internal", "rate_limited", "read_only"}
LETTERS = string.ascii_letters + "     äöü🐦"


class Gone(Exception):
    """A connection broke, or nobody answered on it."""


class Link:
    """A WebSocket of one user to one node."""

    def __init__(self, socket, node):
        self.socket, self.node = socket, node
        self.waiting = {}
        self.number = 0
        self.reader = None

    @classmethod
    async def open(cls, url, node, token, resume=None, on_event=None):
        """The link and the answer to its `auth`; Gone when it can't be had."""
        link = None
        try:
            async with asyncio.timeout(PATIENCE):
                socket = await connect(
                    url.replace("http", "ws", 1) + "/v1/ws", subprotocols=["magpie.v1.json"], max_size=8 << 20,
                    ping_interval=None, close_timeout=0.2, compression=None, proxy=None)
                link = cls(socket, node)
                hello = json.loads(await socket.recv())
                if "hello" not in hello:
                    raise Gone(f"no hello: {str(hello)[:80]}")
            link.reader = asyncio.create_task(link.read(on_event))
            answer = await link.ask({"auth": {"token": token, **({"resume": resume} if resume else {})}})
        except (OSError, WebSocketException, TimeoutError, ValueError, Gone) as error:
            if link:
                await link.close()
            raise Gone(repr(error)) from error
        if "ready" not in answer:
            await link.close()
            raise Gone(f"auth: {str(answer)[:120]}")
        return link, answer["ready"]

    async def read(self, on_event):
        try:
            async for raw in self.socket:
                frame = json.loads(raw)
                waiting = self.waiting.pop(str(frame.get("id")), None)
                if waiting and not waiting.done():
                    waiting.set_result(frame)
                elif on_event:
                    on_event(frame)
        except (OSError, WebSocketException):
            pass
        finally:
            for waiting in self.waiting.values():
                if not waiting.done():
                    waiting.set_exception(Gone("closed"))

    async def post(self, frame):
        """Sends; the future of the answer."""
        self.number += 1
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        if self.reader.done():
            raise Gone("closed")
        self.waiting[str(self.number)] = future
        try:
            await self.socket.send(json.dumps({"id": str(self.number), **frame}))
        except (OSError, WebSocketException) as error:
            raise Gone(repr(error)) from error
        return future

    async def answer(self, future, end):
        """What is there by `end`."""
        try:
            return await asyncio.wait_for(future, max(0.001, end - time.monotonic()))
        except TimeoutError as error:
            raise Gone("no answer") from error

    async def ask(self, frame):
        end = time.monotonic() + PATIENCE
        return await self.answer(await self.post(frame), end)

    async def close(self):
        """Never waits for the other side: it may be stopped."""
        if self.reader:
            self.reader.cancel()
        self.socket.transport.abort()


class User:
    def __init__(self, name, answer):
        self.name, self.token, self.id = name, answer["token"], answer["user"]["id"]


class Load:
    """All clients of a run."""

    def __init__(self, urls, history, seed, rate, people=6, conversations=8):
        self.urls, self.history = urls, history
        self.random = random.Random(seed)
        self.rate, self.people, self.count = rate, people, conversations
        self.users, self.conversations, self.listeners = [], [], []
        self.is_over = False
        self.writers, self.others = [], []
        self.avoided = {}  # writer → the node that failed it last
        self.ballast = []  # groups of one, for bulk
        self.ballast_rate = 6.0  # messages of some KB a second

    async def prepare(self):
        """Accounts and groups. Everybody is in every group but for the last user, who is in none."""
        for i in range(self.people):
            name = f"chaos{i}"
            body = {"username": name, "password": "correct horse battery"}
            self.users.append(User(name, await self.insist("POST", "/v1/accounts", body)))
        self.stranger = self.users.pop()
        owner, *others = self.users
        for i in range(self.count):
            body = {"kind": "GROUP", "members": [u.id for u in others], "title": f"group {i}", "cid": self.cid()}
            made = await self.insist("POST", "/v1/conversations", body, owner.token)
            page = await self.insist("GET", f"/v1/conversations/{made['id']}/entries?after=0&limit=200", token=owner.token)
            self.history.begin(made["id"], len(page["entries"]))
            self.conversations.append(made["id"])
        for i in range(3):
            body = {"kind": "GROUP", "members": [], "title": f"bulk {i}", "cid": self.cid()}
            made = await self.insist("POST", "/v1/conversations", body, self.stranger.token)
            page = await self.insist("GET", f"/v1/conversations/{made['id']}/entries?after=0&limit=200", token=self.stranger.token)
            self.history.begin(made["id"], len(page["entries"]), is_counted=False)
            self.ballast.append(made["id"])

    async def insist(self, method, path, body=None, token=None, node=None, patience=60):
        """The body of a good answer, from any node or from one."""
        end, last = time.monotonic() + patience, None
        while time.monotonic() < end:
            at = node or self.random.choice(NODES)
            try:
                status, answer = await asyncio.to_thread(http, method, self.urls[at] + path, body, token, 20)
                if status < 300:
                    return answer
                last = f"{status} {answer}"
                if answer.get("code") not in RETRIED:
                    break
            except OSError as error:
                last = str(error)
            await asyncio.sleep(0.3)
        self.history.broken(f"{method} {path} on node {node or 'any'}: {last}")

    def cid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def start(self):
        pace = self.count * 3 * 2 / self.rate
        for conversation in self.conversations:
            for user in self.random.sample(self.users, 3):
                self.writers.append(asyncio.create_task(self.write(conversation, user, pace)))
        self.writers += [asyncio.create_task(self.fill(c)) for c in self.ballast for _ in range(4)]
        self.listeners = [Listener(self, node, self.users[0]) for node in NODES]
        self.others = [asyncio.create_task(listener.run()) for listener in self.listeners]
        self.others += [asyncio.create_task(self.read()) for _ in range(2)]
        self.others.append(asyncio.create_task(self.trespass()))

    def failed(self):
        """The first error of a client that ended, if any."""
        for task in self.writers + self.others:
            if task.done() and not task.cancelled() and task.exception():
                return task.exception()
        return None

    async def finish(self, patience=60):
        """No new messages; those on their way arrive."""
        self.is_over = True
        _, late = await asyncio.wait(self.writers, timeout=patience)
        for task in late:
            task.cancel()
        if error := self.failed():
            raise error
        if late:
            self.history.broken(f"{len(late)} writers got no answer for {patience} s after everything was healed")

    async def stop(self):
        for task in self.writers + self.others:
            task.cancel()
        await asyncio.gather(*self.writers, *self.others, return_exceptions=True)

    async def write(self, conversation, user, pace):
        """Bursts of one to three messages, each sent again with its cid until it is acknowledged."""
        link, self.avoided[asyncio.current_task()] = None, None
        while not self.is_over:
            await asyncio.sleep(self.random.uniform(0, 2 * pace))
            sends = []
            for _ in range(self.random.randrange(1, 4)):
                size = int(self.random.paretovariate(1) * 60)
                text = f"{self.history.counts.get('acknowledged', 0)} " + "".join(self.random.choices(LETTERS, k=min(size, 3000)))
                sends.append((conversation, user.id, self.cid(), text.strip()))
            if self.random.random() < 0.03 and sends:
                sends.append(sends[-1])  # the same one twice at once
            invoked = {s[2]: self.history.invoke(*s) for s in sends}
            waiting = [invoked[s[2]] for s in sends]
            while waiting:
                link, waiting = await self.attempt(link, user, waiting)
            if self.random.random() < 0.02:
                await self.again(user, invoked[sends[0][2]])

    async def fill(self, conversation):
        """Bulk over HTTP, so that tables are written and merged, and segments end: a small cluster is no cluster."""
        while not self.is_over:
            await asyncio.sleep(len(self.ballast) * 4 / self.ballast_rate * self.random.uniform(0, 2))
            text = "".join(self.random.choices(LETTERS, k=500)) * self.random.randrange(5, 26)
            send = self.history.invoke(conversation, self.stranger.id, self.cid(), text.strip())
            path = f"/v1/conversations/{conversation}/entries"
            while not send.seq:
                node = self.random.choice(NODES)
                try:
                    body = {"cid": send.cid, "text": send.text}
                    status, answer = await asyncio.to_thread(
                        http, "POST", self.urls[node] + path, body, self.stranger.token, PATIENCE)
                    answer = {"sent": answer} if status < 300 else {"error": answer}
                    send.attempts += 1
                    if self.take(send, answer, node):
                        self.history.count("kilobytes of bulk", len(text) // 1000)
                        break
                except OSError as error:
                    send.attempts += 1
                    send.answers.append((time.monotonic(), node, str(error)))
                await asyncio.sleep(self.random.uniform(0.05, 0.3))

    async def attempt(self, link, user, sends):
        """Sends all, once. The link, if it is still good, and what must be sent again."""
        me = asyncio.current_task()
        if link is None:
            node = self.random.choice([n for n in NODES if n != self.avoided[me]])
            try:
                link, _ = await Link.open(self.urls[node], node, user.token)
            except Gone as error:
                self.avoided[me] = node
                self.history.count("connections refused")
                for send in sends:
                    send.answers.append((time.monotonic(), node, f"no connection: {error}"))
                await asyncio.sleep(self.random.uniform(0.05, 0.3))
                return None, sends
            for send in sends:
                if send.attempts:
                    send.answers.append((time.monotonic(), node, "connected"))
        left, is_good = [], True
        futures, end = [], time.monotonic() + PATIENCE
        for send in sends:
            send.attempts += 1
            try:
                futures.append(await link.post(frame(send)))
            except Gone:
                futures.append(None)
        for send, future in zip(sends, futures):
            try:
                if future is None:
                    raise Gone("closed")
                if not self.take(send, await link.answer(future, end), link.node):
                    left.append(send)
                    is_good = False
            except Gone as error:
                send.answers.append((time.monotonic(), link.node, str(error)))
                left.append(send)
                is_good = False
        self.history.count("retries", len(left))
        if is_good:
            return link, left
        self.avoided[me] = link.node
        await link.close()
        await asyncio.sleep(self.random.uniform(0.02, 0.2))
        return None, left

    def take(self, send, answer, node):
        """True when the message needs no more."""
        if "sent" in answer:
            sent = answer["sent"]
            self.history.acknowledge(send, node, int(sent["seq"]), sent.get("duplicate", False), int(sent.get("atMs", 0)))
            return True
        code = answer.get("error", {}).get("code")
        if code not in RETRIED:
            self.history.broken(f"node {node} answers {str(answer)[:200]} to {send}")
        # Only `no_quorum` and `internal` leave open what became of it. What was refused at its first and only try is left so at times.
        if send.attempts == 1 and code in ("unavailable", "read_only") and self.random.random() < 0.2:
            self.history.refuse(send, node, code)
            return True
        send.answers.append((time.monotonic(), node, code))
        self.history.count(f"answered {code}")
        return False

    async def again(self, user, send):
        """Long acknowledged, and sent again elsewhere."""
        if not send.seq:
            return
        node = self.random.choice(NODES)
        try:
            link, _ = await Link.open(self.urls[node], node, user.token)
            try:
                send.attempts += 1
                answer = await link.ask(frame(send))
                if "sent" in answer:
                    self.take(send, answer, node)
                    self.history.count("repeats checked")
            finally:
                await link.close()
        except Gone:
            pass

    async def trespass(self):
        """Somebody who is no member sends as well, and is refused whatever happens."""
        while True:
            await asyncio.sleep(1)
            node, cid = self.random.choice(NODES), self.cid()
            self.history.strays.add(cid)
            body = {"cid": cid, "text": "let me in"}
            path = f"/v1/conversations/{self.random.choice(self.conversations)}/entries"
            try:
                status, answer = await asyncio.to_thread(http, "POST", self.urls[node] + path, body, self.stranger.token)
            except OSError:
                continue
            if status < 300:
                self.history.broken(f"node {node} took a stranger's message: {answer}")
            self.history.count("trespassers turned away" if status == 404 else "trespassers unanswered")

    async def read(self):
        """Newest pages: no read is older than what was acknowledged or shown before it began."""
        while True:
            await asyncio.sleep(self.random.uniform(0.05, 0.4))
            node, conversation = self.random.choice(NODES), self.random.choice(self.conversations)
            floor = self.history.heads[conversation]
            limit = self.random.choice((1, 20, 100))
            path = f"/v1/conversations/{conversation}/entries?limit={limit}"
            try:
                status, page = await asyncio.to_thread(http, "GET", self.urls[node] + path, None, self.users[1].token)
            except OSError:
                self.history.count("reads unanswered")
                continue
            if status != 200:
                if page.get("code") not in RETRIED:
                    self.history.broken(f"node {node} answers a read with {status} {page}")
                self.history.count("reads refused")
                continue
            self.history.count("reads")
            seqs = [int(e["seq"]) for e in page.get("entries", [])]
            if not seqs or seqs != list(range(seqs[0], seqs[0] + len(seqs))):
                self.history.broken(f"node {node} gives a page with holes: {seqs}")
            for entry in page.get("entries", []):
                self.history.observe(conversation, entry, f"a page of node {node}")
            if seqs[-1] < floor:
                self.history.broken(f"node {node} read {conversation} up to {seqs[-1]}; {floor} was there before")

    async def whole(self, node, conversation):
        """All entries of a conversation, as a node gives them."""
        entries, after = [], 0
        token = (self.stranger if conversation in self.ballast else self.users[1]).token
        while True:
            path = f"/v1/conversations/{conversation}/entries?after={after}&limit=200"
            page = await self.insist("GET", path, token=token, node=node)
            entries += page.get("entries", [])
            if not page.get("entries") or not page.get("more"):
                return entries
            after = int(entries[-1]["seq"])


def frame(send):
    return {"send": {"conversation": send.conversation, "cid": send.cid, "text": send.text}}


class Listener:
    """Someone with every conversation open on one node. What they were shown has no hole and no repeat."""

    def __init__(self, load, node, user):
        self.load, self.history, self.node, self.user = load, load.history, node, user
        self.have = {c: load.history.base[c] for c in load.conversations}
        self.behind = {}  # conversation → a head that was spoken of and not shown
        self.epoch = self.feed = None
        self.error = None

    async def run(self):
        while True:
            await asyncio.sleep(0.3)
            resume = None
            if self.epoch is not None:
                resume = {"epoch": self.epoch, "feed": self.feed, "have": self.have}
            try:
                link, ready = await Link.open(self.load.urls[self.node], self.node, self.user.token, resume, self.take)
            except Gone:
                continue
            self.history.count("listeners' sessions")
            self.epoch = ready.get("epoch")
            self.heads(ready.get("changed", []))
            is_complete = ready.get("complete", False)
            if is_complete:
                self.feed = ready.get("feed")
            try:
                while True:
                    await asyncio.sleep(0.5)
                    if self.error:
                        raise self.error
                    for conversation in [c for c, head in self.behind.items() if head > self.have[c]]:
                        await self.pull(link, conversation)
                    pong = await link.ask({"ping": {"feed": self.feed} if self.feed else {}})
                    if "pong" not in pong:
                        raise Gone(str(pong)[:80])
                    self.feed = pong["pong"].get("feed", self.feed)
            except Gone:
                pass
            finally:
                await link.close()

    def heads(self, changed):
        for item in changed:
            conversation = item["conversation"]
            if conversation in self.have and not self.history.base[conversation] >= int(item.get("head", 0)):
                self.behind[conversation] = max(self.behind.get(conversation, 0), int(item["head"]))

    def take(self, event):
        try:
            if "entry" in event:
                self.entry(event["entry"])
            elif "gap" in event:
                self.history.count("gaps pushed")
                self.heads([event["gap"]])
            elif "changed" in event:
                self.heads(event["changed"].get("changed", []))
        except Exception as error:
            self.error = error

    def entry(self, entry):
        conversation, seq = entry["conversation"], int(entry["seq"])
        if conversation not in self.have:
            return
        self.history.observe(conversation, entry, f"the stream of node {self.node}")
        have = self.have[conversation]
        if seq == have + 1:
            self.have[conversation] = seq
            self.history.count("entries streamed")
        elif seq <= have:
            self.history.count("entries streamed again")
        else:
            if self.behind.get(conversation, 0) <= have:
                self.history.count("holes in the stream")
            self.behind[conversation] = max(self.behind.get(conversation, 0), seq)

    async def pull(self, link, conversation):
        after, head = self.have[conversation], self.behind[conversation]
        if after >= head:
            return  # streamed meanwhile
        answer = await link.ask({"pull": {"conversation": conversation, "after": after, "limit": 200}})
        if "page" not in answer:
            raise Gone(str(answer)[:120])
        entries, more = answer["page"].get("entries", []), answer["page"].get("more", False)
        if not entries or (not more and int(entries[-1]["seq"]) < head):
            self.history.broken(f"node {self.node} spoke of seq {head} of {conversation}, and a pull after {after} gives {len(entries)} entries")
        for entry in entries:
            self.history.observe(conversation, entry, f"a pull at node {self.node}")
            if int(entry["seq"]) == self.have[conversation] + 1:
                self.have[conversation] += 1
                self.history.count("entries pulled")
