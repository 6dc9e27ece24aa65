import { getPassage } from "./api.js";
import { placeOf, quotedIn, titleOf } from "./citations.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { languageOf } from "./i18n.js";
import { cross } from "./icons.js";

/** The passages that an answer comes from, one at a time. A modal `dialog`: the browser keeps the focus in it, Esc closes it. */
export function Drawer({ texts, citations, number, onNumber, onClose }) {
  const dialog = useRef(null);
  const citation = citations[number - 1];
  const passage = usePassage(citation);
  const close = () => dialog.current.close();

  useLayoutEffect(() => dialog.current.showModal(), []);
  useLayoutEffect(() => dialog.current.querySelector("mark")?.scrollIntoView({ block: "center" }), [citation, passage]);

  return html`
    <dialog
      class="drawer"
      ref=${dialog}
      aria-labelledby="drawer-title"
      onClose=${onClose}
      onClick=${(event) => event.target === dialog.current && close()}
    >
      <div class="drawer-inner">
        <header class="drawer-head">
          <nav class="drawer-numbers" aria-label=${texts.sources}>
            ${citations.map(
              (_, index) => html`
                <button
                  class="mark"
                  type="button"
                  aria-label=${texts.source(index + 1)}
                  aria-current=${index + 1 === number}
                  onClick=${() => onNumber(index + 1)}
                >
                  ${index + 1}
                </button>
              `,
            )}
          </nav>
          <button class="quiet square" type="button" onClick=${close} aria-label=${texts.close} title=${`${texts.close} (Esc)`}>
            ${cross()}
          </button>
          <h2 id="drawer-title" lang=${languageOf(titleOf(citation))}>${titleOf(citation)}</h2>
          <p class="place">${placeOf(citation, texts)}</p>
        </header>
        <div class="drawer-text" tabindex="0" lang=${languageOf(citation.quote || citation.title)}>
          <${Passage} texts=${texts} citation=${citation} passage=${passage} />
        </div>
        ${/^https?:/i.test(citation.url ?? "") &&
        html`<p class="drawer-foot"><a href=${citation.url} target="_blank" rel="noopener noreferrer">${texts.openDocument}</a></p>`}
      </div>
    </dialog>
  `;
}

function Passage({ texts, citation, passage }) {
  if (passage === "loading") return html`<p class="progress" role="status">${texts.passageLoading}</p>`;
  const parts = passage && quotedIn(passage, citation);
  if (parts) return html`<p class="passage">${parts.before}<mark>${parts.quote}</mark>${parts.after}</p>`;
  return html`
    <p class="notice">${passage ? texts.passageChanged : texts.passageMissing}</p>
    <p class="passage"><mark>${citation.quote}</mark></p>
  `;
}

/** "loading", the passage, or null where there is none to be had. */
function usePassage(citation) {
  const [found, setFound] = useState({ of: null, passage: null });
  useEffect(() => {
    let wanted = true;
    const take = (passage) => wanted && setFound({ of: citation, passage });
    if (citation.passage_url) getPassage(citation.passage_url).then(take, () => take(null));
    else take(null);
    return () => (wanted = false);
  }, [citation]);
  return found.of === citation ? found.passage : "loading";
}
