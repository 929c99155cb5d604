// What the client knows: users, conversations, their loaded entries. Cursors move over contiguous seq only.
import { uuid } from "./api.js";

const number = (value) => Number(value || 0);
const PAGE = 50;

export class Conversation {
  constructor(id) {
    Object.assign(this, {
      id, kind: "", title: "", members: [], head: 0, m: 0, floor: 1, unread: 0, delivered: 0, read: 0,
      marks: new Map(), last: null, lastAtMs: 0, entries: [], moreBefore: false, isLoaded: false,
      pending: [], typing: new Map(), left: false, isPulling: false,
    });
  }

  // The contiguous end of what is loaded; 0 when nothing is.
  get have() { return this.entries.length ? this.entries.at(-1).seq : 0; }

  apply(changed) {
    this.head = Math.max(this.head, number(changed.head));
    this.m = number(changed.m);
    this.floor = number(changed.floor) || 1;
    this.unread = number(changed.unread);
    this.delivered = Math.max(this.delivered, number(changed.delivered));
    this.read = Math.max(this.read, number(changed.read));
    this.left = Boolean(changed.left);
    for (const mark of changed.marks || []) this.mark(mark);
    if (changed.last) this.setLast(entryOf(changed.last));
  }

  describe(view) {
    this.kind = view.kind;
    this.title = view.title || "";
    this.memberCount = number(view.memberCount);
    this.members = view.members || [];
    this.apply(view);
    this.lastAtMs = Math.max(this.lastAtMs, number(view.lastAtMs));
  }

  mark({ user, delivered, read }) {
    const old = this.marks.get(user) || { delivered: 0, read: 0 };
    this.marks.set(user, {
      delivered: Math.max(old.delivered, number(delivered)), read: Math.max(old.read, number(read)),
    });
  }

  setLast(entry) {
    if (this.last && this.last.seq > entry.seq) return;
    this.last = entry;
    this.lastAtMs = Math.max(this.lastAtMs, entry.atMs);
  }
}

// An entry with numbers for its 64-bit fields.
export function entryOf(raw) {
  const entry = { ...raw, seq: number(raw.seq), m: number(raw.m), atMs: number(raw.atMs) };
  if (entry.message) {
    entry.message = { ...entry.message, revision: number(entry.message.revision), editedAtMs: number(entry.message.editedAtMs) };
  }
  return entry;
}

export class Store extends EventTarget {
  constructor(api, me) {
    super();
    this.api = api;
    this.me = me;
    this.users = new Map([[me.id, me]]);
    this.presence = new Map();
    this.conversations = new Map();
    this.feed = 0;
    this.epoch = null;
    this.outboxKey = `magpie.outbox.${me.id}`;
  }

  changed(conversation) { this.dispatchEvent(new CustomEvent("change", { detail: conversation })); }

  sorted() { return [...this.conversations.values()].filter((c) => c.kind).sort((a, b) => b.lastAtMs - a.lastAtMs); }

  at(id) {
    let conversation = this.conversations.get(id);
    if (!conversation) this.conversations.set(id, (conversation = new Conversation(id)));
    return conversation;
  }

  name(id) { const u = this.users.get(id); return u ? u.displayName || u.username : "…"; }
  peer(conversation) { return conversation.members.map((m) => m.user).find((u) => u !== this.me.id) || this.me.id; }
  titleOf(conversation) { return conversation.kind === "DIRECT" ? this.name(this.peer(conversation)) : conversation.title || "Group"; }

  // What auth sends so that the server streams what is missing. The newest 200 loaded conversations.
  resumeMark() {
    if (this.epoch === null) return null;
    const have = {};
    for (const c of this.sorted().filter((c) => c.have).slice(0, 200)) have[c.id] = String(c.have);
    return { epoch: String(this.epoch), feed: String(this.feed), have };
  }

  async loadAll() {
    let cursor;
    do {
      const part = await this.api.conversations(cursor);
      for (const view of part.conversations || []) this.at(view.id).describe(view);
      cursor = part.cursor;
    } while (cursor);
    await this.learnUsers();
    this.changed(null);
  }

  async learn(id) {
    const conversation = this.at(id);
    try {
      conversation.describe(await this.api.conversation(id));
      await this.learnUsers(conversation);
    } catch (error) {
      if (error.status === 404) conversation.left = true;
    }
    this.changed(conversation);
    return conversation;
  }

