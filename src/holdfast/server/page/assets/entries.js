// What is shown, one object an entry: what the user said, and the answer to it in whatever state that is.

/**
 * An answer's states: "working" (streams, waits for earlier ones, or will be sent), "lost" (the connection is being made
 * again), "silent" (a person has the conversation: there is no answer, and nothing is shown), "parked" (waits for `waitingFor`, "" where that is not known, until `deadline` at the longest), "stopped" (cancelled;
 * keeps what was said), "failed" (with `problem`), "done".
 *
 * `stopping`: its end was asked for; `telling`: so was what it waits for. `refusal`: {of: "stop" or "tell", problem} where that
 * could not be delivered. `restarted`: what was shown was dropped, "here" or "elsewhere".
 */
export function liveAnswer(turnId, input, { interrupts = false, stopping = false, waitingFor = "" } = {}) {
  const asked = { input, interrupts, stopping, telling: false, refusal: null };
  const seen = { state: "working", stage: "send", waitingFor, deadline: 0, restarted: "", wasLost: false };
  return { ...blank("assistant", turnId), ...asked, ...seen };
}

export function userEntry(turnId, text) {
  return { ...blank("user", turnId), text };
}

/** Entries of the messages that have something to show: a tool's messages do not. `next` is the entry that comes after them. */
export function entriesOf(messages, next = null) {
  const silent = new Set(messages.filter(({ metadata }) => metadata?.handover === "waiting").map(({ turn_id: turnId }) => turnId));
  const shown = messages.filter(({ role, content }) => (role === "user" || role === "assistant") && content);
  const entries = shown.map((message) => entryOf(message, silent.has(message.turn_id)));
  return entries.flatMap((entry, at) => (isUnanswered(entry, entries[at + 1] ?? next) ? [entry, unanswered(entry)] : [entry]));
}

/** Whether there is nothing more to come. */
export const isOver = ({ state }) => state === "stopped" || state === "failed" || state === "done" || state === "silent";

/** Whether a person said it. */
export const isPersons = ({ metadata }) => metadata?.by === "person";

function entryOf(message, silent) {
  return {
    ...blank(message.role, message.turn_id),
    key: `${message.turn_id}/${message.role}/${message.index}`,
    text: message.content,
    citations: message.citations,
    metadata: message.metadata,
    node: message.metadata?.node ?? "",
    state: message.metadata?.cancelled ? "stopped" : silent ? "silent" : "done",
  };
}

/** The log holds whole turns only: this one was cancelled before a word was said. */
const isUnanswered = (entry, next) => entry.role === "user" && entry.turnId !== "" && entry.state !== "silent" && next?.role !== "assistant";
const unanswered = ({ turnId }) => ({ ...blank("assistant", turnId), state: "stopped" });

/** One event of the turn's stream, applied to its answer. */
export function applyEvent(answer, event) {
  if (answer.state === "parked" && saysNothingNew(event)) return;
  answer.wasLost ||= event.type === "lost";
  switch (event.type) {
    case "status":
      answer.stage = event.stage;
      break;
    case "busy":
      answer.stage = "waiting";
      break;
    case "token":
      answer.text += event.text;
      answer.stage = "answer"; // until another is told
      break;
    case "citations":
      answer.citations = event.citations;
      break;
    case "restarted":
      restart(answer);
      break;
    case "parked":
      park(answer, event);
      return;
    case "done":
      finish(answer, event);
      return;
    default: // a newer server's event, or a stage's own
  }
  if (answer.state === "parked") Object.assign(answer, { waitingFor: "", telling: false, refusal: null });
  answer.state = event.type === "lost" ? "lost" : "working";
}

/** Nobody needs the connection of a turn that waits, nor hears that it waits for others. */
function saysNothingNew({ type, stage }) {
  return type === "lost" || type === "busy" || stage === "waiting";
}

function restart(answer) {
  if (answer.text && answer.state !== "parked") answer.restarted = answer.wasLost ? "elsewhere" : "here";
  answer.text = "";
  answer.citations = [];
}

function park(answer, { waiting_for: waitingFor, left }) {
  answer.state = "parked";
  answer.waitingFor = waitingFor || answer.waitingFor; // a node that did not run the turn does not know it
  answer.deadline = left > 0 ? Date.now() + left * 1000 : 0;
}

function finish(answer, outcome) {
  const silent = !outcome.reply && outcome.metadata?.handover === "waiting";
  answer.state = outcome.status === "cancelled" ? "stopped" : silent ? "silent" : "done";
  answer.text = outcome.reply;
  answer.citations = outcome.citations;
  answer.metadata = outcome.metadata;
  answer.node = outcome.node;
  answer.version = outcome.version;
  answer.attempts = outcome.attempts;
}

function blank(role, turnId) {
  return {
    key: `${turnId}/${role}`,
    role,
    turnId,
    text: "",
    citations: [],
    metadata: {},
    node: "",
    version: null,
    attempts: 1,
    state: "done",
    stage: "",
    problem: null,
  };
}
