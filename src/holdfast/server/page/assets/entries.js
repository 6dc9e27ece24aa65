// What is shown, one object an entry: what the user said, and the answer to it in whatever state that is.

/**
 * An answer's states: "working" (streams, or will), "lost" (the connection is being made again), "stopped" (the user does
 * not watch any more), "failed" (with `problem`), "done".
 */
export function liveAnswer(turnId, input) {
  return { ...blank("assistant", turnId), input, state: "working", stage: "send" };
}

export function userEntry(turnId, text) {
  return { ...blank("user", turnId), text };
}

/** Entries of the messages that have something to show: a tool's messages do not. */
export function entriesOf(messages) {
  return messages
    .filter(({ role, content }) => (role === "user" || role === "assistant") && content)
    .map((message) => ({
      ...blank(message.role, message.turn_id),
      key: `${message.turn_id}/${message.role}/${message.index}`,
      text: message.content,
      citations: message.citations,
      metadata: message.metadata,
      node: message.metadata?.node ?? "",
    }));
}

/** One event of the turn's stream, applied to its answer. */
export function applyEvent(answer, event) {
  switch (event.type) {
    case "status":
      answer.stage = event.stage;
      break;
    case "token":
      answer.text += event.text;
      break;
    case "citations":
      answer.citations = event.citations;
      break;
    case "restarted":
      answer.text = "";
      answer.citations = [];
      break;
    case "done":
      finish(answer, event);
      break;
    default: // a newer server's event, or a stage's own
  }
  if (answer.state !== "done") answer.state = event.type === "lost" ? "lost" : "working";
}

function finish(answer, outcome) {
  answer.state = "done";
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
