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

export function paintAvatar(node, id, name, presence) {
  let hue = 0;
  for (const c of id || "") hue = (hue * 31 + c.charCodeAt(0)) % 360;
  node.style.background = `hsl(${hue} 45% 42%)`;
  node.textContent = [...(name || "?")][0];
  if (presence) node.dataset.presence = presence;
  else delete node.dataset.presence;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
export const timeOf = (ms) => clock.format(ms);
export const dayOf = (ms) => (isToday(ms) ? "Today" : day.format(ms));
export const whenOf = (ms) => (!ms ? "" : isToday(ms) ? clock.format(ms) : day.format(ms));
const isToday = (ms) => new Date(ms).toDateString() === new Date().toDateString();

export function lastSeen(ms) {
  if (!ms) return "offline";
  const minutes = Math.max(0, Math.round((Date.now() - ms) / 60000));
  if (minutes < 1) return "last seen just now";
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return `last seen ${dayOf(ms)} ${timeOf(ms)}`;
}

// Opens the one dialog; `submit` may throw to keep it open with the message.
export function ask(title, body, submit, okText = "OK") {
  const dialog = $("dialog"), form = $("dialog-form"), error = $("dialog-error");
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...body);
  $("dialog-ok").textContent = okText;
  $("dialog-ok").hidden = !submit;
  $("dialog-cancel").textContent = submit ? "Cancel" : "Close";
  error.hidden = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    $("dialog-ok").disabled = true;
    try {
      await submit?.();
      dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    } finally { $("dialog-ok").disabled = false; }
  };
  $("dialog-cancel").onclick = () => dialog.close();
  dialog.showModal();
  body.find((n) => n.querySelector?.("input"))?.querySelector("input")?.focus();
}
