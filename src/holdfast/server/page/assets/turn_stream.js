// Following one turn to its end, over as many connections as that takes. The turn id makes every repetition safe.
import { Problem, Unreachable, postTurn } from "./api.js";
import { readEvents } from "./sse.js";

const WAITS_MS = [400, 1000, 2000, 4000, 8000, 8000, 8000, 8000]; // without progress in between; then the user decides
const MOST_CONNECTIONS = 40;
const SILENCE_MS = 25_000; // the server sends a comment every 10 s: more silence is a dead connection that nobody closed

/**
 * Yields the API's events as {type, ...data}, and {type: "lost"} whenever the connection broke and is made again.
 * Ends after `done`; throws a `Problem` where the turn ended with one, `Unreachable` when it gave up.
 */
export async function* followTurn({ session, turnId, input, signal }) {
  let lastEventId = "";
  let failures = 0;
  for (let connection = 0; connection < MOST_CONNECTIONS; connection += 1) {
    const line = new Line(signal);
    let reason;
    try {
      const response = await postTurn({ session, turnId, input, lastEventId, signal: line.signal });
      for await (const event of readEvents(response.body, () => line.alive())) {
        lastEventId = event.id || lastEventId;
        if (event.type === "error") throw new Problem(event.data);
        if (event.type === "token") failures = 0;
        yield { ...event.data, type: event.type };
        if (event.type === "done") return;
      }
      reason = new Unreachable("the stream ended before the answer did");
    } catch (error) {
      reason = error;
    } finally {
      line.close();
    }
    if (signal.aborted) return;
    if (reason instanceof Problem && !reason.temporary) throw reason;
    if (failures >= WAITS_MS.length) throw reason;
    yield { type: "lost" };
    await pause(waitFor(failures, reason), signal);
    if (signal.aborted) return;
    failures += 1;
  }
  throw new Unreachable("the connection broke too often");
}

/** Half of the wait is chance: the users of a node that died do not all come back at once. */
function waitFor(failures, reason) {
  const wait = WAITS_MS[failures] * (0.5 + Math.random() / 2);
  return Math.max(wait, (reason.retryAfter ?? 0) * 1000);
}

/** Ends early when it is aborted, and when the browser comes back online. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, ms);
    function finish() {
      clearTimeout(timer);
      removeEventListener("online", finish);
      signal.removeEventListener("abort", finish);
      resolve();
    }
    addEventListener("online", finish);
    signal.addEventListener("abort", finish);
  });
}

/** One connection: aborted from outside, or by its own silence. */
class Line {
  #abort = new AbortController();
  #outside;
  #timer;

  constructor(outside) {
    this.#outside = outside;
    if (outside.aborted) this.#abort.abort();
    outside.addEventListener("abort", this.#stop);
    this.alive();
  }

  get signal() {
    return this.#abort.signal;
  }

  alive() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#stop, SILENCE_MS);
  }

  close() {
    clearTimeout(this.#timer);
    this.#outside.removeEventListener("abort", this.#stop);
  }

  #stop = () => this.#abort.abort();
}
