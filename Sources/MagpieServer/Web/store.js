// What the client knows: users, conversations, their loaded entries. Cursors move over contiguous seq only.
import { uuid } from "./api.js";

const number = (value) => Number(value || 0);
const PAGE = 50;
const WAITING = ["offline", "unavailable", "no_quorum", "rate_limited"];

export class Conversation {
  constructor(id) {
    Object.assign(this, {
      id, kind: "", title: "", members: [], memberCount: 0, head: 0, m: 0, floor: 1, unread: 0,
      delivered: 0, read: 0, told: { delivered: 0, read: 0 }, marks: new Map(), last: null, lastAtMs: 0,
      entries: [], moreBefore: false, isLoaded: false, isPulling: false, isPullingOlder: false, isPullingNewer: false,
      context: null, // {entries, moreBefore}: older entries that are shown instead, with a hole up to `entries`
      pending: [], isFlushing: false, draft: "", typing: new Map(), left: false,
    });
  }

  // The contiguous end of what is loaded; 0 when nothing is.
  get have() { return this.entries.length ? this.entries.at(-1).seq : 0; }

  // What is shown: the newest entries, or those around an older one.
  get view() { return this.context || this; }

  // What the server says. It may be older than what was pushed meanwhile, so nothing goes back,
  // and `told` says which marks the server has from us.
  apply(changed) {
    const head = number(changed.head), read = number(changed.read);
    this.told = { delivered: number(changed.delivered), read };
    if (head >= this.head) {
      this.m = number(changed.m);
      if (read >= this.read) this.unread = number(changed.unread);
    }
    this.head = Math.max(this.head, head);
    this.floor = number(changed.floor) || 1;
    this.delivered = Math.max(this.delivered, this.told.delivered);
    this.read = Math.max(this.read, read);
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

  isTyping(user, forMs, done) {
    this.stopsTyping(user);
    this.typing.set(user, setTimeout(() => { this.typing.delete(user); done(); }, forMs));
  }

  stopsTyping(user) {
    clearTimeout(this.typing.get(user));
    this.typing.delete(user);
  }

  forgetEntries() {
    Object.assign(this, { entries: [], context: null, isLoaded: false, head: 0, m: 0, read: 0, delivered: 0, last: null, marks: new Map() });
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
    this.socket = null;
    this.users = new Map([[me.id, me]]);
    this.presence = new Map();
    this.conversations = new Map();
    this.isListed = false;
    this.feed = 0;
    this.epoch = null;
    this.outboxKey = `magpie.outbox.${me.id}`;
  }

  changed() { this.dispatchEvent(new CustomEvent("change")); }

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
    return { epoch: this.epoch, feed: String(this.feed), have };
  }

  // ---- what conversations there are, and who is in them ----

  async loadAll() {
    let cursor;
    do {
      const part = await this.api.conversations(cursor);
      for (const view of part.conversations || []) this.at(view.id).describe(view);
      cursor = part.cursor;
    } while (cursor);
    await this.learnUsers(this.conversations.values());
    this.isListed = true;
    this.dispatchEvent(new CustomEvent("people"));
    this.changed();
  }

  // For news of conversations that are not loaded: one reading for many of them.
  loadAllSoon() {
    if (this.soon) return;
    this.soon = setTimeout(() => { this.soon = null; this.loadAll().catch(() => {}); }, 300);
  }

  async learn(id) {
    const conversation = this.at(id);
    try {
      conversation.describe(await this.api.conversation(id));
      await this.learnUsers([conversation]);
      this.dispatchEvent(new CustomEvent("people"));
    } catch (error) {
      if (error.status === 404) conversation.left = true;
    }
    this.changed();
    return conversation;
  }

  async learnUsers(conversations) {
    const wanted = new Set();
    for (const c of conversations) {
      for (const { user } of c.members) wanted.add(user);
      for (const e of [...(c.last ? [c.last] : []), ...c.entries, ...c.view.entries]) {
        wanted.add(e.from);
        if (e.membership) wanted.add(e.membership.user);
      }
    }
    await this.learnNames(wanted);
  }

