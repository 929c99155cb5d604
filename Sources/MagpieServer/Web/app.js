// The page as a whole: sign in, wire store and socket to the views, keys.
import { Api, Problem } from "./api.js";
import { $, ask, el, paintAvatar } from "./dom.js";
import { paintList } from "./list.js";
import { Pane } from "./pane.js";
import { Socket } from "./socket.js";
import { Store } from "./store.js";

const KEY = "magpie.session", TYPING_MS = 6000;
const api = new Api();
let store, socket, pane, isRegistering = false, paintTimer = 0;

// ---- signing in: each tab has its own session; "stay signed in" also keeps it on the device ----

function saved() { return JSON.parse(sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || "null"); }

function keep(session, stays) {
  sessionStorage.setItem(KEY, JSON.stringify(session));
  if (stays) localStorage.setItem(KEY, JSON.stringify(session));
}

function forget() {
  const token = saved()?.token;
  sessionStorage.removeItem(KEY);
  if (JSON.parse(localStorage.getItem(KEY) || "null")?.token === token) localStorage.removeItem(KEY);
}

function showWelcome(message) {
  $("chat").hidden = true;
  $("welcome").hidden = false;
  $("auth-error").hidden = !message;
  $("auth-error").textContent = message || "";
  setMode(isRegistering);
  $("auth").username.focus();
}

function setMode(registering) {
  isRegistering = registering;
  document.querySelectorAll(".register-only").forEach((n) => { n.hidden = !registering; });
  $("auth-submit").textContent = registering ? "Make account" : "Sign in";
  $("auth-switch").textContent = registering ? "I have an account" : "New here? Make an account";
  $("auth").password.autocomplete = registering ? "new-password" : "current-password";
}

$("auth-switch").onclick = () => setMode(!isRegistering);
$("auth").onsubmit = async (event) => {
  event.preventDefault();
  const form = $("auth"), name = form.username.value.trim().toLowerCase();
  $("auth-submit").disabled = true;
  $("auth-error").hidden = true;
  try {
    const session = isRegistering
      ? await api.register(name, form.password.value, form.displayName.value.trim())
      : await api.signIn(name, form.password.value);
    keep({ token: session.token, user: session.user }, form.stay.checked);
    form.password.value = "";
    start(session);
  } catch (problem) {
    $("auth-error").textContent = problem.code === "unauthenticated" ? "User name and password do not match." : problem.message;
    $("auth-error").hidden = false;
  } finally { $("auth-submit").disabled = false; }
};

async function signOut(message) {
  socket?.close();
  forget();
  try { if (!message) await api.signOut(); } catch { /* the token may be gone already */ }
  api.token = null;
  if (message) showWelcome(message);
  else location.reload();
}
$("sign-out").onclick = () => ask("Sign out of this device?", [], () => signOut(), "Sign out");

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
  pane = new Pane(store, leave);
  socket = store.socket = new Socket(token, () => store.resumeMark());
  socket.addEventListener("ready", (event) => ready(event.detail));
  socket.addEventListener("frame", (event) => take(event.detail));
  socket.addEventListener("pong", (event) => { store.feed = Math.max(store.feed, Number(event.detail.feed || 0)); });
  socket.addEventListener("offline", () => banner("Connecting…"));
  socket.addEventListener("denied", (event) => signOut(event.detail));
  store.addEventListener("change", repaint);
}

async function ready(frame) {
  banner("");
  store.takeReady(frame);
  try { await store.loadAll(); } catch (problem) { if (problem instanceof Problem && problem.status === 401) return signOut("Please sign in again."); }
  for (const conversation of store.conversations.values()) store.sendMarks(conversation, false);
  watchPeople();
  if (pane.current) {
    socket.tell({ watch: { conversations: [pane.current.id], users: [] } });
    if (pane.current.isLoaded) await store.pullAfter(pane.current);
    else await pane.open(pane.current);
  }
  await store.flushOutbox();
}

// The people of the newest direct conversations: those whose dots are on the screen.
function watchPeople() {
  const users = store.sorted().filter((c) => c.kind === "DIRECT").slice(0, 100).map((c) => store.peer(c)).filter((u) => u !== store.me.id);
  if (users.length) socket.tell({ watch: { conversations: [], users } });
}

