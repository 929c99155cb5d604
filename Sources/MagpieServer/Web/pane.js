// The open conversation: entries, ticks, composer, paging.
import { uuid } from "./api.js";
import { $, ask, dayOf, el, hueOf, icon, isEmojiOnly, lastSeen, linked, paintAvatar, tell, timeOf } from "./dom.js";
import { eventText } from "./list.js";

const TICKS = { SENT: "sent", DELIVERED: "twice", READ: "twice" };
const FOUND_MS = 2500; // as long as the animation in style.css
const RUN_MS = 5 * 60_000; // messages of one person within this stand together
const hasKeyboard = !matchMedia("(pointer: coarse)").matches;

export class Pane {
  constructor(store, close) {
    this.store = store;
    this.close = close;
    this.current = null;
    this.editing = null;
    this.nodes = new Map(); // key → {node, look}
    $("back").onclick = () => close();
    $("composer").onsubmit = (event) => { event.preventDefault(); this.submit(); };
    $("text").onkeydown = (event) => this.key(event);
    $("text").oninput = () => { this.grow(); this.sayTyping(); };
    $("attach").onclick = () => $("file").click();
    $("file").onchange = () => { this.offerPicture($("file").files[0]); $("file").value = ""; };
    $("text").onpaste = (event) => this.takeFile(event, event.clipboardData);
    $("pane").ondragover = (event) => event.preventDefault();
    $("pane").ondrop = (event) => this.takeFile(event, event.dataTransfer);
    $("entries").onscroll = () => this.scrolled();
    $("entries").onkeydown = (event) => this.walk(event);
    $("newest").onclick = () => { this.toEnd(); if (hasKeyboard) $("text").focus(); };
    $("edit-cancel").onclick = () => { this.stopEditing(); $("text").focus(); };
    $("people").onclick = () => this.showPeople();
    $("viewer").onclick = () => $("viewer").close();
    this.leave();
  }

  // At the newest message, or at an older one among its neighbours.
  async open(conversation, seq) {
    if (conversation !== this.current) {
      this.leave();
      this.current = conversation;
      $("pane-empty").hidden = true;
      $("open").hidden = false;
      $("chat").classList.add("in-conversation");
      $("text").value = conversation.draft;
      this.grow();
    }
    this.watch();
    this.paint();
    if (hasKeyboard && !seq) $("text").focus();
    let problem = null;
    const around = seq && this.store.loadAround(conversation, seq).catch((error) => { problem = error; });
    try { await Promise.all([this.store.load(conversation), around]); } catch { /* offline: opened again when back */ }
    if (conversation !== this.current) return;
    this.paint();
    if (problem) return tell("This message cannot be shown", problem.message);
    if (seq) return this.show(seq);
    this.toEnd();
    await this.fill();
  }

  // The connection is there again; who reads old messages stays with them.
  async reopen() {
    const c = this.current;
    if (!c.context) return this.open(c);
    this.watch();
    try { await this.store.load(c); } catch { /* offline again */ }
    this.paint();
  }

  show(seq) {
    const node = this.nodes.get(`e${seq}`)?.node;
    if (!node) return tell("This message is not there any more", "It may have been erased.");
    node.scrollIntoView({ block: "center" });
    node.focus({ preventScroll: true });
    node.classList.add("found");
    setTimeout(() => node.classList.remove("found"), FOUND_MS);
    $("newest").hidden = this.isAtEnd;
    this.scrolled();
  }

  watch() {
    const c = this.current;
    this.store.socket.tell({ watch: { conversations: [c.id], users: c.members.map((m) => m.user).slice(0, 100) } });
  }

  leave() {
    this.stopEditing();
    const c = this.current;
    if (c) {
      c.draft = $("text").value;
      c.context = null;
      this.store.socket.tell({ unwatch: { conversations: [c.id], users: [] } });
    }
    this.current = null;
    this.isOld = false; // old messages are painted, not the newest
    this.nodes.clear();
    $("entries").replaceChildren();
    $("newest").hidden = true;
    $("open").hidden = true;
    $("pane-empty").hidden = false;
    $("chat").classList.remove("in-conversation");
  }

