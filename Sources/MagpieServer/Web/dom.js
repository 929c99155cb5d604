// Small helpers for the page.

export const $ = (id) => document.getElementById(id);

// An element with properties and children; text is always text, never markup.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === "class") node.className = value;
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

// One of the icons drawn in index.html.
export function icon(name, label) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  if (label) { svg.setAttribute("role", "img"); svg.setAttribute("aria-label", label); }
  svg.append(use);
  return svg;
}

// Text with its web addresses as links.
export function linked(text) {
  const parts = text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,:;!?)\]'])/);
  return parts.filter(Boolean).map((part) => (/^https?:\/\/\S/.test(part)
    ? el("a", { href: part, textContent: part, target: "_blank", rel: "noopener noreferrer" }) : part));
}

// Text with stretches of it marked; these are in UTF-16 units, as strings are here.
export function marked(text, spans) {
  const parts = [];
  let at = 0;
  for (const { start = 0, length = 0 } of spans || []) {
    const from = Math.max(at, start), to = Math.min(text.length, start + length);
    if (to <= from) continue;
    parts.push(text.slice(at, from), el("mark", { textContent: text.slice(from, to) }));
    at = to;
  }
  return [...parts, text.slice(at)].filter((part) => part !== "");
}

// A message of up to three emoji and nothing else is shown large.
export const isEmojiOnly = (text) => /^(?:\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier}|\u200D\p{Extended_Pictographic})*\s*){1,3}$/u.test(text);

// A colour for a person or a group, the same on every device: FNV-1a over the id, in steps that look different.
export function hueOf(id) {
  let hash = 0x811c9dc5;
  for (const c of id || "") hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193);
  return ((hash >>> 0) % 18) * 20;
}

export function paintAvatar(node, id, name, presence) {
  node.style.background = `hsl(${hueOf(id)} 42% 44%)`;
  node.textContent = [...(name || "?")][0];
  if (presence) node.dataset.presence = presence;
  else delete node.dataset.presence;
}

// ---- times ----

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const isSameDay = (ms, other) => new Date(ms).toDateString() === new Date(other).toDateString();
export const timeOf = (ms) => clock.format(ms);

export function dayOf(ms) {
  const now = Date.now();
  if (isSameDay(ms, now)) return "Today";
  if (isSameDay(ms, now - 86_400_000)) return "Yesterday";
  return (new Date(ms).getFullYear() === new Date(now).getFullYear() ? day : dayAndYear).format(ms);
}

export const whenOf = (ms) => (!ms ? "" : isSameDay(ms, Date.now()) ? timeOf(ms) : dayOf(ms));

export function lastSeen(ms) {
  if (!ms) return "offline";
  const minutes = Math.max(0, Math.floor((Date.now() - ms) / 60000));
  if (minutes < 1) return "last seen just now";
  if (minutes < 60) return `last seen ${minutes} min ago`;
  const when = dayOf(ms);
  return `last seen ${when === "Today" ? "" : `${when === "Yesterday" ? "yesterday" : when} `}at ${timeOf(ms)}`;
}

// ---- the one dialog ----

// Asks; `submit` may throw, which keeps the dialog open with the message. What `submit` answers, if a
// function, runs when the dialog has closed: the place to move the focus elsewhere.
export function ask(title, body, submit, okText = "OK") {
  const dialog = $("dialog"), form = $("dialog-form"), error = $("dialog-error"), ok = $("dialog-ok");
  if (dialog.open) dialog.close();
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...body);
  ok.textContent = okText;
  ok.hidden = !submit;
  $("dialog-cancel").textContent = submit ? "Cancel" : "Close";
  error.hidden = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!submit || ok.disabled) return;
    ok.disabled = true;
    try {
      const then = await submit();
      dialog.close();
      if (typeof then === "function") then();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally { ok.disabled = false; }
  };
  $("dialog-cancel").onclick = () => dialog.close();
  dialog.showModal();
  const first = $("dialog-body").querySelector("input");
  (first || (submit ? ok : $("dialog-cancel"))).focus();
}

export function tell(title, text) { ask(title, [el("p", { textContent: text })]); }
