// Following one turn to its end, over as many connections as that takes. The turn id makes every repetition safe.
import { Problem, Unreachable, getEvents, postTurn } from "./api.js";
import { enough, pauseAfter } from "./patience.js";
import { readEvents } from "./sse.js";

const MOST_CONNECTIONS = 40; // of a turn that runs; a parked one may take days
const SILENCE_MS = 25_000; // the server sends a comment every 10 s: more silence is a dead connection that nobody closed

/**
 * Yields the API's events as {type, ...data}, and whenever the connection is made again {type: "lost"}, or {type: "busy"} where
 * an earlier turn was in the way. `turn` ({session, turnId, input, interrupts, lastEventId, parked}) keeps how far it got, so
 * that it can be followed again from there.
 *
 * A turn that is parked is followed with GET, in one of the `places` for such. Ends after `done`; throws a `Problem` where the
 * turn ended with one, `Unreachable` when it gave up.
 */
export async function* followTurn(turn, { signal, places }) {
  let failures = 0; // without progress in between
  for (let connections = 0; connections < MOST_CONNECTIONS; connections += turn.parked ? 0 : 1) {
    const leavePlace = turn.parked ? await places.enter() : () => {};
    const line = new Line(signal);
    let reason = null;
    try {
      const response = await (turn.parked ? getEvents : postTurn)(turn, line.signal);
      for await (const event of readEvents(response.body, () => line.alive())) {
        turn.lastEventId = event.id || turn.lastEventId;
        if (event.type === "error") throw new Problem(event.data);
        if (event.type === "token" || event.type === "parked") failures = 0;
        turn.parked ||= event.type === "parked";
        yield { ...event.data, type: event.type };
        if (event.type === "done") return;
      }
      if (!turn.parked) reason = new Unreachable("the stream ended before the answer did");
    } catch (error) {
      reason = error;
    } finally {
      line.close();
      leavePlace();
    }
    if (signal.aborted) return;
    if (reason instanceof Problem && !reason.temporary) throw reason;
    if (reason && enough(failures) && !turn.parked) throw reason;
    if (reason) yield { type: reason.busy ? "busy" : "lost" };
    await pauseAfter(reason ? failures : 1, reason, signal);
    if (signal.aborted) return;
    if (reason && !reason.busy) failures += 1;
  }
  throw new Unreachable("the connection broke too often");
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
