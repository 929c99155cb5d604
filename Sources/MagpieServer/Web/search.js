// The search over all messages: what is asked, what was found, moving through it with the keyboard.
import { $, el, icon, marked, paintAvatar, whenOf } from "./dom.js";

const PAUSE_MS = 180, PART = 20;
const HAS = { image: "Pictures", file: "Files", link: "Links", mention: "Mentions" };
const today = () => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
// What stands for each operator until it is written over.
const OPERATORS = [["from:", "name"], ["in:", "group"], ["before:", today], ["after:", today], ["on:", today], ["\"", "exact words\""], ["-", "without"]];

export class Search {
  constructor(store, { jump, current }) {
    Object.assign(this, { store, jump, current, where: null, has: new Set(), sort: "newest", isOpen: false });
    this.version = this.answered = 0; // count changes of what is asked; an answer to an older version is dropped
    this.isAsking = false;
    this.timer = null;
    this.forget();
    $("search-open").onclick = () => this.open();
    $("search-here").onclick = () => this.open(current());
    $("search-close").onclick = () => this.close();
    $("query").oninput = () => this.changed();
    $("query").onkeydown = (event) => this.key(event);
    $("search-in").onclick = () => { this.where = this.where ? null : current(); this.changed(0); };
    for (const chip of $("search-has").children) chip.onclick = () => this.toggle(chip.dataset.has);
    for (const choice of $("order").children) choice.onclick = () => { this.sort = choice.dataset.sort; this.changed(0); };
    $("hits").onclick = (event) => this.choose(event.target.closest("li"));
    $("found").onscroll = () => { if (this.isNearEnd) this.more(); };
    $("search-more").onclick = () => this.more();
    $("search-again").onclick = () => this.run();
    $("search-help").replaceChildren("Also: ", ...OPERATORS.map(([sign, example]) => this.operator(sign, example)));
    $("query").value = "";
    $("hits").replaceChildren();
    store.addEventListener("erased", ({ detail }) => this.drop(this.hits.findIndex((hit) => hit.key === detail)));
    this.hide();
  }

  // ---- opening and closing ----

  open(where = null) {
    if (!this.isOpen) this.from = document.activeElement;
    this.isOpen = true;
    if (where) this.where = where;
    $("list-view").hidden = true;
    $("search").hidden = false;
    $("chat").classList.add("looking");
    $("query").focus();
    $("query").select();
    this.changed(0); // what was found before may have been changed or erased
  }

  close() {
    this.hide();
    this.where = null;
    if (this.from?.isConnected && this.from.offsetParent) this.from.focus();
    else (this.current() ? $("text") : $("list")).focus();
  }

  hide() {
    this.isOpen = false;
    this.version += 1;
    clearTimeout(this.timer);
    this.timer = null;
    $("search").hidden = true;
    $("list-view").hidden = false;
    this.stepAside();
  }

  // On a phone, list and conversation share the screen; what was found is there again when one comes back.
  stepAside() { $("chat").classList.remove("looking"); }

  // ---- asking: one question at a time; while one is under way, only what was typed last waits ----

  fields() {
    const q = $("query").value.trim();
    if (!q && !this.has.size) return null;
    return {
      q, has: [...this.has], sort: this.sort, limit: PART, utcOffsetMinutes: -new Date().getTimezoneOffset(),
      ...(this.where && { conversation: this.where.id }),
    };
  }