  async learnNames(wanted) {
    const missing = [...wanted].filter((id) => id && !this.users.has(id));
    for (let i = 0; i < missing.length; i += 50) {
      const ids = missing.slice(i, i + 50);
      for (const user of await this.api.users(ids)) this.users.set(user.id, user);
      for (const id of ids) if (!this.users.has(id)) this.users.set(id, { id, username: "", displayName: "Somebody" });
    }
  }

  // The user of a name as somebody typed it.
  async find(typed) {
    const name = typed.trim().replace(/^@/, "");
    const user = await this.api.userNamed(name.toLowerCase());
    if (!user) throw new Error(`There is no user “${name}”.`);
    this.users.set(user.id, user);
    return user;
  }

  // ---- what the socket brings ----

  takeReady(ready) {
    const epoch = String(ready.epoch || "0");
    if (this.epoch !== null && this.epoch !== epoch) {
      this.feed = 0;
      for (const c of this.conversations.values()) c.forgetEntries();
    }
    this.epoch = epoch;
    this.pendingFeed = number(ready.feed);
    this.takeChanged(ready);
  }

  takeChanged(frame) {
    for (const changed of frame.changed || []) {
      const conversation = this.at(changed.conversation);
      conversation.apply(changed);
      if (!conversation.kind && this.isListed) this.loadAllSoon();
    }
    if (frame.complete) this.feed = Math.max(this.feed, this.pendingFeed);
    this.changed();
  }

  takeEntry(raw) {
    const entry = entryOf(raw), conversation = this.at(entry.conversation);
    const isNew = entry.seq > conversation.head;
    if (isNew) this.advance(conversation, entry);
    conversation.stopsTyping(entry.from);
    this.settle(conversation, entry.cid);
    if (conversation.isLoaded) {
      if (entry.seq === conversation.have + 1) this.append(conversation, entry);
      else if (entry.seq > conversation.have + 1) this.pullAfter(conversation);
    }
    if (!conversation.kind || entry.membership) this.learn(conversation.id);
    if (entry.erase) this.dispatchEvent(new CustomEvent("erased", { detail: `${entry.conversation}-${entry.erase.target}` }));
    if (entry.settings) conversation.title = entry.settings.title ?? conversation.title;
    if (!this.users.has(entry.from)) this.learnUsers([conversation]).then(() => this.changed(), () => {});
    this.changed();
    return { conversation, entry, isNew };
  }

  // A send moves our own marks on the server too, but only if they stood at the head there; a mark of a
  // moment ago may still wait, so they are told again.
  advance(conversation, entry) {
    if (entry.message && entry.from !== this.me.id) conversation.unread += 1;
    else if (entry.message && conversation.unread === 0) conversation.read = conversation.delivered = entry.seq;
    conversation.head = entry.seq;
    conversation.m = Math.max(conversation.m, entry.m);
    conversation.setLast(entry);
  }

  // A streamed edit or erase applies only when it is newer than what is shown.
  append(conversation, entry) {
    conversation.entries.push(entry);
    const change = entry.edit || entry.erase;
    for (const view of change ? [conversation, conversation.context] : []) {
      const target = view?.entries.find((e) => e.seq === number(change.target));
      if (!target?.message || target.message.revision >= entry.seq) continue;
      target.message = entry.edit
        ? { ...target.message, text: entry.edit.text, media: entry.edit.media || target.message.media, editedAtMs: entry.atMs, revision: entry.seq }
        : { erased: true, revision: entry.seq };
    }
  }

  takeGap({ conversation: id, head }) {
    const conversation = this.at(id);
    conversation.head = Math.max(conversation.head, number(head));
    if (conversation.isLoaded) this.pullAfter(conversation);
    this.loadAllSoon();
  }

  takeMark({ conversation: id, user, delivered, read }) {
    const c = this.at(id);
    if (user !== this.me.id) c.mark({ user, delivered, read });
    else if (number(read) > c.read) {
      c.read = number(read);
      c.told.read = Math.max(c.told.read, c.read);
      const isUnread = (e) => e.message && e.seq > c.read && e.from !== this.me.id;
      if (c.read >= c.head) c.unread = 0;
      else if (c.isLoaded) c.unread = c.entries.filter(isUnread).length;
      else this.loadAllSoon();
    }
    this.changed();
  }