  // ---- place and reading ----

  get toBottom() { const box = $("entries"); return box.scrollHeight - box.scrollTop - box.clientHeight; }
  // The end of old messages, also of such that are still painted, is not the conversation's.
  get isAtEnd() { return !this.current?.context && !this.isOld && this.toBottom < 60; }

  toEnd() {
    const box = $("entries");
    if (this.current?.context) {
      this.current.context = null;
      this.paint();
    }
    box.scrollTop = box.scrollHeight;
    $("newest").hidden = true;
    this.seen();
  }

  // Read means: open, at the end, and the tab is looked at.
  seen() {
    const isLookedAt = document.visibilityState === "visible" && document.hasFocus();
    if (this.current?.isLoaded && isLookedAt && this.isAtEnd) this.store.sendMarks(this.current, true);
  }

  async scrolled() {
    if (!this.current) return;
    if (this.isAtEnd) { $("newest").hidden = true; this.seen(); }
    while ($("entries").scrollTop < 200 && this.current && await this.store.loadOlder(this.current)) this.paint();
    while (this.current?.context && this.toBottom < 200 && await this.store.loadNewer(this.current)) this.paint();
  }

  // Pages of edits and erasures show little; more until the box is full.
  async fill() {
    const c = this.current, box = $("entries");
    while (this.current === c && c.moreBefore && box.scrollHeight <= box.clientHeight && await this.store.loadOlder(c)) {
      this.paint();
      this.toEnd();
    }
  }

  // ---- painting: a node is kept while its entry, tick and neighbours look the same ----

  paintHead() {
    const c = this.current, store = this.store;
    const title = store.titleOf(c), peer = c.kind === "DIRECT" ? store.peer(c) : null;
    const presence = peer && store.presence.get(peer);
    paintAvatar($("open-avatar"), peer || c.id, title, peer && (presence?.state || "OFFLINE"));
    $("open-title").textContent = title;
    const typing = [...c.typing.keys()].map((id) => store.name(id));
    const state = c.left ? "you are no longer a member"
      : !peer ? `${c.memberCount} member${c.memberCount === 1 ? "" : "s"}`
        : presence?.state === "ONLINE" ? "online" : presence?.state === "AWAY" ? "away" : lastSeen(Number(presence?.lastSeenMs || 0));
    $("open-state").textContent = !typing.length ? state : peer ? "typing…" : `${typing.slice(0, 3).join(", ")} typing…`;
    $("open-state").classList.toggle("typing", typing.length > 0);
    $("composer").hidden = c.left;
  }

  paint() {
    const c = this.current;
    if (!c) return;
    const wasAtEnd = this.isAtEnd, box = $("entries"), stay = wasAtEnd ? null : this.firstInSight();
    this.paintHead();
    const wanted = this.wantedNodes(c), keep = new Set(wanted);
    for (const child of [...box.children]) if (!keep.has(child)) child.remove();
    wanted.forEach((node, index) => { if (box.children[index] !== node) box.insertBefore(node, box.children[index] || null); });
    for (const [key, { node }] of this.nodes) if (!keep.has(node)) this.nodes.delete(key);
    this.isOld = Boolean(c.context);
    $("newest-text").textContent = c.unread ? "New messages" : "Newest messages";
    if (wasAtEnd) return this.toEnd();
    const anchor = stay && this.nodes.get(stay.key)?.node;
    if (anchor) box.scrollTop += anchor.getBoundingClientRect().top - stay.top;
    if (c.unread || c.context) $("newest").hidden = false;
  }

  firstInSight() {
    const top = $("entries").getBoundingClientRect().top;
    for (const node of $("entries").querySelectorAll(".msg, .event")) {
      const { top: nodeTop, bottom } = node.getBoundingClientRect();
      if (bottom > top) return { key: node.key, top: nodeTop };
    }
    return null;
  }