  changed(afterMs = PAUSE_MS) {
    this.version += 1;
    this.active = -1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), afterMs);
    this.paint();
  }

  // The first part of what is asked now, or with `cursor` the next part.
  async run(cursor) {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.isAsking) return;
    const version = this.version, fields = this.fields();
    if (!fields) { this.forget(); return this.paint(); }
    this.isAsking = true;
    this.error = null;
    this.paint();
    let results, error;
    try { results = await this.store.search({ ...fields, ...(cursor && { cursor }) }); } catch (problem) { error = problem; }
    this.isAsking = false;
    if (version !== this.version) { // dropped; what is asked now may have been held back
      if (this.isOpen && !this.timer) this.run();
      return;
    }
    this.answered = version;
    if (!error) this.take(results, cursor);
    else {
      if (!cursor) this.forget();
      this.error = { text: error.message, cursor };
    }
    this.paint();
  }

  take(results, isNext) {
    const known = new Set(isNext ? this.hits.map((hit) => hit.key) : []);
    const fresh = results.hits.filter((hit) => !known.has(hit.key));
    if (!isNext) $("found").scrollTop = 0;
    this.hits = isNext ? [...this.hits, ...fresh] : fresh;
    this.cursor = results.cursor;
    this.atLeast = Math.max(results.atLeast, this.hits.length);
    this.notes = [
      results.indexing && "The index is being built: messages may be missing.",
      results.partial && "This took too long: messages may be missing.",
      results.sealedNotSearched && "Encrypted conversations are not searched.",
    ].filter(Boolean);
  }

  forget() {
    Object.assign(this, { hits: [], cursor: null, atLeast: 0, notes: [], error: null, active: -1, rows: new Map(), answered: this.version });
  }

  // What is shown answers an older question.
  get isStale() { return this.answered !== this.version; }
  more() { if (this.cursor && !this.error && !this.isAsking && !this.timer) this.run(this.cursor); }
  // The connection is there again.
  ready() { if (this.isOpen && this.error) this.run(this.error.cursor); }
  get isNearEnd() { const box = $("found"); return box.scrollHeight - box.scrollTop - box.clientHeight < 300; }

  // ---- filters ----

  toggle(name) {
    if (!this.has.delete(name)) this.has.add(name);
    this.changed(0);
  }

  // Writes the operator behind what is there, its value chosen so that typing replaces it.
  operator(sign, example) {
    const value = () => (typeof example === "function" ? example() : example);
    return el("button", { type: "button", class: "chip", textContent: sign + value(), onclick: () => {
      const box = $("query"), text = box.value.trimEnd(), start = text ? `${text} ${sign}` : sign;
      box.value = start + value();
      box.focus();
      box.setSelectionRange(start.length, box.value.length);
      // A made-up name would find nothing: what is typed in its place is asked.
      if (typeof example === "function") this.changed();
    } });
  }

  // ---- painting ----

  paint() {
    if (!this.isOpen) return;
    this.paintFilters();
    const kept = new Map(), list = $("hits");
    this.hits.forEach((hit, index) => kept.set(hit.key, this.row(hit, index)));
    this.rows = kept;
    const nodes = [...kept.values()].map((row) => row.node);
    if (nodes.length !== list.children.length || nodes.some((node, i) => list.children[i] !== node)) list.replaceChildren(...nodes);
    const active = this.hits[this.active];
    $("query").setAttribute("aria-expanded", String(this.hits.length > 0));
    if (active) $("query").setAttribute("aria-activedescendant", `hit-${active.key}`);
    else $("query").removeAttribute("aria-activedescendant");
    list.hidden = !this.hits.length;
    list.classList.toggle("old", this.isStale);
    this.say("search-state", this.stateText());
    this.say("search-notes", this.isStale ? "" : this.notes.join(" "));
    $("search-failed").hidden = !this.error;
    $("search-error").textContent = this.error ? this.error.text : "";
    $("search-more").hidden = !this.cursor || Boolean(this.error) || this.isStale;
    $("search-more").disabled = this.isAsking;
    $("search-more").textContent = this.isAsking ? "Searching…" : "Show more";
    $("search-help").hidden = Boolean(this.fields());
  }

  // Set only when it differs, so that a screen reader says it once.
  say(id, text) {
    if ($(id).textContent !== text) $(id).textContent = text;
  }

  stateText() {
    if (!this.fields() || this.error) return "";
    if (this.isStale) return "Searching…";
    if (!this.hits.length) return this.cursor ? "Nothing found yet." : "Nothing found.";
    if (this.cursor) return `${this.atLeast}+ messages`;
    return `${this.hits.length} message${this.hits.length === 1 ? "" : "s"}`;
  }

  paintFilters() {
    const where = this.where || this.current();
    $("search-in").hidden = !where;
    if (where) $("search-in").textContent = `In ${this.store.titleOf(where)}`;
    $("search-in").setAttribute("aria-pressed", String(Boolean(this.where)));
    for (const chip of $("search-has").children) {
      chip.textContent = HAS[chip.dataset.has];
      chip.setAttribute("aria-pressed", String(this.has.has(chip.dataset.has)));
    }
    for (const choice of $("order").children) choice.setAttribute("aria-pressed", String(choice.dataset.sort === this.sort));
  }

  row(hit, index) {
    const { store } = this, { entry } = hit, c = store.at(entry.conversation);
    const isActive = index === this.active, title = c.kind ? store.titleOf(c) : "…";
    const who = entry.from === store.me.id ? "You" : store.name(entry.from);
    const look = JSON.stringify([title, who, isActive, hit.snippet, hit.highlights, whenOf(entry.atMs)]);
    const known = this.rows.get(hit.key);
    if (known?.look === look) return known;
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    paintAvatar(avatar, c.kind === "DIRECT" ? store.peer(c) : c.id, title);
    const media = entry.message?.media?.[0];
    const text = hit.snippet ? marked(hit.snippet, hit.highlights) : media ? [icon("picture"), media.name || "Picture"] : [];
    return { look, node: el("li", { role: "option", id: `hit-${hit.key}`, class: isActive ? "active" : "", "aria-selected": String(isActive), data: { key: hit.key } },
      avatar, el("div", { class: "grow" },
        el("span", { class: "row" }, el("strong", { textContent: title, dir: "auto" }),
          el("small", { textContent: whenOf(entry.atMs), title: new Date(entry.atMs).toLocaleString() })),
        el("span", { class: "snippet" }, el("span", { class: "who", textContent: `${who}: ` }), el("span", { dir: "auto" }, ...text)))) };
  }

  // ---- keys: arrows choose, Enter jumps; Escape closes, see app.js ----

  key(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 }[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.isStale || this.error) this.run(this.error?.cursor);
      else this.choose($("hits").children[Math.max(0, this.active)]);
    } else if (step && !event.altKey && this.hits.length) {
      event.preventDefault();
      this.active = Math.max(step < 0 && this.active + step < 0 ? -1 : 0, Math.min(this.hits.length - 1, this.active + step));
      if (this.active === this.hits.length - 1) this.more();
      this.paint();
      $("hits").children[this.active]?.scrollIntoView({ block: "nearest" });
    }
  }

  // A hit that was erased; the chosen one stays the same.
  drop(index) {
    if (index < 0) return;
    this.hits.splice(index, 1);
    if (index < this.active) this.active -= 1;
    this.active = Math.min(this.active, this.hits.length - 1);
  }

  choose(row) {
    const index = this.hits.findIndex((hit) => hit.key === row?.dataset.key);
    if (index < 0) return; // erased, and not painted yet
    this.active = index;
    this.paint();
    this.jump(this.hits[this.active].entry);
  }
}