function take(frame) {
  if (frame.entry) {
    const { conversation, entry, isNew } = store.takeEntry(frame.entry);
    if (entry.membership) watchPeople();
    if (isNew) store.sendMarks(conversation, false);
    if (conversation === pane.current) requestAnimationFrame(() => pane.seen());
  } else if (frame.gap) store.takeGap(frame.gap);
  else if (frame.changed) store.takeChanged(frame.changed);
  else if (frame.mark) {
    const conversation = store.at(frame.mark.conversation);
    if (frame.mark.user === store.me.id) {
      conversation.read = Math.max(conversation.read, Number(frame.mark.read || 0));
      if (conversation.read >= conversation.head) conversation.unread = 0;
    } else conversation.mark(frame.mark);
    repaint();
  } else if (frame.typing) {
    const { conversation: id, user } = frame.typing, conversation = store.at(id);
    if (user === store.me.id) return;
    clearTimeout(conversation.typing.get(user));
    conversation.typing.set(user, setTimeout(() => { conversation.typing.delete(user); repaint(); }, TYPING_MS));
    repaint();
  } else if (frame.presence) {
    store.presence.set(frame.presence.user, frame.presence);
    repaint();
  }
}

function repaint() {
  if (paintTimer) return;
  paintTimer = requestAnimationFrame(() => {
    paintTimer = 0;
    paintList(store, pane.current?.id, (c) => open(c));
    pane.paint();
  });
}

function open(conversation) { pane.open(conversation).then(repaint); repaint(); }
function leave() { pane.leave(); repaint(); $("list").focus(); }

function banner(text) { $("banner").textContent = text; $("banner").hidden = !text; }

// ---- beginning conversations ----

function field(label, props) {
  const input = el("input", { autocapitalize: "none", spellcheck: false, ...props });
  return { input, node: el("label", {}, label, input) };
}

async function find(name) {
  const user = await api.userNamed(name.trim().toLowerCase().replace(/^@/, ""));
  if (!user) throw new Error(`There is no user “${name.trim()}”.`);
  store.users.set(user.id, user);
  return user;
}

$("new-direct").onclick = () => {
  const { input, node } = field("User name", { required: true });
  ask("Write to", [node], async () => {
    const user = await find(input.value);
    const view = await api.direct(user.id);
    const conversation = store.at(view.id);
    conversation.describe(view);
    watchPeople();
    open(conversation);
  }, "Open");
};

$("new-group").onclick = () => {
  const title = field("Name of the group", { required: true, autocapitalize: "sentences", maxLength: 80 });
  const people = field("User names, separated by blanks", { required: true });
  ask("New group", [title.node, people.node], async () => {
    const users = await Promise.all(people.input.value.split(/[\s,]+/).filter(Boolean).map(find));
    const view = await api.group(title.input.value.trim(), users.map((u) => u.id));
    const conversation = store.at(view.id);
    conversation.describe(view);
    open(conversation);
  }, "Make group");
};

// ---- keys, sight, size ----

function step(by) {
  const all = store.sorted();
  if (!all.length) return;
  const at = all.findIndex((c) => c.id === pane.current?.id);
  open(all[Math.min(all.length - 1, Math.max(0, at + by))]);
}

addEventListener("keydown", (event) => {
  if (!store || $("dialog").open || $("viewer").open) return;
  if (event.altKey && event.key === "ArrowDown") step(1);
  else if (event.altKey && event.key === "ArrowUp") step(-1);
  else if (event.altKey && event.key.toLowerCase() === "n") $("new-direct").click();
  else if (event.altKey && event.key.toLowerCase() === "g") $("new-group").click();
  else if (document.activeElement === $("list") && ["ArrowDown", "ArrowUp"].includes(event.key)) { step(event.key === "ArrowDown" ? 1 : -1); $("list").focus(); }
  else if (event.key === "Escape" && pane.current) leave();
  else return;
  event.preventDefault();
});
const looked = () => { socket?.tell({ activity: { active: document.visibilityState === "visible" } }); pane?.seen(); };
addEventListener("focus", looked);
document.addEventListener("visibilitychange", looked);

const session = saved();
if (session) start(session);
else showWelcome();