  wantedNodes(c) {
    const wanted = [], store = this.store;
    let lastDay = "", last = null;
    if (!c.isLoaded && !c.context) wanted.push(this.node("loading", "", () => el("div", { class: "event", textContent: "Loading…" })));
    for (const entry of c.view.entries) {
      const day = dayOf(entry.atMs), text = entry.message ? "" : eventText(store, entry, c);
      if (!entry.message && !text) continue;
      if (day !== lastDay) {
        wanted.push(this.node(`d${day}`, day, () => el("div", { class: "day", textContent: day })));
        lastDay = day;
        last = null;
      }
      if (entry.message) {
        const isMine = entry.from === store.me.id;
        const isFirst = last?.from !== entry.from || entry.atMs - last.atMs > RUN_MS;
        const name = c.kind === "GROUP" && !isMine && isFirst ? store.name(entry.from) : "";
        const tick = isMine ? this.tickOf(c, entry) : "";
        const look = [entry.message.revision, tick, isFirst, name, c.left].join("|");
        wanted.push(this.node(`e${entry.seq}`, look, () => this.message(entry, { isMine, isFirst, name, tick })));
      } else {
        wanted.push(this.node(`e${entry.seq}`, text, () => el("div", { class: "event", textContent: text, dir: "auto" })));
      }
      last = entry.message ? entry : null;
    }
    if (c.context) return wanted;
    c.pending.forEach((item, index) => {
      const isFirst = index === 0 && last?.from !== store.me.id;
      wanted.push(this.node(`p${item.cid}`, `${item.error || ""}${isFirst}`, () => this.pendingMessage(c, item, isFirst)));
    });
    return wanted;
  }

  node(key, look, make) {
    const known = this.nodes.get(key);
    if (known?.look === look) return known.node;
    const node = make();
    node.key = key;
    this.nodes.set(key, { node, look });
    return node;
  }

  message(entry, { isMine, isFirst, name, tick }) {
    const { message } = entry, text = message.text || "", erased = Boolean(message.erased);
    const classes = ["msg", isMine && "mine", isFirst && "first", erased && "erased", !message.media?.length && isEmojiOnly(text) && "big"];
    const body = erased ? ["This message was erased"] : linked(text);
    return el("div", { class: classes.filter(Boolean).join(" "), tabIndex: -1, data: { seq: entry.seq } },
      name ? el("div", { class: "who", textContent: name, style: `--hue: ${hueOf(entry.from)}` }) : null,
      ...(erased ? [] : message.media || []).map((media, index) => this.media(entry, media, index)),
      body.length ? el("div", { class: "body", dir: "auto" }, ...body) : null,
      el("div", { class: "meta" },
        message.editedAtMs && !erased ? el("span", { textContent: "edited" }) : null,
        el("time", { textContent: timeOf(entry.atMs), title: new Date(entry.atMs).toLocaleString() }),
        tick ? el("span", { class: `tick ${tick.toLowerCase()}`, title: tick.toLowerCase() }, icon(TICKS[tick], tick.toLowerCase())) : null),
      isMine && !erased && !this.current.left ? el("div", { class: "tools" },
        el("button", { type: "button", textContent: "Edit", onclick: () => this.startEditing(entry) }),
        el("button", { type: "button", textContent: "Erase", onclick: () => this.erase(entry) })) : null);
  }

  media(entry, media, index) {
    if (!(media.type || "").startsWith("image/")) {
      return el("a", { class: "file", href: media.url, textContent: media.name || "File", download: media.name || "" });
    }
    const c = this.current;
    const img = el("img", { src: media.url, alt: media.name || "picture" });
    img.onerror = async () => {
      img.onerror = null;
      const fresh = await this.renewMedia(c, entry).catch(() => []);
      if (fresh[index]) img.src = fresh[index].url;
    };
    return el("button", { type: "button", class: "picture", title: "Show larger", onclick: () => {
      Object.assign($("viewer").firstElementChild, { src: img.src, alt: img.alt });
      $("viewer").showModal();
    } }, img);
  }

