// The session's id in the page's address, so that a reload or a bookmark finds the conversation again. It stands in the
// fragment: who knows the id can read the conversation, and fragments reach no server's or proxy's log.

/** The id in the address, or null. */
export function shownSession() {
  return new URLSearchParams(location.hash.slice(1)).get("s") || null;
}

/** Puts an id (or null) there; the back button does not collect every one of them. */
export function showSession(id) {
  const hash = id ? `#${new URLSearchParams({ s: id })}` : " ";
  history.replaceState(null, "", id ? hash : location.pathname + location.search);
}

/** Calls back when the user changes the address by hand, or follows a link to another conversation. */
export function onSessionChange(changed) {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
