// Who this browser is to the server: by a cookie that no script can read, and a token that shows that this page is the server's own.
import { forThisTab } from "./memory.js";

const VISIT = { method: "POST" };

let visiting = null; // one visit at a time: two would make two visitors
let visitsOff = false;

/** What a request has to carry beside the cookie. A key stands here only where the server makes no cookies. */
export function identityHeaders(method) {
  const key = forThisTab.recall("access-key");
  if (key) return { Authorization: `Bearer ${key}` };
  const csrf = forThisTab.recall("csrf");
  return csrf && method !== "GET" ? { "X-Holdfast-CSRF": csrf } : {};
}

/** Keeps the token that came with an identity. */
export function noteIdentity(identity) {
  if (identity.csrf) forThisTab.keep("csrf", identity.csrf);
  return identity;
}

/** After a login, or where a page is opened: what was refused before may be allowed now. */
export function forgetRefusals() {
  visitsOff = false;
}

/** Keeps a key in this tab, or forgets it (""). */
export const keepAccessKey = (key) => forThisTab.keep("access-key", key);

/**
 * Whether a refused request may go well the second time: because this browser has become a visitor, or has learned the token of a
 * cookie that another tab got. `ask(path, how)` sends a request and gives the response.
 */
export async function mended(response, method, ask) {
  if (response.status === 401 && !forThisTab.recall("access-key")) return visit(ask);
  if (response.status !== 403 || method === "GET") return false;
  const told = await response.clone().json().catch(() => ({}));
  return told.type === "/problems/cross-site" && learned(await ask("v1/me", {}));
}

async function visit(ask) {
  if (visitsOff) return false;
  visiting ??= ask("v1/visit", VISIT).then(learned).finally(() => (visiting = null));
  const begun = await visiting;
  visitsOff = !begun;
  return begun;
}

async function learned(response) {
  if (response.ok) noteIdentity(await response.json());
  return response.ok;
}