  // SENT, DELIVERED or READ: what all other members have reached.
  tickOf(c, entry) {
    const others = c.members.map((m) => m.user).filter((u) => u !== this.store.me.id);
    if (!others.length || c.memberCount > c.members.length) return "SENT";
    const reached = (key) => others.every((u) => (c.marks.get(u)?.[key] || 0) >= entry.seq);
    return reached("read") ? "READ" : reached("delivered") ? "DELIVERED" : "SENT";
  }

  // The addresses of pictures run out after some hours; reading the entry again brings good ones.
  async renewMedia(c, entry) {
    const page = await this.store.pull({ conversation: c.id, around: String(entry.seq), limit: 1 });
    const fresh = (page.entries || []).find((e) => Number(e.seq) === entry.seq);
    if (fresh?.message?.media) entry.message.media = fresh.message.media;
    return entry.message.media || [];
  }

  pendingMessage(c, item, isFirst) {
    const again = () => { item.error = undefined; this.store.changed(); this.store.flush(c); };
    const drop = () => this.store.settle(c, item.cid);
    return el("div", { class: `msg mine${isFirst ? " first" : ""}${item.error ? " failed" : " pending"}` },
      item.media ? el("span", { class: "picture" }, item.preview ? el("img", { src: item.preview, alt: "" }) : "Picture") : null,
      item.text ? el("div", { class: "body", dir: "auto" }, ...linked(item.text)) : null,
      el("div", { class: "meta" }, ...(item.error
        ? [el("span", { textContent: `Not sent: ${item.error}` }),
          el("button", { type: "button", class: "link", textContent: "Again", onclick: again }),
          el("button", { type: "button", class: "link", textContent: "Discard", onclick: drop })]
        : [el("span", { class: "tick", title: "sending" }, icon("clock", "sending"))])));
  }

  // ---- keys ----

