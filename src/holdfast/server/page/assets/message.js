import { grouped, titleOf } from "./citations.js";
import { html, useLayoutEffect, useRef } from "./html.js";
import { languageOf, reasonOf, timeOf } from "./i18n.js";
import { isPersons } from "./entries.js";
import { leaf, person, square } from "./icons.js";
import { fragmentOf } from "./markdown.js";

/** What the user said: plain text, as it was written. */
export function UserMessage({ texts, entry }) {
  return html`
    <article class="message user" aria-label=${texts.you}>
      <p class="bubble" lang=${languageOf(entry.text)}>${entry.text}</p>
    </article>
  `;
}

/** The answer in whatever state it is, its sources, and who gave it. */
export function Answer({ texts, entry, onSource, onRetry, onCancel, onDecide, onTrace }) {
  const { state } = entry;
  if (isPersons(entry)) return html`<${PersonsMessage} texts=${texts} entry=${entry} />`;
  if (state === "silent") return null;
  const working = state === "working" || state === "lost";
  const open = working || state === "parked";
  return html`
    <article class="message answer" aria-label=${texts.assistant} aria-busy=${working} data-state=${state}>
      <${Reply} texts=${texts} entry=${entry} streaming=${working} onSource=${onSource} />
      ${(working || (open && entry.stopping)) && html`<${Progress} texts=${texts} entry=${entry} onCancel=${onCancel} />`}
      ${state === "parked" &&
      !entry.stopping &&
      html`<${Parked} texts=${texts} entry=${entry} onCancel=${onCancel} onDecide=${onDecide} />`}
      ${open && entry.refusal && html`<${Refusal} texts=${texts} entry=${entry} />`}
      ${state === "failed" && html`<${Failed} texts=${texts} entry=${entry} onRetry=${onRetry} />`}
      ${entry.citations.length > 0 && html`<${Sources} texts=${texts} entry=${entry} onSource=${onSource} />`}
      ${(state === "done" || state === "stopped") && html`<${Origin} texts=${texts} entry=${entry} onTrace=${onTrace} />`}
    </article>
  `;
}

/** What a person said in the assistant's place. */
function PersonsMessage({ texts, entry }) {
  const name = entry.metadata.name || texts.person;
  return html`
    <article class="message answer person" aria-label=${name} data-state=${entry.state}>
      <p class="person-name">${person()}${name}</p>
      <${Reply} texts=${texts} entry=${entry} streaming=${false} onSource=${() => {}} />
    </article>
  `;
}

/** The Markdown is put in by hand: Preact keeps an element without children as it finds it. */
function Reply({ texts, entry, streaming, onSource }) {
  const element = useRef(null);
  const { text, citations } = entry;

  useLayoutEffect(() => {
    const sources = citations.length;
    element.current.replaceChildren(fragmentOf(text, { sources, streaming, sourceLabel: texts.source }));
  }, [text, citations, streaming, texts]);

  function click(event) {
    const number = Number(event.target.closest?.("button[data-source]")?.dataset.source);
    if (number) onSource(citations, number);
  }

  return html`<div class="reply" ref=${element} lang=${languageOf(text)} onClick=${click}></div>`;
}

function Progress({ texts, entry, onCancel }) {
  const { state, stage, text, stopping, restarted } = entry;
  const lost = state === "lost";
  const waits = stage === "waiting" && !lost && !stopping;
  const written = text && stage === "answer"; // while the words come, they are the progress
  const quiet = written && !lost && !stopping && !restarted;
  const what = stopping
    ? texts.stopping
    : lost
      ? texts.lost
      : restarted
        ? texts.restarted[restarted]
        : (texts.stages[stage] ?? texts.stageOther);
  return html`
    <p class="progress" data-lost=${lost}>
      <span role="status" class=${quiet ? "visually-hidden" : ""}>${what}</span>
      ${waits ? html`<button class="link" type="button" onClick=${onCancel}>${texts.cancel}</button>` : html`<${Dots} />`}
    </p>
  `;
}

