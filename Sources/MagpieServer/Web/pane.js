// The open conversation: entries, ticks, composer, paging.
import { uuid } from "./api.js";
import { $, ask, dayOf, el, lastSeen, paintAvatar, timeOf } from "./dom.js";
import { membershipText } from "./list.js";

const TICKS = { SENT: "✓", DELIVERED: "✓✓", READ: "✓✓" };

export class Pane {
  constructor(store, close) {
    this.store = store;
    this.current = null;
    this.close = close;
    this.nodes = new Map();
    $("back").onclick = () => close();
    $("composer").onsubmit = (event) => { event.preventDefault(); this.submit(); };
    $("text").onkeydown = (event) => this.key(event);
    $("text").oninput = () => { this.grow(); this.sayTyping(); };
    $("attach").onclick = () => $("file").click();
    $("file").onchange = () => this.upload($("file").files[0]);
    $("text").onpaste = (event) => { const file = [...event.clipboardData.files][0]; if (file) { event.preventDefault(); this.upload(file); } };
    $("entries").onscroll = () => this.scrolled();
    $("newest").onclick = () => this.toEnd();
    $("edit-cancel").onclick = () => this.stopEditing();
    $("people").onclick = () => this.showPeople();
    $("viewer").onclick = () => $("viewer").close();
  }

  async open(conversation) {
    this.stopEditing();
    this.current = conversation;
    this.nodes.clear();
    $("entries").replaceChildren();
    $("pane-empty").hidden = true;
    $("open").hidden = false;
    $("chat").classList.add("in-conversation");
    this.store.socket.tell({ watch: { conversations: [conversation.id], users: conversation.members.map((m) => m.user).slice(0, 100) } });
    this.paint();
    $("text").focus();
    try { await this.store.load(conversation); } catch { /* offline: painted when back */ }
    this.paint();
    this.toEnd();
  }

  leave() {
    this.stopEditing();
    this.current = null;
    $("open").hidden = true;
    $("pane-empty").hidden = false;
    $("chat").classList.remove("in-conversation");
  }

  get isAtEnd() { const box = $("entries"); return box.scrollHeight - box.scrollTop - box.clientHeight < 60; }
  toEnd() { const box = $("entries"); box.scrollTop = box.scrollHeight; $("newest").hidden = true; this.seen(); }

  // Read means: open, at the end, and the tab is looked at.
  seen() {
    if (this.current && document.visibilityState === "visible" && document.hasFocus() && this.isAtEnd) this.store.sendMarks(this.current, true);
  }

  async scrolled() {
    if (!this.current) return;
    if (this.isAtEnd) { $("newest").hidden = true; this.seen(); }
    if ($("entries").scrollTop < 80 && this.current.moreBefore) {
      const box = $("entries"), before = box.scrollHeight;
      if (await this.store.loadOlder(this.current)) {
        this.paint();
        box.scrollTop += box.scrollHeight - before;
      }
    }
  }

  paintHead() {
    const c = this.current, store = this.store;
    const title = store.titleOf(c), peer = c.kind === "DIRECT" ? store.peer(c) : null;
    const presence = peer && store.presence.get(peer);
    paintAvatar($("open-avatar"), peer || c.id, title, peer && (presence?.state || "OFFLINE"));
    $("open-title").textContent = title;
    const typing = [...c.typing.keys()].map((id) => store.name(id));
    $("open-state").textContent = typing.length ? `${typing.join(", ")} typing…`
      : c.left ? "you are no longer a member"
        : !peer ? `${c.memberCount} members`
          : presence?.state === "ONLINE" ? "online" : presence?.state === "AWAY" ? "away" : lastSeen(Number(presence?.lastSeenMs || 0));
    $("composer").hidden = c.left;
  }

