// The WebSocket session: auth with resume, heartbeat, answers by id, and reconnect with full jitter.
// Emits "ready"; "frame" for everything that is no answer; "pong"; "offline" when the connection is lost;
// "denied" when the token is no longer good; "stopped" when coming back by itself would not help.

const FIRST_WAIT = 500, LONGEST_WAIT = 30000, ANSWER_WAIT = 20000, READY_WAIT = 15000;
const offline = (message) => Object.assign(new Error(message), { code: "offline" });

export class Socket extends EventTarget {
  constructor(token, resume) {
    super();
    this.token = token;
    this.resume = resume; // () => {epoch, feed, have} or null
    this.answers = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.isReady = false;
    this.isClosed = false;
    this.wake = () => { if (!this.isReady && this.timer) this.connect(); };
    this.unplugged = () => { if (this.isReady) this.drop(); };
    addEventListener("online", this.wake);
    addEventListener("offline", this.unplugged);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.isClosed) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const ws = new WebSocket(`${scheme}://${location.host}/v1/ws`, ["magpie.v1.json"]);
    this.ws = ws;
    this.readyTimer = setTimeout(() => this.drop(), READY_WAIT);
    ws.onmessage = (event) => { if (ws === this.ws) this.receive(JSON.parse(event.data)); };
    ws.onclose = (event) => { if (ws === this.ws) this.lost(event.code); };
  }

  receive(frame) {
    if (frame.hello) return this.authenticate(frame.hello);
    if (frame.closing) this.waitMs = Number(frame.closing.waitMs || 0);
    const waiting = frame.id !== undefined && this.answers.get(frame.id);
    if (!waiting) return this.emit("frame", frame);
    this.answers.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.error) {
      waiting.reject(Object.assign(new Error(frame.error.detail || frame.error.code), frame.error));
    } else {
      waiting.resolve(frame);
    }
  }

  async authenticate(hello) {
    this.heartbeat = Number(hello.heartbeatSeconds || 45) * 1000;
    this.limits = hello.limits || {};
    const resume = this.resume();
    try {
      const { ready } = await this.request({ auth: { token: this.token, ...(resume && { resume }) } }, true);
      clearTimeout(this.readyTimer);
      this.isReady = true;
      this.failures = 0;
      this.emit("ready", ready);
      this.beat();
    } catch (error) {
      if (error.code === "unauthenticated") this.deny("Please sign in again.");
      else if (error.code !== "offline") this.drop();
    }
  }

  // Sends a frame and answers with the frame that repeats its id.
  request(frame, isAuth = false) {
    return new Promise((resolve, reject) => {
      if (!isAuth && !this.isReady) return reject(offline("There is no connection at the moment."));
      const id = String(this.nextId++);
      const timer = setTimeout(() => this.drop(), ANSWER_WAIT);
      this.answers.set(id, { resolve, reject, timer });
      this.ws.send(JSON.stringify({ id, ...frame }));
    });
  }

  // Sends a frame that wants no answer; lost when offline.
  tell(frame) { if (this.isReady) this.ws.send(JSON.stringify(frame)); }

  beat() {
    clearTimeout(this.beatTimer);
    this.beatTimer = setTimeout(async () => {
      if (!this.isReady) return;
      try {
        const { pong } = await this.request({ ping: { feed: String(this.resume()?.feed ?? 0) } });
        this.emit("pong", pong);
        this.beat();
      } catch (error) { if (error.code !== "offline") this.drop(); }
    }, this.heartbeat * (0.6 + 0.3 * Math.random()));
  }

  // Gives the connection up at once; a dead peer would never finish a close handshake.
  drop() {
    const ws = this.ws;
    this.ws = null;
    ws?.close();
    this.lost(1006);
  }

  lost(code) {
    this.isReady = false;
    clearTimeout(this.beatTimer);
    clearTimeout(this.readyTimer);
    const answers = [...this.answers.values()];
    this.answers.clear();
    for (const { reject, timer } of answers) {
      clearTimeout(timer);
      reject(offline("The connection was lost."));
    }
    if (this.isClosed) return;
    if (code === 4500) return this.deny("Please sign in again.");
    if (code === 4501) return this.deny("This account was closed.");
    if (code === 4502) return this.deny("This device was signed out.");
    if (code > 4502) {
      this.close();
      return this.emit("stopped", "The server and this page do not understand each other. Please load the page again.");
    }
    const ceiling = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures++);
    this.timer = setTimeout(() => this.connect(), (this.waitMs || 0) + Math.random() * ceiling);
    this.waitMs = 0;
    this.emit("offline");
  }

  deny(message) {
    this.close();
    this.emit("denied", message);
  }

  close() {
    this.isClosed = true;
    removeEventListener("online", this.wake);
    removeEventListener("offline", this.unplugged);
    for (const timer of [this.timer, this.beatTimer, this.readyTimer]) clearTimeout(timer);
    this.ws?.close(1000);
  }

  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
