// The list of conversations.
import { $, el, paintAvatar, whenOf } from "./dom.js";

export function preview(store, entry) {
  if (!entry) return "";
  const who = entry.from === store.me.id ? "You: " : "";
  if (entry.message?.erased) return `${who}message erased`;
  if (entry.message) return who + (entry.message.text || (entry.message.media?.length ? "📷 Picture" : ""));
  if (entry.edit) return `${who}edited a message`;
  if (entry.erase) return `${who}erased a message`;
  if (entry.membership) return membershipText(store, entry);
  return "";
}

export function membershipText(store, entry) {
  const { user, change, role } = entry.membership;
  const by = store.name(entry.from), whom = store.name(user);
  switch (change) {
    case "JOINED": return user === entry.from ? `${whom} joined` : `${by} added ${whom}`;
    case "LEFT": return `${whom} left`;
    case "REMOVED": return `${by} removed ${whom}`;
    default: return `${by} made ${whom} ${String(role || "").toLowerCase()}`;
  }
}

export function paintList(store, selected, open) {
  const rows = store.sorted().map((c) => {
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    const title = store.titleOf(c);
    const peer = c.kind === "DIRECT" ? store.peer(c) : null;
    paintAvatar(avatar, peer || c.id, title, peer && (store.presence.get(peer)?.state || "OFFLINE"));
    const typing = [...c.typing.keys()].length > 0;
    return el("li", {
      role: "option", id: `c-${c.id}`, "aria-selected": String(c.id === selected), data: { id: c.id }, onclick: () => open(c),
    }, avatar, el("div", { class: "grow" },
      el("span", { class: "row" }, el("strong", { textContent: title }), el("small", { textContent: whenOf(c.lastAtMs) })),
      el("span", { class: "row" }, el("small", { textContent: typing ? "typing…" : preview(store, c.last) }),
        c.unread ? el("span", { class: "count", textContent: c.unread > 99 ? "99+" : c.unread, "aria-label": `${c.unread} unread` }) : null)));
  });
  $("list").replaceChildren(...rows);
  $("list").setAttribute("aria-activedescendant", selected ? `c-${selected}` : "");
  $("list-empty").hidden = rows.length > 0;
  const unread = store.sorted().reduce((sum, c) => sum + c.unread, 0);
  document.title = unread ? `(${unread}) Magpie` : "Magpie";
}
