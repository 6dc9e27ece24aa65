// The conversation as this page knows it: what is shown, and what can be done with it. It draws nothing.
import { createSession, getMessages } from "./api.js";
import { applyEvent, entriesOf, liveAnswer, userEntry } from "./entries.js";
import { forThisTab } from "./memory.js";
import { followTurn } from "./turn_stream.js";

const PAGE = 50;
const PENDING = "pending-turn"; // {session, turnId, input}: what a reload has to go on with

/**
 * Attributes: `session` (its id, or null before the first message), `phase` ("new", "loading", "ready", "missing", "failed"),
 * `problem` (with "failed"), `entries`, `earlier` (how many messages come before the first one), `live` (the answer that is
 * being given, or null). `changed` is called after every change, and `named` when the session's id is known.
 */
export class Conversation {
  #changed;
  #named;
  #abort = null; // of the stream that is being read
  #opening = 0; // only the latest `open` may write

  constructor({ changed, named }) {
    this.#changed = changed;
    this.#named = named;
    this.#clear(null, "new");
  }

  /** Shows a session's last messages, and goes on with a turn that this tab was waiting for. */
  async open(session) {
    this.leave();
    this.#clear(session, session ? "loading" : "new");
    this.#changed();
    if (!session) return;
    const opening = this.#opening;
    try {
      const { messages, start } = await getMessages(session, { limit: PAGE });
      if (opening !== this.#opening) return;
      this.entries = entriesOf(messages);
      this.earlier = start;
      this.phase = "ready";
    } catch (problem) {
      if (opening !== this.#opening) return;
      this.#failed(problem);
    }
    this.#changed();
    if (this.phase === "ready") this.#goOn();
  }

  async loadEarlier() {
    const { session, earlier } = this;
    const start = Math.max(0, earlier - PAGE);
    const { messages } = await getMessages(session, { start, limit: earlier - start });
    if (session !== this.session || earlier !== this.earlier) return;
    this.entries = [...entriesOf(messages), ...this.entries];
    this.earlier = start;
    this.#changed();
  }

  /** Leaves this conversation for a new one, which the server makes with its first message. */
  startNew() {
    this.leave();
    this.#clear(null, "new");
    this.#named(null);
    this.#changed();
  }

  /** Stops reading, without a word. The server finishes the turn. */
  leave() {
    this.#opening += 1;
    this.#abort?.abort();
    this.#abort = null;
    this.live = null;
  }

  send(text) {
    if (this.live) return;
    const turnId = crypto.randomUUID?.() ?? randomId();
    this.#show(turnId, text);
  }

  /** Stops showing the answer. The API has no way to call a turn back: it is finished, and kept. */
  stop() {
    const answer = this.live;
    if (!answer) return;
    this.leave();
    answer.state = "stopped";
    this.#changed();
  }

  /** Asks again for an answer that was stopped or failed: under the same turn id, unless that is used up. */
  retry(answer) {
    if (this.live) return;
    if (answer.problem?.isFinal) {
      this.entries = this.entries.filter((entry) => entry.turnId !== answer.turnId);
      this.send(answer.input);
    } else {
      this.#follow(answer);
    }
  }

  /** Goes on with the turn that was running when the page was reloaded, unless it is committed already. */
  #goOn() {
    const pending = forThisTab.recall(PENDING);
    if (pending?.session !== this.session) return;
    if (this.entries.some((entry) => entry.turnId === pending.turnId)) forThisTab.forget(PENDING);
    else this.#show(pending.turnId, pending.input);
  }

  #show(turnId, text) {
    const answer = liveAnswer(turnId, text);
    this.entries = [...this.entries, userEntry(turnId, text), answer];
    return this.#follow(answer);
  }

  async #follow(answer) {
    const abort = new AbortController();
    this.#abort = abort;
    this.live = answer;
    Object.assign(answer, { state: "working", stage: "send", problem: null });
    this.#changed();
    try {
      await this.#ensureSession(abort.signal);
      if (abort.signal.aborted) return;
      const turn = { session: this.session, turnId: answer.turnId, input: answer.input };
      forThisTab.keep(PENDING, turn);
      for await (const event of followTurn({ ...turn, signal: abort.signal })) {
        if (abort.signal.aborted) return;
        applyEvent(answer, event);
        this.#changed();
      }
    } catch (problem) {
      if (abort.signal.aborted) return;
      Object.assign(answer, { state: "failed", problem });
    }
    if (abort.signal.aborted) return;
    this.#ended(answer);
  }

  #ended(answer) {
    this.live = null;
    this.#abort = null;
    if (answer.problem?.sessionMissing) this.phase = "missing";
    if (answer.state === "done" || answer.problem?.isFinal) forThisTab.forget(PENDING);
    this.#changed();
  }

  async #ensureSession(signal) {
    if (this.session) return;
    const { id } = await createSession();
    if (signal.aborted) return;
    this.session = id;
    this.phase = "ready";
    this.#named(id);
  }

  #failed(problem) {
    this.phase = problem.sessionMissing ? "missing" : "failed";
    this.problem = problem;
  }

  #clear(session, phase) {
    this.session = session;
    this.phase = phase;
    this.problem = null;
    this.entries = [];
    this.earlier = 0;
    this.live = null;
  }
}

/** Where the page is not served over HTTPS or from localhost, browsers withhold `randomUUID`. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
