import { grouped, titleOf } from "./citations.js";
import { html, useLayoutEffect, useRef } from "./html.js";
import { languageOf, reasonOf } from "./i18n.js";
import { leaf } from "./icons.js";
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
export function Answer({ texts, entry, onSource, onRetry }) {
  const working = entry.state === "working" || entry.state === "lost";
  return html`
    <article class="message answer" aria-label=${texts.assistant} aria-busy=${working} data-state=${entry.state}>
      <${Reply} texts=${texts} entry=${entry} streaming=${working} onSource=${onSource} />
      ${working && html`<${Progress} texts=${texts} entry=${entry} />`}
      ${entry.state === "stopped" && html`<${Stopped} texts=${texts} onRetry=${onRetry} />`}
      ${entry.state === "failed" && html`<${Failed} texts=${texts} entry=${entry} onRetry=${onRetry} />`}
      ${entry.citations.length > 0 && html`<${Sources} texts=${texts} entry=${entry} onSource=${onSource} />`}
      ${entry.state === "done" && html`<${Origin} texts=${texts} entry=${entry} />`}
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

function Progress({ texts, entry }) {
  const lost = entry.state === "lost";
  // while the words come, they are the progress
  if (!lost && entry.text && (entry.stage === "answer" || entry.stage === "model")) {
    return html`<p class="progress writing" role="status"><span class="visually-hidden">${texts.stages.answer}</span><${Dots} /></p>`;
  }
  const what = lost ? texts.lost : (texts.stages[entry.stage] ?? texts.stageOther);
  return html`<p class="progress" role="status" data-lost=${lost}>${what}<${Dots} /></p>`;
}

function Dots() {
  return html`<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>`;
}

function Stopped({ texts, onRetry }) {
  return html`
    <div class="notice">
      <p>${texts.stopped}</p>
      <button class="link" type="button" onClick=${onRetry}>${texts.showAnswer}</button>
    </div>
  `;
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

/** How the answer was made and which node served it: as much of it as is known. */
function Origin({ texts, entry }) {
  const { metadata, node, version, attempts } = entry;
  const made = metadata.fallback ? texts.fallback : texts.modes[metadata.mode];
  const served = [
    node && texts.answeredBy(node),
    version !== null && texts.version(version),
    attempts > 1 && texts.attempts(attempts),
  ].filter(Boolean);
  if (!made && served.length === 0) return null;
  return html`
    <p class="origin">
      ${made && html`<span class="made">${leaf()}${made}</span>`}
      ${served.length > 0 && html`<span class="served">${served.join(" · ")}</span>`}
    </p>
  `;
}