/** An answer that waits for somebody's word: for how long, and what can be said. */
function Parked({ texts, entry, onCancel, onDecide }) {
  const { waitingFor, deadline, telling } = entry;
  const approvable = waitingFor === "approval";
  return html`
    <div class="notice parked">
      <p role="status">
        ${telling ? texts.told : approvable ? texts.approval : texts.parked(waitingFor)}
        ${!telling && deadline > 0 && html`<span class="detail">${texts.parkedUntil(timeOf(deadline, texts))}</span>`}
      </p>
      ${!telling &&
      html`<p class="choices">
        ${approvable &&
        html`
          <button class="solid" type="button" onClick=${() => onDecide(true)}>${texts.approve}</button>
          <button class="hollow" type="button" onClick=${() => onDecide(false)}>${texts.decline}</button>
        `}
        <button class="link" type="button" onClick=${onCancel}>${texts.cancel}</button>
      </p>`}
    </div>
  `;
}

/** What the user asked for could not be delivered. */
function Refusal({ texts, entry }) {
  const { of, problem } = entry.refusal;
  return html`
    <div class="notice bad" role="alert">
      <p>${of === "stop" ? texts.notStopped : texts.notTold}</p>
      <${Reason} texts=${texts} problem=${problem} />
    </div>
  `;
}

function Dots() {
  return html`<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>`;
}

/** Why, as far as it helps: that nobody answered, that there is too much to do, or the server's own words. */
function Reason({ texts, problem }) {
  if (!problem.status || problem.temporary) return html`<p class="detail">${reasonOf(problem, texts)}</p>`;
  return html`<p class="detail" lang="en">${problem.message}</p>`;
}

function Failed({ texts, entry, onRetry }) {
  const { problem } = entry;
  return html`
    <div class="notice bad" role="alert">
      <p>${reasonOf(problem, texts)}</p>
      ${problem.status > 0 && html`<p class="detail" lang="en">${problem.message}</p>`}
      ${!problem.sessionMissing && html`<button class="link" type="button" onClick=${onRetry}>${texts.tryAgain}</button>`}
    </div>
  `;
}

function Sources({ texts, entry, onSource }) {
  return html`
    <ul class="sources" aria-label=${texts.sources}>
      ${grouped(entry.citations).map(
        ({ citation, numbers }) => html`
          <li key=${numbers[0]}>
            <button class="chip" type="button" onClick=${() => onSource(entry.citations, numbers[0])} title=${citation.document}>
              ${numbers.map((number) => html`<span class="mark">${number}</span>`)}
              <span class="chip-title" lang=${languageOf(titleOf(citation))}>${titleOf(citation)}</span>
              ${typeof citation.page === "number" && html`<span class="chip-page">${texts.page(citation.page)}</span>`}
            </button>
          </li>
        `,
      )}
    </ul>
  `;
}

/** How the answer was made or ended, and which node served it: as much of it as is known. */
function Origin({ texts, entry, onTrace }) {
  const { state, text, metadata, node, version, attempts } = entry;
  const stopped = state === "stopped" && (text ? texts.stopped : texts.unanswered);
  const made = stopped || (metadata.fallback ? texts.fallback : texts.modes[metadata.mode]);
  const served = [
    node && texts.answeredBy(node),
    version !== null && texts.version(version),
    attempts > 1 && texts.attempts(attempts),
  ].filter((known) => known && (text || !stopped)); // what was not answered was answered by nobody
  const traced = onTrace && entry.turnId && metadata?.handover !== "ended"; // a person's turn has nothing to tell
  if (!made && served.length === 0 && !traced) return null;
  return html`
    <p class="origin">
      ${made && html`<span class="made" data-stopped=${Boolean(stopped)}>${stopped ? square() : leaf()}${made}</span>`}
      ${served.length > 0 && html`<span class="served">${served.join(" · ")}</span>`}
      ${traced && html`<button class="link" type="button" onClick=${onTrace}>${texts.trace.open}</button>`}
    </p>
  `;
}
