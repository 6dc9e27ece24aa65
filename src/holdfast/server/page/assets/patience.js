// When to ask again, and for how long.
import { Problem } from "./api.js";

const WAITS_MS = [400, 1000, 2000, 4000, 8000, 8000, 8000, 8000];
const INSISTING = 5; // repetitions, some 8 to 15 s: then the user is told

/** Whether so many failures in a row are enough: then the user decides. */
export const enough = (failures) => failures >= WAITS_MS.length;

/** Waits as long as is fit after so many failures and this one. Ends early when aborted, and when the browser comes back online. */
export function pauseAfter(failures, reason, signal) {
  // half of the wait is chance: the users of a node that died do not all come back at once
  const wait = WAITS_MS[Math.min(failures, WAITS_MS.length - 1)] * (0.5 + Math.random() / 2);
  return pause(Math.max(wait, (reason?.retryAfter ?? 0) * 1000), signal);
}

/** Asks until there is an answer, within reason. `despite`: refusals that may pass, beside those that say so themselves. */
export async function insist(ask, { signal, despite = () => false }) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await ask();
    } catch (problem) {
      const final = problem instanceof Problem && !problem.temporary && !despite(problem, failures);
      if (final || failures >= INSISTING || signal.aborted) throw problem;
      await pauseAfter(failures, problem, signal);
      if (signal.aborted) throw problem;
    }
  }
}

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
