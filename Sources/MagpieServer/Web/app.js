// The page as a whole: sign in, wire store and socket to the views, addresses, keys.
import { Api } from "./api.js";
import { $, ask, el, paintAvatar, tell } from "./dom.js";
import { List } from "./list.js";
import { Pane } from "./pane.js";
import { Search } from "./search.js";
import { Socket } from "./socket.js";
import { Store } from "./store.js";

const KEY = "magpie.session", TYPING_MS = 6000;
const api = new Api();
let store, socket, list, pane, search, isRegistering = false, isPaintDue = false;

// ---- signing in: each tab has its own session; "stay signed in" also keeps it on the device ----

const read = (storage) => JSON.parse(storage.getItem(KEY) || "null");

// What this tab has goes first, also when that is "nobody".
function saved() {
  const own = read(sessionStorage);
  return own ? own.token && own : read(localStorage);
}

function keep({ token, user, expiresAtMs }, stays) {
  const session = JSON.stringify({ token, user, expiresAtMs: Number(expiresAtMs), keptAtMs: Date.now() });
  sessionStorage.setItem(KEY, session);
  if (stays) localStorage.setItem(KEY, session);
}

function forget(token) {
  sessionStorage.setItem(KEY, "{}");
  if (read(localStorage)?.token === token) localStorage.removeItem(KEY);
}

function showWelcome(message) {
  $("chat").hidden = true;
  $("welcome").hidden = false;
  banner("");
  complain(message);
  setMode(isRegistering);
  $("auth").username.focus();
}

function complain(message) {
  $("auth-error").hidden = !message;
  $("auth-error").textContent = message || "";
}

function setMode(registering) {
  isRegistering = registering;
  document.querySelectorAll(".register-only").forEach((n) => { n.hidden = !registering; });
  $("auth-lead").textContent = registering ? "Take a name, and off you go." : "Good to see you.";
  $("auth-submit").textContent = registering ? "Make account" : "Sign in";
  $("auth-switch").textContent = registering ? "I have an account" : "New here? Make an account";
  $("auth").password.autocomplete = registering ? "new-password" : "current-password";
}

$("auth-switch").onclick = () => { setMode(!isRegistering); complain(""); };
$("auth").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("auth"), name = form.username.value.trim().toLowerCase();
  $("auth-submit").disabled = true;
  complain("");
  try {
    const session = isRegistering
      ? await api.register(name, form.password.value, form.displayName.value.trim())
      : await api.signIn(name, form.password.value);
    keep(session, form.stay.checked);
    form.password.value = "";
    start(session);
  } catch (problem) {
    complain(problem.code === "unauthenticated" ? "User name and password do not match."
      : problem.code === "conflict" ? `The name “${name}” is taken.` : problem.message);
  } finally { $("auth-submit").disabled = false; }
};

function end(message) {
  socket.close();
  api.token = null;
  history.replaceState(null, "", location.pathname);
  showWelcome(message);
}

function denied(message) {
  forget(api.token);
  end(message);
}

$("sign-out").onclick = () => {
  const other = el("button", { type: "button", class: "link", textContent: "Use another account in this tab only", onclick: () => {
    $("dialog").close();
    sessionStorage.setItem(KEY, "{}");
    end();
  } });
  ask("Sign out of this device?", [other], async () => {
    try { await api.signOut(); } catch (problem) { if (problem.code !== "unauthenticated") throw problem; }
    forget(api.token);
    return () => end();
  }, "Sign out");
};

// A token lives long; half way through it is changed for a new one.
async function renew({ token, expiresAtMs, keptAtMs }) {
  if (!expiresAtMs || Date.now() < (expiresAtMs + keptAtMs) / 2) return;
  try {
    const session = await api.refresh();
    keep(session, read(localStorage)?.token === token);
    api.token = socket.token = session.token;
  } catch { /* tried again at the next load */ }
}

// ---- a session ----

function start({ token, user }) {
  api.token = token;
  store = new Store(api, user);
  store.restoreOutbox();
  $("welcome").hidden = true;
  $("chat").hidden = false;
  paintAvatar($("me-avatar"), user.id, user.displayName || user.username);
  $("me-name").textContent = user.displayName || user.username;
  $("me-user").textContent = `@${user.username}`;
  socket = store.socket = new Socket(token, () => store.resumeMark());
  list = new List(store, open);
  pane = new Pane(store, close);
  search = new Search(store, { jump, current: () => pane.current });
  const mine = socket;
  const on = (type, take) => socket.addEventListener(type, (event) => { if (socket === mine) take(event.detail); });
  on("ready", ready);
  on("frame", take);
  on("pong", (pong) => { store.feed = Math.max(store.feed, Number(pong.feed || 0)); });
  on("offline", () => banner("No connection. Trying again…"));
  on("stopped", banner);
  on("denied", denied);
  store.addEventListener("change", repaint);
  store.addEventListener("people", watchPeople);
}

