// The conversation as this page knows it: what is shown, and what can be done with it. It draws nothing.
import { createSession, getMessages, getSession } from "./api.js";
import { entriesOf, isOver, isPersons, liveAnswer, userEntry } from "./entries.js";
import { LiveTurn } from "./live_turn.js";
import { keepPending, pendingTurns } from "./pending_turns.js";
import { Places } from "./places.js";

const PAGE = 50;
const LOOK_MS = 2_000; // how soon a person's words are seen
const LOOK_HIDDEN_MS = 10_000;
const PARKED = 2; // connections for turns that wait for somebody's word, of six that a browser has

/**
 * Attributes: `session` (its id, or null before the first message), `phase` ("new", "loading", "ready", "missing", "failed"),
 * `problem` (with "failed"), `entries`, `earlier` (how many messages come before the first one), `latest` (the answer that ended
 * last, or null), `withPerson` (a person has the conversation). `changed` is called after every change, and `named` when the session's id is known.
 */
export class Conversation {
  #changed;
  #named;
  #turns = []; // that have not ended, in the order of their sending
  #places = new Places(PARKED);
  #opening = 0; // only the latest `open` may write
  #looking = null; // the timer of the next look for a person's words, or the look itself
  #total = 0; // messages that the log had when it was looked at

  constructor({ changed, named }) {
    this.#changed = changed;
    this.#named = named;
    this.#clear(null, "new");
  }

  /** The answer that is being given, or null: others wait for it. */
  get running() {
    return this.#turns.find(({ answer }) => !isOver(answer) && answer.state !== "parked")?.answer ?? null;
  }

  /** Shows a session's last messages, and goes on with the turns that this tab was waiting for. */
  async open(session) {
    this.leave();
    this.#clear(session, session ? "loading" : "new");
    this.#changed();
    if (!session) return;
    const opening = this.#opening;
    try {
      const { messages, start, total } = await getMessages(session, { limit: PAGE });
      if (opening !== this.#opening) return;
      this.entries = entriesOf(messages);
      this.earlier = start;
      this.#total = total;
      this.phase = "ready";
      if (messages.some((message) => message.metadata?.handover || isPersons(message))) await this.#look();
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
    this.entries = [...entriesOf(messages, this.entries[0]), ...this.entries];
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

  /** Stops following, without a word. The server finishes the turns. */
  leave() {
    this.#opening += 1;
    clearTimeout(this.#looking);
    this.#looking = null;
    for (const turn of this.#turns) turn.leave();
    this.#turns = [];
  }

  /** With `interrupts`, what runs and waits is stopped for it; else the server's rule says whether it waits. */
  send(text, { interrupts = false } = {}) {
    this.#show(liveAnswer(crypto.randomUUID?.() ?? randomId(), text, { interrupts }));
    this.#remember();
  }

  /** Ends a turn, wherever it runs or waits; what was said is kept. */
  cancel(answer) {
    this.#turnOf(answer)?.cancel();
  }

  /** Says yes or no to an answer that waits for approval. */
  decide(answer, approved) {
    this.#turnOf(answer)?.tell({ approved });
  }

  /** Asks again for an answer that failed: under the same turn id, unless that is used up. */
  retry(answer) {
    if (answer.problem?.isFinal) {
      this.entries = this.entries.filter((entry) => entry.turnId !== answer.turnId);
      this.send(answer.input);
    } else {
      Object.assign(answer, { state: "working", stage: "send", problem: null, stopping: false, refusal: null });
      this.#follow(answer);
    }
  }

  /** Goes on with the turns that ran or waited when the page was reloaded, unless they are committed already. */
  #goOn() {
    const committed = new Set(this.entries.map(({ turnId }) => turnId));
    for (const { turnId, input, ...more } of pendingTurns(this.session)) {
      if (!committed.has(turnId)) this.#show(liveAnswer(turnId, input, more));
    }
    this.#remember();
  }

  #show(answer) {
    this.entries = [...this.entries, userEntry(answer.turnId, answer.input), answer];
    this.#follow(answer);
  }

  #follow(answer) {
    const turn = new LiveTurn(answer, {
      before: this.#turns.at(-1) ?? null,
      session: () => this.#ensureSession(),
      places: this.#places,
      changed: (lasting) => {
        if (lasting) this.#remember();
        this.#changed();
      },
    });
    this.#turns = [...this.#turns, turn];
    turn.run().then((ended) => ended && this.#ended(turn));
    this.#changed();
  }

  #ended(turn) {
    const { answer } = turn;
    this.#turns = this.#turns.filter((other) => other !== turn);
    this.latest = answer;
    if (answer.problem?.sessionMissing) this.phase = "missing";
    if (answer.metadata?.handover) this.#look();
    this.#remember();
    this.#changed();
  }

  /** While a person has the conversation, the page asks for new words: nothing that it sends could bring them. */
  async #look() {
    const { session } = this;
    const opening = this.#opening;
    clearTimeout(this.#looking);
    const looking = (this.#looking = {}); // a later look takes the place of this one
    const isLast = () => opening === this.#opening && looking === this.#looking;
    try {
      const { state, messages: total } = await getSession(session);
      if (!isLast()) return;
      if (total > this.#total) {
        const page = await getMessages(session, { start: this.#total, limit: Math.min(200, total - this.#total) });
        if (!isLast()) return;
        this.#total = page.start + page.messages.length;
        this.#take(entriesOf(page.messages));
      }
      this.withPerson = Boolean(state.handover);
    } catch (problem) {
      if (!isLast()) return;
      if (problem.sessionMissing) {
        this.withPerson = false;
        this.phase = "missing";
      } // else it is tried again
    }
    if (this.withPerson) this.#looking = setTimeout(() => this.#look(), document.hidden ? LOOK_HIDDEN_MS : LOOK_MS);
    this.#changed();
  }

  /** What is new in the log; turns of this page are shown already. */
  #take(entries) {
    const known = new Set(this.entries.map(({ turnId }) => turnId));
    const news = entries.filter(({ turnId }) => !known.has(turnId));
    if (news.length === 0) return;
    this.entries = [...this.entries, ...news];
    this.latest = news.findLast(({ role }) => role === "assistant") ?? this.latest;
  }

  #turnOf(answer) {
    return this.#turns.find((turn) => turn.answer === answer);
  }

  /** What a reload goes on with; also an answer that failed, and may be there all the same. */
  #remember() {
    if (!this.session) return;
    const open = ({ input, state, problem }) => input !== undefined && state !== "done" && state !== "stopped" && state !== "silent" && !problem?.isFinal;
    const kept = ({ turnId, input, interrupts, stopping, waitingFor }) => ({ turnId, input, interrupts, stopping, waitingFor });
    keepPending(this.session, this.entries.filter(open).map(kept));
  }

  /** Turns come here one after another: only the first can find none. */
  async #ensureSession() {
    if (!this.session) {
      const opening = this.#opening;
      const { id } = await createSession();
      if (opening !== this.#opening) return id; // left meanwhile: nobody wants it
      this.session = id;
      this.phase = "ready";
      this.#named(id);
    }
    return this.session;
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
    this.latest = null;
    this.withPerson = false;
    this.#total = 0;
  }
}

/** Where the page is not served over HTTPS or from localhost, browsers withhold `randomUUID`. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
