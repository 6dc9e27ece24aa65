// The turns that this tab waits for, by conversation: what a reload has to go on with.
import { forThisTab } from "./memory.js";

const NAME = "pending-turns";

/** What was kept of a conversation's turns, in the order of their sending. */
export const pendingTurns = (session) => all().filter((turn) => turn.session === session);

/** Keeps these of a conversation, and forgets its others. Whoever clears them up names none. */
export function keepPending(session, turns) {
  const others = all().filter((turn) => turn.session !== session);
  forThisTab.keep(NAME, [...others, ...turns.map((turn) => ({ ...turn, session }))]);
}

const all = () => forThisTab.recall(NAME) ?? [];