  // ---- history ----

  async pull(anchor) { return (await this.socket.request({ pull: anchor })).page; }

  async load(conversation) {
    if (conversation.isLoaded) return this.pullAfter(conversation);
    const page = await this.pull({ conversation: conversation.id, limit: PAGE });
    conversation.entries = (page.entries || []).map(entryOf);
    conversation.moreBefore = Boolean(page.moreBefore);
    conversation.isLoaded = true;
    for (const entry of conversation.entries) this.settle(conversation, entry.cid);
    this.join(conversation);
    await this.learnUsers([conversation]);
    if (conversation.have < conversation.head) await this.pullAfter(conversation);
    this.changed();
  }

  async loadOlder(conversation) {
    const { view } = conversation, first = view.entries[0]?.seq;
    if (!view.moreBefore || conversation.isPullingOlder) return false;
    conversation.isPullingOlder = true;
    try {
      const page = await this.pull({ conversation: conversation.id, before: String(first), limit: PAGE });
      if (conversation.view !== view || view.entries[0]?.seq !== first) return false;
      view.entries = [...(page.entries || []).map(entryOf), ...view.entries];
      view.moreBefore = Boolean(page.moreBefore);
      await this.learnUsers([conversation]);
      return true;
    } catch { return false; } finally { conversation.isPullingOlder = false; }
  }

  // Shows an old entry among those around it, unless it is among what is shown.
  async loadAround(conversation, seq) {
    const isIn = ({ entries }) => entries.length && entries[0].seq <= seq && entries.at(-1).seq >= seq;
    if (isIn(conversation.view)) return;
    if (isIn(conversation)) { conversation.context = null; return; }
    const page = await this.pull({ conversation: conversation.id, around: String(seq), limit: PAGE });
    if (!page.entries?.length) return;
    conversation.context = { entries: page.entries.map(entryOf), moreBefore: Boolean(page.moreBefore) };
    this.join(conversation);
    await this.learnUsers([conversation]);
  }

  // More below an old entry, until the newest ones follow.
  async loadNewer(conversation) {
    const { context } = conversation;
    if (!context || !conversation.isLoaded || conversation.isPullingNewer) return false;
    conversation.isPullingNewer = true;
    try {
      const last = context.entries.at(-1)?.seq || 0;
      const page = await this.pull({ conversation: conversation.id, after: String(last), limit: PAGE });
      if (conversation.context !== context || !page.entries?.length) return false;
      context.entries = [...context.entries, ...page.entries.map(entryOf)];
      this.join(conversation);
      await this.learnUsers([conversation]);
      return true;
    } catch { return false; } finally { conversation.isPullingNewer = false; }
  }

  // Once there is no hole any more, both stretches are one.
  join(conversation) {
    const { context, entries } = conversation, first = entries[0]?.seq;
    if (!context || !conversation.isLoaded || (context.entries.at(-1)?.seq || 0) + 1 < first) return;
    conversation.entries = [...context.entries.filter((e) => !(e.seq >= first)), ...entries];
    conversation.moreBefore = context.moreBefore;
    conversation.context = null;
  }

  // Messages that are as asked; the names of people and conversations may come later.
  async search(fields) {
    const { results } = await this.socket.request({ search: fields });
    const hits = (results.hits || []).map(({ entry, snippet = "", highlights = [] }) => ({
      key: `${entry.conversation}-${entry.seq}`, entry: entryOf(entry), snippet, highlights,
    }));
    const rooms = new Set(hits.map((hit) => hit.entry.conversation).filter((id) => !this.at(id).kind));
    Promise.all([this.learnNames(new Set(hits.map((hit) => hit.entry.from))), ...[...rooms].map((id) => this.learn(id))])
      .then(() => this.changed(), () => {});
    return { ...results, hits, cursor: results.cursor || null, atLeast: number(results.atLeast) };
  }