async function ready(frame) {
  banner("");
  store.takeReady(frame);
  store.flushAll();
  try { await store.loadAll(); } catch (problem) {
    if (problem.status === 401) denied("Please sign in again.");
    return; // lost again: the next ready goes on
  }
  for (const conversation of store.conversations.values()) store.sendMarks(conversation, false);
  sayActivity();
  search.ready();
  if (pane.current) await pane.reopen();
  else await route();
}

// The people of the newest direct conversations: those whose dots are on the screen.
function watchPeople() {
  const users = store.sorted().filter((c) => c.kind === "DIRECT").slice(0, 100).map((c) => store.peer(c)).filter((u) => u !== store.me.id);
  if (users.length) socket.tell({ watch: { conversations: [], users } });
}

function take(frame) {
  if (frame.entry) {
    const { conversation, entry, isNew } = store.takeEntry(frame.entry);
    if (isNew && entry.from !== store.me.id) store.sendMarks(conversation, false);
    if (conversation === pane.current) requestAnimationFrame(() => pane.seen());
  } else if (frame.gap) store.takeGap(frame.gap);
  else if (frame.changed) store.takeChanged(frame.changed);
  else if (frame.mark) store.takeMark(frame.mark);
  else if (frame.typing) {
    const { conversation, user } = frame.typing;
    if (user === store.me.id) return;
    store.at(conversation).isTyping(user, TYPING_MS, repaint);
    repaint();
  } else if (frame.presence) {
    store.presence.set(frame.presence.user, frame.presence);
    repaint();
  }
}

// At most once a picture; a hidden tab paints no pictures, but its title should count.
function repaint() {
  if (isPaintDue) return;
  isPaintDue = true;
  const paint = () => {
    isPaintDue = false;
    list.paint(pane.current?.id ?? null);
    pane.paint();
    search.paint();
  };
  if (document.visibilityState === "visible") requestAnimationFrame(paint);
  else setTimeout(paint, 200);
}

function banner(text) { $("banner").textContent = text; $("banner").hidden = !text; }

// ---- the address names the open conversation, so that a reload and the back button do what they should ----

function open(conversation, seq) {
  const address = `#${conversation.id}`;
  if (pane.current || location.hash === address) history.replaceState(history.state, "", address);
  else history.pushState({ isOver: true }, "", address);
  search.stepAside();
  const opened = pane.open(conversation, seq);
  repaint();
  return opened;
}

// To a message that was found, among its neighbours.
async function jump({ conversation: id, seq }) {
  const conversation = store.at(id).kind ? store.at(id) : await store.learn(id);
  if (conversation.kind) await open(conversation, seq);
  else tell("This conversation cannot be opened", "You can no longer read it, or there is no connection.");
}

function close() {
  pane.leave();
  repaint();
  if (history.state?.isOver) history.back();
  else history.replaceState(null, "", location.pathname);
  (search.isOpen ? $("search-close") : $("list")).focus();
}

async function route() {
  if (!store || $("chat").hidden) return;
  const conversation = store.conversations.get(location.hash.slice(1));
  if (conversation?.kind) await open(conversation);
  else if (pane.current) { pane.leave(); repaint(); }
}
addEventListener("popstate", route);

// ---- beginning conversations ----

function field(label, props) {
  const input = el("input", { required: true, autocapitalize: "none", autocomplete: "off", spellcheck: false, ...props });
  return { input, node: el("label", {}, label, input) };
}

function begun(view) {
  const conversation = store.at(view.id);
  conversation.describe(view);
  watchPeople();
  return () => open(conversation);
}

$("new-direct").onclick = () => {
  const { input, node } = field("User name", {});
  ask("New conversation", [node], async () => begun(await api.direct((await store.find(input.value)).id)), "Open");
};

$("new-group").onclick = () => {
  const title = field("Name of the group", { autocapitalize: "sentences", maxLength: 80, dir: "auto" });
  const people = field("User names, separated by blanks", {});
  ask("New group", [title.node, people.node], async () => {
    const users = [];
    for (const name of people.input.value.split(/[\s,]+/).filter(Boolean)) users.push(await store.find(name));
    return begun(await api.group(title.input.value.trim(), users.map((u) => u.id)));
  }, "Make group");
};

// ---- keys, sight ----

addEventListener("keydown", (event) => {
  if (!store || $("chat").hidden || $("dialog").open || $("viewer").open) return;
  const step = event.altKey && { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const isCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, textarea");
  if (step) { const next = list.neighbour(step); if (next) open(next); }
  else if (event.altKey && event.code === "KeyN") $("new-direct").click();
  else if (event.altKey && event.code === "KeyG") $("new-group").click();
  else if ((isCommand && event.key.toLowerCase() === "k") || (isPlain && event.key === "/")) search.open();
  else if (event.key === "Escape" && search.isOpen) search.close();
  else if (event.key === "Escape" && pane.current) close();
  else return;
  event.preventDefault();
});

function sayActivity() { socket?.tell({ activity: { active: document.visibilityState === "visible" } }); }
function looked() {
  if (!socket) return;
  sayActivity();
  socket.wake();
  pane.seen();
}
addEventListener("focus", looked);
document.addEventListener("visibilitychange", looked);

const session = saved();
if (session) { start(session); renew(session); }
else showWelcome();