  async learnUsers(one) {
    const wanted = new Set();
    for (const c of one ? [one] : this.conversations.values()) {
      for (const { user } of c.members) wanted.add(user);
      if (c.last) wanted.add(c.last.from);
      for (const e of c.entries) wanted.add(e.from);
    }
    const missing = [...wanted].filter((id) => id && !this.users.has(id));
    for (let i = 0; i < missing.length; i += 50) {
      for (const user of await this.api.users(missing.slice(i, i + 50))) this.users.set(user.id, user);
    }
  }

  takeReady(ready) {
    if (this.epoch !== null && String(this.epoch) !== String(ready.epoch)) {
      for (const c of this.conversations.values()) Object.assign(c, { entries: [], isLoaded: false });
    }
    this.epoch = ready.epoch || "0";
    this.takeChanged(ready, ready.feed);
  }

  takeChanged(frame, feed) {
    for (const changed of frame.changed || []) {
      const known = this.conversations.has(changed.conversation);
      const conversation = this.at(changed.conversation);
      conversation.apply(changed);
      if (!known || !conversation.kind) this.learn(conversation.id);
    }
    if (feed !== undefined) this.pendingFeed = number(feed);
    if (frame.complete && this.pendingFeed !== undefined) this.feed = Math.max(this.feed, this.pendingFeed);
    this.changed(null);
  }

  takeEntry(raw) {
    const entry = entryOf(raw);
    const conversation = this.at(entry.conversation);
    if (!conversation.kind) this.learn(conversation.id);
    const isNew = entry.seq > conversation.head;
    conversation.head = Math.max(conversation.head, entry.seq);
    if (isNew) {
      if (entry.message && entry.from !== this.me.id) conversation.unread += 1;
      if (entry.message && entry.from === this.me.id && conversation.unread === 0) {
        conversation.read = conversation.delivered = entry.seq;
      }
      conversation.m = Math.max(conversation.m, entry.m);
      conversation.setLast(entry);
    }
    conversation.typing.delete(entry.from);
    conversation.pending = conversation.pending.filter((p) => p.cid !== entry.cid);
    if (conversation.isLoaded) {
      if (entry.seq === conversation.have + 1) this.append(conversation, entry);
      else if (entry.seq > conversation.have + 1) this.pullAfter(conversation);
    }
    if (entry.membership) this.learn(conversation.id);
    if (entry.settings) conversation.title = entry.settings.title ?? conversation.title;
    if (!this.users.has(entry.from)) this.learnUsers(conversation).then(() => this.changed(conversation));
    this.changed(conversation);
    return { conversation, entry, isNew };
  }

  // A streamed edit or erase applies only when it is newer than what is shown.
  append(conversation, entry) {
    conversation.entries.push(entry);
    const change = entry.edit || entry.erase;
    const target = change && conversation.entries.find((e) => e.seq === number(change.target));
    if (!target?.message || target.message.revision >= entry.seq) return;
    target.message = entry.edit
      ? { ...target.message, text: entry.edit.text, media: entry.edit.media || target.message.media, editedAtMs: entry.atMs, revision: entry.seq }
      : { erased: true, revision: entry.seq };
  }

  takeGap({ conversation: id, head }) {
    const conversation = this.at(id);
    conversation.head = Math.max(conversation.head, number(head));
    if (conversation.isLoaded) this.pullAfter(conversation);
    else this.learn(id);
  }

  async pull(anchor) { return (await this.socket.request({ pull: anchor })).page; }

  async load(conversation) {
    if (conversation.isLoaded) return;
    const page = await this.pull({ conversation: conversation.id, limit: PAGE });
    conversation.entries = (page.entries || []).map(entryOf);
    conversation.moreBefore = Boolean(page.moreBefore);
    conversation.isLoaded = true;
    await this.learnUsers(conversation);
    this.changed(conversation);
  }

  async loadOlder(conversation) {
    if (!conversation.moreBefore || conversation.isPulling) return false;
    conversation.isPulling = true;
    try {
      const first = conversation.entries[0]?.seq;
      const page = await this.pull({ conversation: conversation.id, before: String(first), limit: PAGE });
      conversation.entries = [...(page.entries || []).map(entryOf), ...conversation.entries];
      conversation.moreBefore = Boolean(page.moreBefore);
      await this.learnUsers(conversation);
      return true;
    } finally { conversation.isPulling = false; }
  }