  // Fills the hole between what is loaded and the head; again while new ones arrive meanwhile.
  async pullAfter(conversation) {
    if (conversation.isPulling) return;
    conversation.isPulling = true;
    try {
      while (conversation.have < conversation.head && !conversation.left) {
        const page = await this.pull({ conversation: conversation.id, after: String(conversation.have), limit: 200 });
        const fresh = (page.entries || []).map(entryOf).filter((e) => e.seq > conversation.have);
        if (!fresh.length) break;
        for (const entry of fresh) {
          this.settle(conversation, entry.cid);
          this.append(conversation, entry);
          conversation.setLast(entry);
        }
      }
      await this.learnUsers([conversation]);
    } catch { /* offline: coming back pulls again */ } finally { conversation.isPulling = false; }
    this.changed();
  }

  // ---- sending: the outbox survives a reload of the tab; a retry repeats the cid ----

  send(conversation, content) {
    conversation.pending.push({ cid: uuid(), conversation: conversation.id, ...content, atMs: Date.now() });
    this.saveOutbox();
    this.changed();
    this.flush(conversation);
  }

  // One at a time, so that they arrive in the order in which they were written.
  async flush(conversation) {
    if (conversation.isFlushing) return;
    conversation.isFlushing = true;
    let item;
    while ((item = conversation.pending.find((p) => !p.error)) && await this.push(conversation, item));
    conversation.isFlushing = false;
  }

  flushAll() { for (const conversation of this.conversations.values()) this.flush(conversation); }
  // Answers whether the next one may go.
  async push(conversation, item) {
    try {
      const { cid, text = "", media } = item;
      const { sent } = await this.socket.request({ send: { conversation: conversation.id, cid, text, ...(media && { media }) } });
      this.takeSent(conversation, item, sent);
    } catch (error) {
      if (error.code === "offline") return false;
      if (WAITING.includes(error.code)) {
        setTimeout(() => this.flush(conversation), number(error.retryAfterMs) || 1000);
        return false;
      }
      item.error = error.message;
      this.saveOutbox();
    }
    this.changed();
    return true;
  }

  // A new text is in place without asking; a picture needs its address, an old one its neighbours.
  takeSent(conversation, item, sent) {
    const seq = number(sent.seq), { cid, text } = item;
    if (!sent.duplicate && !item.media) {
      this.takeEntry({ ...sent, conversation: conversation.id, cid, from: this.me.id, message: { text } });
    } else {
      conversation.head = Math.max(conversation.head, seq);
      if (!conversation.isLoaded) this.loadAllSoon();
      else if (conversation.have < seq) return this.pullAfter(conversation).then(() => this.settle(conversation, cid));
    }
    this.settle(conversation, cid);
  }

  settle(conversation, cid) {
    const left = conversation.pending.filter((p) => p.cid !== cid);
    if (left.length === conversation.pending.length) return;
    conversation.pending = left;
    this.saveOutbox();
    this.changed();
  }

  saveOutbox() {
    const items = [...this.conversations.values()].flatMap((c) => c.pending).map(({ preview, ...item }) => item);
    sessionStorage.setItem(this.outboxKey, JSON.stringify(items));
  }

  restoreOutbox() {
    const items = JSON.parse(sessionStorage.getItem(this.outboxKey) || "[]");
    for (const item of items) this.at(item.conversation).pending.push(item);
  }

  // ---- marks ----

  // Delivered moves over what is contiguous; read when the user looks at it. Marks that were not
  // told, or were lost on the way, are told with the next ones.
  sendMarks(conversation, isRead) {
    if (!this.socket.isReady || conversation.left) return;
    const top = conversation.isLoaded ? conversation.have : conversation.head;
    const told = conversation.told, mark = { conversation: conversation.id };
    conversation.delivered = Math.max(conversation.delivered, top);
    if (isRead) {
      conversation.read = Math.max(conversation.read, top);
      if (conversation.unread) { conversation.unread = 0; this.changed(); }
    }
    if (conversation.delivered > told.delivered) mark.delivered = String(told.delivered = conversation.delivered);
    if (conversation.read > told.read) mark.read = String(told.read = conversation.read);
    if (mark.delivered || mark.read) this.socket.tell({ mark: { marks: [mark] } });
  }
}
