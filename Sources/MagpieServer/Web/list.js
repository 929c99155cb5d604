// The list of conversations: rows, their previews, moving through them with the keyboard.
import { $, el, paintAvatar, whenOf } from "./dom.js";

export function preview(store, conversation) {
  const entry = conversation.last;
  if (!entry) return "";
  const who = entry.from === store.me.id ? "You: " : "";
  if (entry.message?.erased) return `${who}message erased`;
  if (entry.message?.media?.length) return `${who}Picture${entry.message.text ? `: ${entry.message.text}` : ""}`;
  if (entry.message) return who + (entry.message.text || "");
  if (entry.edit) return who + entry.edit.text;
  if (entry.erase) return `${who}message erased`;
  return eventText(store, entry, conversation);
}

// What an entry that is no message says, or "" when it shows only in what it changed.
export function eventText(store, entry, conversation) {
  const by = store.name(entry.from);
  if (entry.settings) return entry.settings.title ? `${by} named this “${entry.settings.title}”` : "";
  if (!entry.membership || conversation.kind === "DIRECT") return "";
  const { user, change, role } = entry.membership, whom = store.name(user);
  switch (change) {
    case "JOINED": return entry.seq === 1 ? `${by} made the group` : user === entry.from ? `${whom} joined` : `${by} added ${whom}`;
    case "LEFT": return `${whom} left`;
    case "REMOVED": return `${by} removed ${whom}`;
    default: return `${by} made ${whom} ${String(role || "").toLowerCase()}`;
  }
}

export class List {
  constructor(store, open) {
    this.store = store;
    this.open = open;
    this.selected = null; // the open conversation
    this.active = null; // where the arrow keys stand
    this.rows = new Map(); // id → {node, look}
    $("list").replaceChildren();
    $("filter").value = "";
    $("filter").oninput = () => { this.active = null; this.paint(); };
    $("list").onkeydown = (event) => this.key(event);
    $("filter").onkeydown = (event) => this.key(event);
    $("list").onclick = (event) => {
      const row = event.target.closest("li");
      if (row) this.open(store.at(row.dataset.id));
    };
  }

  shown() {
    const wanted = $("filter").value.trim().toLowerCase();
    const all = this.store.sorted();
    return wanted ? all.filter((c) => this.store.titleOf(c).toLowerCase().includes(wanted)) : all;
  }

  // A row is made again only when it looks different; hundreds of rows stay cheap.
  paint(selected = this.selected) {
    this.selected = selected;
    const shown = this.shown(), list = $("list"), kept = new Map();
    for (const c of shown) kept.set(c.id, this.row(c));
    for (const [id, { node }] of this.rows) if (kept.get(id)?.node !== node) node.remove();
    this.rows = kept;
    let index = 0;
    for (const { node } of kept.values()) {
      if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null);
      index += 1;
    }
    const active = this.active ?? this.selected;
    if (kept.has(active)) list.setAttribute("aria-activedescendant", `c-${active}`);
    else list.removeAttribute("aria-activedescendant");
    $("list-empty").hidden = shown.length > 0;
    $("list-empty").textContent = $("filter").value ? "Nothing of that name."
      : this.store.isListed ? "No conversations yet. Begin one with the buttons above." : "";
    const unread = this.store.sorted().reduce((sum, c) => sum + c.unread, 0);
    document.title = unread ? `(${unread}) Magpie` : "Magpie";
  }

  row(c) {
    const store = this.store, title = store.titleOf(c);
    const peer = c.kind === "DIRECT" ? store.peer(c) : null;
    const presence = peer && (store.presence.get(peer)?.state || "OFFLINE");
    const writer = c.typing.size && c.kind === "GROUP" ? `${store.name([...c.typing.keys()][0])} is ` : "";
    const text = c.typing.size ? `${writer}typing…` : preview(store, c);
    const isSelected = c.id === this.selected, isActive = c.id === this.active;
    const look = JSON.stringify([title, presence, text, c.typing.size, c.unread, whenOf(c.lastAtMs), isSelected, isActive]);
    const known = this.rows.get(c.id);
    if (known?.look === look) return known;
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    paintAvatar(avatar, peer || c.id, title, presence);
    const count = c.unread > 99 ? "99+" : String(c.unread);
    return { look, node: el("li", {
      role: "option", id: `c-${c.id}`, class: isActive ? "active" : "", "aria-selected": String(isSelected), data: { id: c.id },
    }, avatar, el("div", { class: "grow" },
      el("span", { class: "row" }, el("strong", { textContent: title, dir: "auto" }), el("small", { textContent: whenOf(c.lastAtMs) })),
      el("span", { class: "row" },
        el("small", { textContent: text, class: c.typing.size ? "typing" : "", dir: "auto" }),
        c.unread ? el("span", { class: "count", textContent: count, "aria-label": `${c.unread} unread` }) : null))) };
  }

  // ---- keys: arrows choose, Enter opens ----

  key(event) {
    const shown = this.shown(), at = shown.findIndex((c) => c.id === (this.active ?? this.selected));
    const isInFilter = event.target === $("filter");
    let next;
    if (event.key === "ArrowDown") next = at + 1;
    else if (event.key === "ArrowUp") next = Math.max(0, at - 1);
    else if (event.key === "Home" && !isInFilter) next = 0;
    else if (event.key === "End" && !isInFilter) next = shown.length - 1;
    else if (event.key === "Enter" || (event.key === " " && !isInFilter)) {
      const chosen = shown[at] || (isInFilter ? shown[0] : null);
      if (chosen) { this.active = null; this.open(chosen); }
      event.preventDefault();
      return;
    } else return;
    event.preventDefault();
    this.active = shown[Math.min(next, shown.length - 1)]?.id ?? null;
    this.paint();
    this.rows.get(this.active)?.node.scrollIntoView({ block: "nearest" });
  }

  // The neighbour of the open conversation.
  neighbour(by) {
    const shown = this.shown(), at = shown.findIndex((c) => c.id === this.selected);
    return shown[Math.min(shown.length - 1, Math.max(0, at + by))];
  }
}
