// The HTTP API: one function a request. Errors are either a Problem (the server said no) or Unreachable (nobody answered).
import { forgetRefusals, identityHeaders, keepAccessKey, mended, noteIdentity } from "./identity.js";

const TEMPORARY = new Set([429, 502, 503, 504]); // a proxy's own errors among them
const BUSY_KINDS = new Set(["queue-timeout", "turn-busy"]);
const TEMPORARY_KINDS = new Set([...BUSY_KINDS, "turn-overtaken", "turn-conflict", "turn-parked"]);
const MISSING_PARTS = new Set(["passage-not-found", "turn-not-found", "trace-not-found"]); // of a session that may well be there
const CANCEL_MS = 15_000; // the server answers within 5 s where it can
const FINAL_KINDS = new Set(["turn-failed", "turn-mismatch", "turn-finished"]);

/** The server's answer that it could not, after RFC 9457. */
export class Problem extends Error {
  constructor({ type = "", title = "", status = 0, detail = "" }, retryAfter = null) {
    super(detail || title || `HTTP ${status}`);
    this.kind = type.split("/").pop();
    this.status = status;
    this.title = title;
    this.retryAfter = retryAfter; // seconds
  }

  /** The same request may well succeed in a moment. */
  get temporary() {
    return TEMPORARY.has(this.status) || TEMPORARY_KINDS.has(this.kind);
  }

  /** An earlier turn of the conversation is in the way. */
  get busy() {
    return BUSY_KINDS.has(this.kind);
  }

  /** Its turn id is used up: only a new one can bring an answer. */
  get isFinal() {
    return FINAL_KINDS.has(this.kind) || (this.status >= 400 && this.status < 500 && !this.temporary);
  }

  get sessionMissing() {
    return this.status === 410 || (this.status === 404 && !MISSING_PARTS.has(this.kind));
  }
}

/** No answer came at all, or the connection broke. */
export class Unreachable extends Error {}

export const getInfo = () => getJson("v1/info");
export const createSession = async () => (await request("v1/sessions", { method: "POST", body: {} })).json();
export const getPassage = (path) => getJson(path);

/** A conversation's figures and state; `state.handover` while a person has it. */
export const getSession = (session) => getJson(`v1/sessions/${encodeURIComponent(session)}`);

/** How a turn was answered, where the server shows that. */
export const getTrace = (session, turnId) => getJson(`${turnsOf(session)}/${encodeURIComponent(turnId)}/trace`);

/** A page of messages, oldest first; without `start`, the last ones. */
export function getMessages(session, { start = null, limit }) {
  const range = new URLSearchParams(start === null ? { limit } : { start, limit });
  return getJson(`v1/sessions/${encodeURIComponent(session)}/messages?${range}`);
}

/**
 * The response whose body is the turn's stream. Sending the same turn again is always safe: it is joined, or replayed.
 * With `interrupts`, turns before it are cancelled; else the server's own rule says what becomes of them.
 */
export function postTurn({ session, turnId, input, interrupts, lastEventId }, signal) {
  const headers = { ...streamed(lastEventId), "Idempotency-Key": turnId };
  const body = interrupts ? { input, on_busy: "interrupt" } : { input };
  return request(turnsOf(session), { method: "POST", body, headers, signal });
}

/** The stream of a turn that the server has already. */
export function getEvents({ session, turnId, lastEventId }, signal) {
  return request(`${turnsOf(session)}/${encodeURIComponent(turnId)}/events`, { headers: streamed(lastEventId), signal });
}

/** Ends a turn: its outcome, or {status: "cancelling"}. It is sent even though the page is left meanwhile. */
export async function cancelTurn({ session, turnId }) {
  const path = `${turnsOf(session)}/${encodeURIComponent(turnId)}`;
  return bodyOf(await request(path, { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(CANCEL_MS) }));
}

/** Tells a parked turn what it waits for. The first signal counts: repeating it is harmless. */
export async function sendSignal({ session, turnId }, name, value) {
  const path = `v1/sessions/${encodeURIComponent(session)}/signals/${encodeURIComponent(name)}`;
  await request(path, { method: "POST", body: { value, turn_id: turnId } });
}

/** Who the server takes this browser for: `visitor`, `role`, and `csrf` where a cookie says so. */
export const getMe = async () => noteIdentity(await getJson("v1/me"));

/**
 * Makes a cookie of a key. A visitor's `session` comes along, under the id that is returned ("" where it did not). A server that makes
 * no cookies gets the key with every request instead: it is kept in this tab only.
 */
export async function logIn(key, session) {
  forgetRefusals();
  keepAccessKey("");
  const headers = { Authorization: `Bearer ${key}` };
  try {
    const given = await request("v1/login", { method: "POST", body: session ? { session } : {}, headers, once: true });
    return noteIdentity(await bodyOf(given)).session;
  } catch (problem) {
    if (problem.kind !== "login-off") throw problem;
    keepAccessKey(key);
    return session ?? "";
  }
}

/** Ends the cookie, here and on the server. */
export async function logOut() {
  await request("v1/logout", { method: "POST" });
  forgetRefusals();
}

const turnsOf = (session) => `v1/sessions/${encodeURIComponent(session)}/turns`;

function streamed(lastEventId) {
  return { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) };
}

const getJson = async (path) => bodyOf(await request(path, {}));

function bodyOf(response) {
  return response.json().catch(() => {
    throw new Unreachable("the answer broke off");
  });
}

async function request(path, { once = false, ...how }) {
  let response = await ask(path, how);
  if (!response.ok && !once && (await mended(response, how.method ?? "GET", ask))) response = await ask(path, how);
  if (response.ok) return response;
  throw await problemOf(response);
}

async function ask(path, { method = "GET", body, headers = {}, ...how }) {
  const sent = { ...identityHeaders(method), ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  try {
    return await fetch(address(path), { method, headers: sent, body: body && JSON.stringify(body), cache: "no-store", ...how });
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

async function problemOf(response) {
  const told = await response.json().catch(() => ({})); // a proxy's page is HTML
  const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
  return new Problem({ ...told, status: response.status }, Number.isFinite(retryAfter) ? retryAfter : null);
}

/** Relative to the page, so that it also works below a path prefix; the API's own paths are made so too. */
function address(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI);
}
