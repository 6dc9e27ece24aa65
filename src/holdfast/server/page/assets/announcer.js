import { html } from "./html.js";
import { languageOf } from "./i18n.js";

/** Reads a finished answer out to screen readers, once and whole: announced word by word as it streams, it would stutter. */
export function Announcer({ entries }) {
  const last = entries.at(-1);
  const givenHere = last?.role === "assistant" && last.input !== undefined; // not one that was loaded
  const said = givenHere && last.state === "done" ? last.text : "";
  return html`<div class="visually-hidden" aria-live="polite" lang=${languageOf(said)}>${said}</div>`;
}