  // Fills the hole between what is loaded and the head; again while new ones arrive meanwhile.
  async pullAfter(conversation) {
    if (conversation.isPulling) return;
    conversation.isPulling = true;
    try {
      while (conversation.have < conversation.head && !conversation.left) {
        const page = await this.pull({ conversation: conversation.id, after: String(conversation.have), limit: 200 });
        const fresh = (page.entries || []).map(entryOf).filter((e) => e.seq === conversation.have + 1 || e.seq > conversation.have);
        if (!fresh.length) break;
        for (const entry of fresh) {
          conversation.pending = conversation.pending.filter((p) => p.cid !== entry.cid);
          this.append(conversation, entry);
          conversation.setLast(entry);
        }
      }
      await this.learnUsers(conversation);
    } catch { /* offline: resume brings it */ } finally { conversation.isPulling = false; }
    this.changed(conversation);
  }

  // ---- sending: the outbox survives a reload of the tab; a retry repeats the cid ----

  send(conversation, content) {
    const item = { cid: uuid(), conversation: conversation.id, ...content, atMs: Date.now() };
    conversation.pending.push(item);
    this.saveOutbox();
    this.changed(conversation);
    return this.push(conversation, item);
  }

  async push(conversation, item) {
    if (item.isUnderWay) return;
    item.isUnderWay = true;
    item.error = undefined;
    try {
      const { sent } = await this.socket.request({
        send: { conversation: item.conversation, cid: item.cid, text: item.text || "", ...(item.media && { media: item.media }) },
      });
      if (!sent.duplicate && number(sent.seq) > conversation.head) conversation.head = number(sent.seq);
      if (conversation.isLoaded && conversation.have < number(sent.seq)) await this.pullAfter(conversation);
      if (conversation.unread === 0) conversation.read = Math.max(conversation.read, number(sent.seq));
      conversation.pending = conversation.pending.filter((p) => p !== item);
    } catch (error) {
      if (!["offline", "unavailable", "no_quorum", "rate_limited"].includes(error.code)) item.error = error.message;
      else if (error.code !== "offline") setTimeout(() => this.push(conversation, item), Number(error.retryAfterMs || 1000));
    } finally { item.isUnderWay = false; }
    this.saveOutbox();
    this.changed(conversation);
  }

  async flushOutbox() {
    for (const conversation of this.conversations.values()) {
      for (const item of [...conversation.pending]) if (!item.error) await this.push(conversation, item);
    }
  }

  drop(conversation, item) {
    conversation.pending = conversation.pending.filter((p) => p !== item);
    this.saveOutbox();
    this.changed(conversation);
  }

  saveOutbox() {
    const items = [...this.conversations.values()].flatMap((c) => c.pending.map(({ cid, conversation, text, media, atMs }) => ({ cid, conversation, text, media, atMs })));
    sessionStorage.setItem(this.outboxKey, JSON.stringify(items));
  }

  restoreOutbox() {
    const items = JSON.parse(sessionStorage.getItem(this.outboxKey) || "[]");
    for (const item of items) this.at(item.conversation).pending.push(item);
  }

  // ---- marks ----

  // Delivered moves over what is contiguous; read when the user looks at it.
  sendMarks(conversation, isRead) {
    const top = conversation.isLoaded ? conversation.have : conversation.head;
    const mark = { conversation: conversation.id };
    if (top > conversation.delivered) mark.delivered = String((conversation.delivered = top));
    if (isRead && top > conversation.read) {
      mark.read = String((conversation.read = top));
      conversation.unread = 0;
    }
    if (mark.delivered || mark.read) this.socket.tell({ mark: { marks: [mark] } });
  }

  // SENT, DELIVERED or READ: what all other members have reached.
  tickOf(conversation, entry) {
    const others = conversation.members.map((m) => m.user).filter((u) => u !== this.me.id);
    if (!others.length || conversation.memberCount > 256) return "SENT";
    const reached = (key) => others.every((u) => (conversation.marks.get(u)?.[key] || 0) >= entry.seq);
    return reached("read") ? "READ" : reached("delivered") ? "DELIVERED" : "SENT";
  }
}
