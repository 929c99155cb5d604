// HTTP calls of the client protocol. Every call answers the parsed body or throws a Problem.

export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `the server answered ${status}`);
    this.status = status;
    this.code = body?.code || "internal";
    this.retryAfterMs = Number(body?.retryAfterMs || 0);
  }
}

// One pattern for ids on plain http too, where crypto.randomUUID is missing.
export function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const h = [...b].map((x) => x.toString(16).padStart(2, "0")).join("");
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
}

export class Api {
  constructor() { this.token = null; }

  async call(method, path, body, headers = {}) {
    const init = { method, headers: { ...headers } };
    if (this.token) init.headers.Authorization = `Bearer ${this.token}`;
    if (body instanceof Blob) init.body = body;
    else if (body !== undefined) {
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    let response;
    try {
      response = await fetch(path, init);
    } catch {
      throw new Problem(0, { code: "unavailable", detail: "The server cannot be reached." });
    }
    const type = response.headers.get("Content-Type") || "";
    const parsed = type.includes("json") ? await response.json().catch(() => null) : null;
    if (!response.ok) throw new Problem(response.status, parsed);
    return parsed;
  }

  register(username, password, displayName) {
    return this.call("POST", "/v1/accounts", { username, password, ...(displayName && { displayName }) });
  }
  signIn(username, password) { return this.call("POST", "/v1/sessions", { username, password }); }
  signOut() { return this.call("DELETE", "/v1/sessions/current"); }
  refresh() { return this.call("POST", "/v1/sessions/current/refresh"); }
  async users(ids) { return (await this.call("GET", `/v1/users?ids=${ids.join(",")}`)).users || []; }
  async userNamed(name) {
    const { users } = await this.call("GET", `/v1/users?username=${encodeURIComponent(name)}`);
    return users?.[0] || null;
  }
  async conversations(cursor) {
    return this.call("GET", `/v1/conversations?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  }
  conversation(id) { return this.call("GET", `/v1/conversations/${id}`); }
  direct(user) { return this.call("POST", "/v1/conversations", { kind: "DIRECT", members: [user] }); }
  group(title, members) { return this.call("POST", "/v1/conversations", { kind: "GROUP", title, members, cid: uuid() }); }
  leave(id, user) { return this.call("DELETE", `/v1/conversations/${id}/members/${user}`); }
  addMember(id, user) { return this.call("PUT", `/v1/conversations/${id}/members/${user}`, { role: "MEMBER" }); }
  upload(file) { return this.call("POST", "/v1/media", file, { "Content-Type": file.type || "application/octet-stream" }); }
}
