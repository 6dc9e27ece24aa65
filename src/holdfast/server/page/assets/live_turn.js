// One turn from its sending to its end: followed, cancelled, told what it waits for.
import { Problem, cancelTurn, sendSignal } from "./api.js";
import { applyEvent, isOver } from "./entries.js";
import { insist } from "./patience.js";
import { followTurn } from "./turn_stream.js";

const UNHEARD = 2; // times that the server may not know a turn that was sent: its request can be under way

/**
 * Turns are sent in order: each once the one `before` it was accepted. One that has to wait for others is let go of until it is
 * its time: the server has it, and the browser has few connections.
 *
 * `session` gives the session's id, and makes one; `changed` is called after every change, with true where a reload has to know.
 */
export class LiveTurn {
  #before;
  #session;
  #places;
  #changed;
  #over = new AbortController(); // the turn has ended, or the conversation was left
  #stream = new AbortController(); // it is not followed (any more)
  #turn = null; // as the API names it; null before it was sent
  #cancelling = null;

  constructor(answer, { before, session, places, changed }) {
    this.answer = answer;
    this.#before = before;
    this.#session = session;
    this.#places = places;
    this.#changed = changed;
    this.accepted = opening();
    this.passed = opening(); // nobody has to wait for it any more
    this.#over.signal.addEventListener("abort", () => this.#stream.abort());
  }

  /** To its end; what went wrong is the answer's `problem`. Gives false where the conversation was left before. */
  async run() {
    const { answer } = this;
    if (!answer.interrupts && this.#before && !this.#before.passed.open) answer.stage = "waiting";
    try {
      await this.#before?.accepted.opened;
      if (!this.#stream.signal.aborted) await this.#follow();
    } catch (problem) {
      if (!this.#stream.signal.aborted) Object.assign(answer, { state: "failed", problem });
    }
    if (!isOver(answer)) await this.#cancelling;
    const left = !isOver(answer);
    this.leave();
    return !left;
  }

  /** Stops following, without a word. The server finishes the turn. */
  leave() {
    this.#over.abort();
    this.accepted.pass();
    this.passed.pass();
    this.#before = null;
  }

  /** Ends the turn with what it has said, wherever it runs. */
  cancel() {
    const { answer } = this;
    if (answer.stopping || isOver(answer)) return;
    Object.assign(answer, { stopping: true, refusal: null });
    this.#changed(true);
    this.#cancelling = this.#cancel();
  }

  /** Says what a parked turn waits for. */
  async tell(value) {
    const { answer } = this;
    Object.assign(answer, { telling: true, refusal: null });
    this.#changed();
    try {
      await insist(() => sendSignal(this.#turn, answer.waitingFor, value), { signal: this.#over.signal });
    } catch (problem) {
      if (this.#over.signal.aborted) return;
      Object.assign(answer, { telling: false, refusal: { of: "tell", problem } });
      this.#changed();
    }
  }

  async #follow() {
    const { answer } = this;
    const session = await this.#session();
    if (this.#stream.signal.aborted) return;
    const { turnId, input, interrupts } = answer;
    this.#turn = { session, turnId, input, interrupts, lastEventId: "", parked: false };
    if (answer.stopping) this.#cancelling ??= this.#cancel(); // asked for before a reload
    this.#changed(true);
    while (!(await this.#followUntilItWaits())) {
      await Promise.race([this.#before.passed.opened, aborted(this.#stream.signal)]);
      if (this.#stream.signal.aborted) return;
    }
  }

  /** False where it was let go of, because others are before it. */
  async #followUntilItWaits() {
    const { answer } = this;
    const { signal } = this.#stream;
    for await (const event of followTurn(this.#turn, { signal, places: this.#places })) {
      if (signal.aborted) return true;
      if (event.type !== "lost" && event.type !== "busy") this.accepted.pass();
      applyEvent(answer, event);
      if (event.type === "parked") this.passed.pass();
      this.#changed(event.type === "parked");
      if (event.stage === "waiting" && this.#before && !this.#before.passed.open) return false;
    }
    return true;
  }

  async #cancel() {
    const { answer } = this;
    try {
      if (this.#turn) await this.#cancelSent();
      else answer.state = "stopped";
    } catch (problem) {
      if (this.#over.signal.aborted || isOver(answer)) return;
      if (isUnknown(problem)) answer.state = "stopped"; // it never arrived
      else if (this.#stream.signal.aborted) Object.assign(answer, { state: "failed", problem });
      else Object.assign(answer, { stopping: false, refusal: { of: "stop", problem } });
    }
    if (isOver(answer)) this.#stream.abort();
    this.#changed(true);
  }

  async #cancelSent() {
    const ask = () =>
      cancelTurn(this.#turn).catch((problem) => {
        if (isUnknown(problem)) this.#stream.abort(); // nor is it to be sent again
        throw problem;
      });
    const despite = (problem, failures) => isUnknown(problem) && failures < UNHEARD;
    const ended = await insist(ask, { signal: this.#over.signal, despite });
    if (ended.status !== "cancelling" && !isOver(this.answer)) applyEvent(this.answer, { ...ended, type: "done" });
  }
}

const isUnknown = (problem) => problem instanceof Problem && problem.kind === "turn-not-found";

const aborted = (signal) => new Promise((resolve) => signal.addEventListener("abort", resolve));

/** Something that is awaited, and can be asked whether it is there: `opened`, `open`, and `pass()`, which lets all through. */
function opening() {
  const gate = { open: false };
  gate.opened = new Promise((resolve) => {
    gate.pass = () => {
      gate.open = true;
      resolve();
    };
  });
  return gate;
}
