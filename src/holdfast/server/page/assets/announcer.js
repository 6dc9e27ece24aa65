import { html } from "./html.js";
import { languageOf } from "./i18n.js";

/** Reads the answer that ended last out to screen readers, once and whole: word by word as it streams, it would stutter. */
export function Announcer({ texts, answer }) {
  const said = answer === null ? "" : wordsOf(answer, texts);
  return html`<div class="visually-hidden" aria-live="polite" lang=${languageOf(said)}>${said}</div>`;
}

function wordsOf({ state, text }, texts) {
  if (state === "stopped") return text ? texts.stopped : texts.unanswered;
  return state === "done" ? text : ""; // a failure is an alert of its own
}