  key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && hasKeyboard) { event.preventDefault(); this.submit(); }
    if (event.key === "Escape" && this.editing) { event.stopPropagation(); this.stopEditing(); }
    if (event.key === "ArrowUp" && !$("text").value && !event.altKey) {
      const mine = this.current.view.entries.findLast((e) => e.message && !e.message.erased && e.from === this.store.me.id);
      if (mine) { event.preventDefault(); this.startEditing(mine); }
    }
  }

  // Arrows walk from message to message; Tab then reaches what can be done with one.
  walk(event) {
    const messages = [...$("entries").querySelectorAll(".msg[data-seq]")];
    const at = messages.indexOf(document.activeElement.closest(".msg"));
    const next = { ArrowUp: at < 0 ? messages.length - 1 : Math.max(0, at - 1), ArrowDown: at + 1, Home: 0, End: messages.length - 1 }[event.key];
    if (next === undefined || event.altKey || (at < 0 && event.key === "ArrowDown")) return;
    event.preventDefault();
    if (messages[next]) messages[next].focus();
    else $("text").focus();
  }

  // ---- writing ----

  grow() { const box = $("text"); box.style.height = "auto"; box.style.height = `${box.scrollHeight + 2}px`; }

  sayTyping() {
    const now = Date.now();
    if (!this.current || this.editing || !$("text").value || now - (this.typedAt || 0) < 3000) return;
    this.typedAt = now;
    this.store.socket.tell({ typing: { conversation: this.current.id } });
  }

  submit() {
    const text = $("text").value.trim(), c = this.current;
    if (!text || !c) return;
    this.typedAt = 0;
    if (this.editing) return this.saveEdit(text);
    $("text").value = "";
    this.grow();
    this.store.send(c, { text });
    this.paint();
    this.toEnd();
  }

  startEditing(entry) {
    if (!this.editing) this.current.draft = $("text").value;
    this.editing = entry;
    $("editing").hidden = false;
    $("text").value = entry.message.text || "";
    this.grow();
    $("text").focus();
  }

  stopEditing() {
    if (!this.editing) return;
    this.editing = null;
    $("editing").hidden = true;
    $("text").value = this.current.draft;
    this.grow();
  }

  async saveEdit(text) {
    const { seq, message } = this.editing, conversation = this.current.id;
    if (text !== message.text) {
      try {
        await this.change("edit", { conversation, target: String(seq), text });
      } catch (error) { return tell("The change was not kept", error.message); }
    }
    this.stopEditing();
  }

  erase(entry) {
    const body = { conversation: this.current.id, target: String(entry.seq), forAll: true };
    ask("Erase this message for everyone?", [el("p", { class: "quote", dir: "auto", textContent: entry.message.text || "Picture" })],
      async () => { await this.change("erase", body); return () => $("text").focus(); }, "Erase");
  }

  // The sending socket need not get the entry of its own change, so it is put in place here.
  async change(kind, body) {
    const cid = uuid(), { sent } = await this.store.socket.request({ [kind]: { ...body, cid } });
    this.store.takeEntry({ ...sent, conversation: body.conversation, cid, from: this.store.me.id, [kind]: body });
  }

  // ---- pictures ----

  takeFile(event, data) {
    const file = [...data.files].find((f) => f.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    this.offerPicture(file);
  }

  offerPicture(file) {
    const c = this.current, limit = Number(this.store.socket.limits?.mediaBytes || 100 << 20);
    if (!file || !c || c.left) return;
    if (file.size > limit) return tell("Too large", `A picture may have at most ${Math.round(limit / (1 << 20))} MiB.`);
    const preview = URL.createObjectURL(file);
    const caption = el("input", { placeholder: "Say something about it", "aria-label": "Caption", dir: "auto", maxLength: 4000 });
    ask("Send a picture", [el("img", { class: "preview", src: preview, alt: file.name }), caption], async () => {
      const { blob } = await this.store.api.upload(file);
      this.store.send(c, { text: caption.value.trim(), media: [{ blob, name: file.name || "picture" }], preview });
      setTimeout(() => URL.revokeObjectURL(preview), 60_000);
      return () => { this.toEnd(); $("text").focus(); };
    }, "Send");
  }

  // ---- who is here ----

  showPeople() {
    const c = this.current, store = this.store;
    const role = c.members.find((m) => m.user === store.me.id)?.role;
    const rows = c.members.map((m) => {
      const avatar = el("span", { class: "avatar", "aria-hidden": "true" }), name = store.name(m.user);
      paintAvatar(avatar, m.user, name, store.presence.get(m.user)?.state);
      return el("li", {}, avatar,
        el("div", { class: "grow" }, el("span", { textContent: name, dir: "auto" }), el("small", { textContent: `@${store.users.get(m.user)?.username || ""}` })),
        c.kind === "GROUP" && m.role !== "MEMBER" ? el("small", { textContent: String(m.role).toLowerCase() }) : null);
    });
    const body = [el("ul", {}, ...rows)];
    let submit = null;
    if (c.kind === "GROUP" && !c.left && ["OWNER", "ADMIN"].includes(role)) {
      const input = el("input", { required: true, placeholder: "user name", autocapitalize: "none", spellcheck: false });
      body.push(el("label", {}, "Add somebody", input));
      submit = async () => store.api.addMember(c.id, (await store.find(input.value)).id);
    }
    if (c.kind === "GROUP" && !c.left) {
      body.push(el("button", { type: "button", class: "link", textContent: "Leave this group", onclick: () => this.askToLeave(c) }));
    }
    ask(store.titleOf(c), body, submit, "Add");
  }

  askToLeave(c) {
    ask(`Leave “${this.store.titleOf(c)}”?`, [el("p", { textContent: "You will see nothing more of it." })],
      () => this.store.api.leave(c.id, this.store.me.id), "Leave");
  }
}
