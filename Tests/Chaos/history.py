"""What was sent and what was seen, and the rules that tie them together.

The rules are those of every client: what is acknowledged is there, once, at its place, for everybody, for ever.
"""

import bisect
import time
from dataclasses import dataclass, field


class Violation(Exception):
    """A promise was broken."""


@dataclass
class Send:
    conversation: str
    sender: str
    cid: str
    text: str
    invoked: float = 0.0
    acknowledged: float = 0.0
    seq: int = 0
    is_refused: bool = False  # told that it will never be
    attempts: int = 0
    originals: int = 0  # answers that did not say "duplicate"
    answers: list = field(default_factory=list)  # (when, node, what)


class History:
    def __init__(self):
        self.sends = {}  # (conversation, cid) → Send
        self.places = {}  # (conversation, seq) → what stands there
        self.base = {}  # conversation → head before the load
        self.heads = {}  # conversation → the highest seq that somebody was shown
        self.acknowledgements = {}  # conversation → times, ascending
        self.counts = {}
        self.violations = []
        self.strays = set()  # cids that must never be seen: sent without a right to

    def count(self, what, by=1):
        self.counts[what] = self.counts.get(what, 0) + by

    def broken(self, sentence):
        self.violations.append(sentence)
        raise Violation(sentence)

    def begin(self, conversation, head, is_counted=True):
        """A conversation with `head` entries before the load; its gaps count or not."""
        self.base[conversation] = self.heads[conversation] = head
        if is_counted:
            self.acknowledgements[conversation] = []

    def invoke(self, conversation, sender, cid, text):
        return self.sends.setdefault((conversation, cid), Send(conversation, sender, cid, text, invoked=time.monotonic()))

    def refuse(self, send, node, code):
        send.is_refused = True
        send.answers.append((time.monotonic(), node, code))
        self.count("refused for good")

    def acknowledge(self, send, node, seq, is_duplicate, at_ms=None):
        """The server said that `send` is kept at `seq`."""
        now = time.monotonic()
        send.answers.append((now, node, f"seq {seq}" + (" again" if is_duplicate else "")))
        if send.seq and send.seq != seq:
            self.broken(f"one cid has two places: {describe(send)}")
        if not send.seq:
            send.seq, send.acknowledged = seq, now
            if send.conversation in self.acknowledgements:
                self.acknowledgements[send.conversation].append(now)
            self.count("acknowledged")
            if at_ms and not is_duplicate and abs(at_ms / 1000 - time.time()) > 15:
                self.broken(f"stamped {at_ms / 1000 - time.time():+.1f} s off: {describe(send)}")
        send.originals += not is_duplicate
        if send.originals > 1:
            self.broken(f"a repeat was taken for a new message: {describe(send)}")
        self.place(send.conversation, seq, send.cid, f"the answer of node {node}")

    def place(self, conversation, seq, what, where):
        known = self.places.setdefault((conversation, seq), what)
        if known != what:
            self.broken(f"seq {seq} of {conversation} is {known}, and {what} in {where}")
        self.heads[conversation] = max(self.heads[conversation], seq)

    def observe(self, conversation, entry, where):
        """An entry that somebody was shown."""
        seq = int(entry["seq"])
        if seq <= self.base[conversation]:
            return
        cid = entry.get("cid", "")
        if cid in self.strays:
            self.broken(f"{where} shows seq {seq} of {conversation}, sent by a stranger: {cid}")
        send = self.sends.get((conversation, cid))
        if send is None:
            self.broken(f"{where} shows at seq {seq} of {conversation} what nobody sent: {str(entry)[:300]}")
        if send.is_refused:
            self.broken(f"{where} shows at seq {seq} what was refused for good: {describe(send)}")
        if entry.get("from") != send.sender or entry.get("message", {}).get("text") != send.text:
            self.broken(f"{where} shows at seq {seq} other content than was sent: {describe(send)}: {str(entry)[:300]}")
        if send.seq and send.seq != seq:
            self.broken(f"{where} shows seq {seq}: {describe(send)}")
        self.place(conversation, seq, cid, where)

    def check_log(self, conversation, entries, where):
        """All entries of a conversation, at the end, as one node has them."""
        cids = {}
        for position, entry in enumerate(entries, 1):
            if int(entry["seq"]) != position:
                self.broken(f"{where}: after seq {position - 1} of {conversation} comes {entry['seq']}")
            self.observe(conversation, entry, where)
            if position > self.base[conversation]:
                if (cid := entry["cid"]) in cids:
                    self.broken(f"{where}: {cid} stands at {cids[cid]} and {position} of {conversation}")
                cids[cid] = position
        if len(entries) < self.heads[conversation]:
            self.broken(f"{where}: {conversation} ends at {len(entries)}, and seq {self.heads[conversation]} was seen")
        for send in self.sends.values():
            if send.conversation == conversation and send.seq and cids.get(send.cid) != send.seq:
                self.broken(f"{where} has at {cids.get(send.cid)} what was acknowledged at {send.seq}: {describe(send)}")
        stamps = [int(e["atMs"]) for e in entries]
        for position, (a, b) in enumerate(zip(stamps, stamps[1:]), 1):
            if b < a:
                self.broken(f"{where}: time goes back at seq {position + 1} of {conversation}: {a} to {b}")

    def check_order(self):
        """What was acknowledged before another was sent stands before it."""
        for conversation in self.base:
            sends = [s for s in self.sends.values() if s.conversation == conversation and s.seq]
            by_answer = sorted(sends, key=lambda s: s.acknowledged)
            times = [s.acknowledged for s in by_answer]
            highest = []
            for send in by_answer:
                highest.append(send if not highest or send.seq > highest[-1].seq else highest[-1])
            for send in sends:
                before = bisect.bisect_left(times, send.invoked)
                if before and highest[before - 1].seq >= send.seq:
                    self.broken(f"later sent, earlier placed: {describe(send)} after {describe(highest[before - 1])}")

    def slowest(self, start):
        """The message that waited longest, of those that were acknowledged since `start`."""
        return max((s for s in self.sends.values() if s.acknowledged > start), key=lambda s: s.acknowledged - s.invoked, default=None)

    def gaps(self, start, end):
        """Longest time without any acknowledgement, and without one in some conversation, in seconds."""
        def longest(times):
            inside = times[bisect.bisect_left(times, start):bisect.bisect_right(times, end)]
            edges = [start, *inside, end]
            return max(b - a for a, b in zip(edges, edges[1:]))
        every = sorted(t for times in self.acknowledgements.values() for t in times)
        return longest(every), max(longest(times) for times in self.acknowledgements.values())


def describe(send):
    answers = ", ".join(f"{when - send.invoked:.2f} s node {node}: {what}" for when, node, what in send.answers[-12:])
    return f"[{send.cid} of {send.conversation}, seq {send.seq or 'none'}, sent at {send.invoked:.3f}; {answers}]"
