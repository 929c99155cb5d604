// The WebSocket session: auth with resume, heartbeat, answers by id, and reconnect with full jitter.
// Emits "frame" for everything that is no answer, "state" for online/offline, "denied" when it may not come back.

const FIRST_WAIT = 500, LONGEST_WAIT = 30000, ANSWER_WAIT = 20000;

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
    addEventListener("online", this.wake);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.isClosed) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const ws = new WebSocket(`${scheme}://${location.host}/v1/ws`, ["magpie.v1.json"]);
    this.ws = ws;
    ws.onmessage = (event) => { if (ws === this.ws) this.receive(JSON.parse(event.data)); };
    ws.onclose = (event) => { if (ws === this.ws) this.lost(event.code); };
  }

  receive(frame) {
    if (frame.hello) {
      this.heartbeat = Number(frame.hello.heartbeatSeconds || 45) * 1000;
      this.limits = frame.hello.limits || {};
      const resume = this.resume();
      this.request({ auth: { token: this.token, ...(resume && { resume }) } }, true).then(
        (answer) => {
          this.isReady = true;
          this.failures = 0;
          this.emit("ready", answer.ready);
          this.beat();
        },
        (error) => { if (error.code === "unauthenticated") this.deny(error.message); });
      return;
    }
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

  // Sends a frame and answers with the frame that repeats its id.
  request(frame, isAuth = false) {
    return new Promise((resolve, reject) => {
      if (!isAuth && !this.isReady) return reject(Object.assign(new Error("offline"), { code: "offline" }));
      const id = String(this.nextId++);
      const timer = setTimeout(() => {
        this.answers.delete(id);
        reject(Object.assign(new Error("no answer"), { code: "offline" }));
      }, ANSWER_WAIT);
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
      } catch { this.ws.close(4002); }
    }, this.heartbeat * (0.6 + 0.3 * Math.random()));
  }

  lost(code) {
    const wasReady = this.isReady;
    this.isReady = false;
    clearTimeout(this.beatTimer);
    for (const { reject, timer } of this.answers.values()) {
      clearTimeout(timer);
      reject(Object.assign(new Error("offline"), { code: "offline" }));
    }
    this.answers.clear();
    if (this.isClosed) return;
    if (code >= 4500) return this.deny(code === 4502 ? "This device was signed out." : "Please sign in again.");
    const ceiling = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures++);
    const wait = (this.waitMs || 0) + Math.random() * ceiling;
    this.waitMs = 0;
    this.timer = setTimeout(() => this.connect(), wait);
    this.emit("offline", { wasReady });
  }

  deny(message) {
    this.close();
    this.emit("denied", message);
  }

  close() {
    this.isClosed = true;
    removeEventListener("online", this.wake);
    clearTimeout(this.timer);
    clearTimeout(this.beatTimer);
    this.ws.close(1000);
  }

  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