  // Repaints what changed: a node is kept while its entry, tick and neighbours look the same.
  paint() {
    const c = this.current;
    if (!c) return;
    const wasAtEnd = this.isAtEnd;
    this.paintHead();
    const wanted = [];
    let lastDay = "", lastFrom = "";
    for (const entry of c.entries) {
      const today = dayOf(entry.atMs);
      if (today !== lastDay) { wanted.push(this.node(`d${today}`, today, () => el("div", { class: "day", textContent: today }))); lastDay = today; lastFrom = ""; }
      if (entry.message) {
        const showsName = c.kind === "GROUP" && entry.from !== this.store.me.id && entry.from !== lastFrom;
        const tick = entry.from === this.store.me.id ? this.store.tickOf(c, entry) : "";
        const look = `${entry.message.revision}|${tick}|${showsName}|${showsName ? this.store.name(entry.from) : ""}`;
        wanted.push(this.node(`e${entry.seq}`, look, () => this.message(entry, tick, showsName)));
        lastFrom = entry.from;
      } else if (entry.membership || entry.settings) {
        const text = entry.membership ? membershipText(this.store, entry) : `${this.store.name(entry.from)} named this “${entry.settings.title || ""}”`;
        wanted.push(this.node(`e${entry.seq}`, text, () => el("div", { class: "event", textContent: text })));
        lastFrom = "";
      }
    }
    for (const item of c.pending) wanted.push(this.node(`p${item.cid}`, item.error || "", () => this.pendingMessage(item)));
    const box = $("entries"), keep = new Set(wanted);
    for (const child of [...box.children]) if (!keep.has(child)) child.remove();
    wanted.forEach((node, index) => { if (box.children[index] !== node) box.insertBefore(node, box.children[index] || null); });
    for (const [key, { node }] of this.nodes) if (!keep.has(node)) this.nodes.delete(key);
    if (wasAtEnd) this.toEnd();
    else if (c.unread) $("newest").hidden = false;
  }

  node(key, look, make) {
    const known = this.nodes.get(key);
    if (known?.look === look) return known.node;
    const node = make();
    this.nodes.set(key, { node, look });
    return node;
  }

  message(entry, tick, showsName) {
    const { message } = entry, isMine = entry.from === this.store.me.id;
    const picture = (m) => el("img", {
      src: m.url, alt: m.name || "picture", loading: "lazy", tabIndex: 0,
      onload: () => { if (this.isAtEnd || entry.seq === this.current?.have) this.toEnd(); },
      onclick: () => { $("viewer").firstElementChild.src = m.url; $("viewer").showModal(); },
    });
    const isImage = (m) => (m.type || "").startsWith("image/");
    const media = (message.media || []).map((m) => isImage(m) ? picture(m) : el("a", { href: m.url, textContent: `📄 ${m.name || "file"}`, download: m.name || "" }));
    const tools = isMine && !message.erased && !this.current.left
      ? el("div", { class: "tools" },
        el("button", { type: "button", textContent: "Edit", onclick: () => this.startEditing(entry) }),
        el("button", { type: "button", textContent: "Erase", onclick: () => this.erase(entry) })) : null;
    return el("div", { class: `msg${isMine ? " mine" : ""}${message.erased ? " erased" : ""}`, tabIndex: -1, data: { seq: entry.seq } },
      tools,
      showsName ? el("div", { class: "who", textContent: this.store.name(entry.from) }) : null,
      ...media,
      el("div", { class: "body", textContent: message.erased ? "This message was erased" : message.text || "" }),
      el("div", { class: "meta" },
        message.editedAtMs && !message.erased ? el("span", { textContent: "edited" }) : null,
        el("time", { textContent: timeOf(entry.atMs), title: new Date(entry.atMs).toLocaleString() }),
        tick ? el("span", { class: `tick ${tick.toLowerCase()}`, textContent: TICKS[tick], title: tick.toLowerCase(), "aria-label": tick.toLowerCase() }) : null));
  }

