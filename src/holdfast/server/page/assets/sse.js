// Server-sent events from the body of a fetch: EventSource can neither POST nor send headers.

/**
 * Yields {id, type, data} for every complete event; one that breaks off in the middle is dropped, as the standard says.
 * `onBytes` is called for every piece that arrives, comments too: a sign that the connection lives.
 */
export async function* readEvents(body, onBytes = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const event = new EventLines();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const whole = event.take(line);
        if (whole) yield whole;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever stops reading also closes the connection
  }
}

class EventLines {
  id = "";
  type = "";
  data = [];

  /** The event that this line ends, or null. */
  take(line) {
    if (line === "") return this.end();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id") this.id = value;
    return null;
  }

  end() {
    const { id, type, data } = this;
    this.type = "";
    this.data = [];
    return data.length ? { id, type: type || "message", data: JSON.parse(data.join("\n")) } : null;
  }
}