  pendingMessage(item) {
    const c = this.current;
    return el("div", { class: `msg mine${item.error ? " failed" : ""}` },
      ...(item.preview ? [el("img", { src: item.preview, alt: "" })] : []),
      el("div", { class: "body", textContent: item.text || "" }),
      el("div", { class: "meta" }, item.error
        ? el("span", {}, `${item.error} `, el("button", { class: "link", textContent: "Retry", onclick: () => this.store.push(c, item) }),
          el("button", { class: "link", textContent: "Discard", onclick: () => this.store.drop(c, item) }))
        : el("span", { textContent: "🕓 sending", "aria-label": "sending" })));
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.submit(); }
    if (event.key === "Escape") { event.stopPropagation(); if (this.editing) this.stopEditing(); else this.close(); }
    if (event.key === "ArrowUp" && !$("text").value && this.current) {
      const mine = this.current.entries.findLast((e) => e.message && !e.message.erased && e.from === this.store.me.id);
      if (mine) { event.preventDefault(); this.startEditing(mine); }
    }
  }

  grow() { const box = $("text"); box.style.height = "auto"; box.style.height = `${box.scrollHeight + 2}px`; }

  sayTyping() {
    const now = Date.now();
    if (!this.current || !$("text").value || now - (this.typedAt || 0) < 3000) return;
    this.typedAt = now;
    this.store.socket.tell({ typing: { conversation: this.current.id } });
  }

  async submit() {
    const text = $("text").value.trim(), c = this.current;
    if (!text || !c) return;
    this.typedAt = 0;
    if (this.editing) return this.saveEdit(text);
    $("text").value = "";
    this.grow();
    this.store.send(c, { text });
    this.toEnd();
  }

  startEditing(entry) {
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
    $("text").value = "";
    this.grow();
  }

  async saveEdit(text) {
    const { seq, message } = this.editing, id = this.current.id;
    this.stopEditing();
    if (text === message.text) return;
    await this.change({ edit: { conversation: id, target: String(seq), cid: uuid(), text } });
  }

  erase(entry) {
    const id = this.current.id;
    ask("Erase this message for everyone?", [el("p", { textContent: entry.message.text || "Picture" })],
      () => this.store.socket.request({ erase: { conversation: id, target: String(entry.seq), cid: uuid(), forAll: true } }), "Erase");
  }

  async change(frame) {
    try { await this.store.socket.request(frame); } catch (error) { ask("That did not work", [el("p", { textContent: error.message })]); }
  }

  async upload(file) {
    const c = this.current;
    $("file").value = "";
    if (!file || !c) return;
    const limit = Number(this.store.socket.limits?.mediaBytes || 100 << 20);
    if (file.size > limit) return ask("Too large", [el("p", { textContent: `At most ${Math.round(limit / (1 << 20))} MiB.` })]);
    const button = $("attach");
    button.disabled = true;
    button.textContent = "…";
    try {
      const blob = await this.store.api.upload(file);
      const text = $("text").value.trim();
      $("text").value = "";
      this.grow();
      await this.store.send(c, { text, media: [{ blob: blob.blob, name: file.name || "picture" }] });
    } catch (error) {
      ask("The picture was not sent", [el("p", { textContent: error.message })]);
    } finally {
      button.disabled = false;
      button.textContent = "📎";
    }
  }

  showPeople() {
    const c = this.current, store = this.store;
    const mine = c.members.find((m) => m.user === store.me.id);
    const rows = c.members.map(({ user, role }) => {
      const avatar = el("span", { class: "avatar" });
      paintAvatar(avatar, user, store.name(user), store.presence.get(user)?.state);
      return el("li", {}, avatar, el("div", { class: "grow" }, el("span", { textContent: store.name(user) }), el("small", { textContent: `@${store.users.get(user)?.username || ""}` })),
        el("small", { textContent: role === "MEMBER" ? "" : role.toLowerCase() }));
    });
    const body = [el("ul", {}, ...rows)];
    let submit = null;
    if (c.kind === "GROUP" && ["OWNER", "ADMIN"].includes(mine?.role)) {
      const input = el("input", { placeholder: "user name to add", autocapitalize: "none", spellcheck: false });
      body.push(el("label", {}, "Add somebody", input));
      submit = async () => {
        const user = await store.api.userNamed(input.value.trim());
        if (!user) throw new Error("There is no user of that name.");
        await store.api.addMember(c.id, user.id);
      };
    }
    if (c.kind === "GROUP" && !c.left) {
      body.push(el("button", { type: "button", class: "link", textContent: "Leave this group", onclick: async () => {
        $("dialog").close();
        try { await store.api.leave(c.id, store.me.id); } catch (error) { ask("That did not work", [el("p", { textContent: error.message })]); }
      } }));
    }
    ask(store.titleOf(c), body, submit, "Add");
  }
}
