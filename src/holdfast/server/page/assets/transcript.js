import { html, useRef, useState } from "./html.js";
import { arrowDown } from "./icons.js";
import { isPersons } from "./entries.js";
import { Answer, UserMessage } from "./message.js";
import { useEndInSight } from "./scrolling.js";

/** The conversation itself, or what is said where there is none. */
export function Transcript({ texts, conversation, onSource, onExample, onNew, onReload, onTrace }) {
  const scroller = useRef(null);
  const { away, toEnd, keepPlace } = useEndInSight(scroller);
  const { phase, entries, earlier } = conversation;

  return html`
    <main class="scroller" ref=${scroller}>
      <div class="column">
        ${phase === "new" && entries.length === 0 && html`<${Welcome} texts=${texts} onExample=${onExample} />`}
        ${phase === "loading" && html`<p class="progress" role="status">${texts.loading}</p>`}
        ${phase === "failed" && html`<${Offer} say=${texts.loadFailed} label=${texts.tryAgain} onClick=${onReload} />`}
        ${earlier > 0 && html`<${Earlier} texts=${texts} load=${() => (keepPlace(), conversation.loadEarlier())} />`}
        ${entries.length > 0 &&
        html`
          <section class="entries" aria-label=${texts.conversationLabel}>
            ${entries.map((entry) =>
              entry.role === "user"
                ? html`<${UserMessage} key=${entry.key} texts=${texts} entry=${entry} />`
                : html`<${Answer}
                    key=${entry.key}
                    texts=${texts}
                    entry=${entry}
                    onSource=${onSource}
                    onRetry=${() => (toEnd(), conversation.retry(entry))}
                    onCancel=${() => conversation.cancel(entry)}
                    onDecide=${(approved) => conversation.decide(entry, approved)}
                    onTrace=${onTrace && (() => onTrace(conversation.session, entry.turnId))}
                  />`,
            )}
          </section>
        `}
        ${conversation.withPerson && phase === "ready" && html`<${WithPerson} texts=${texts} entries=${entries} />`}
        ${phase === "missing" && html`<${Offer} say=${texts.missing} label=${texts.newConversation} onClick=${onNew} />`}
      </div>
      ${away &&
      html`<button class="round to-end" type="button" onClick=${toEnd} aria-label=${texts.latest} title=${texts.latest}>
        ${arrowDown()}
      </button>`}
    </main>
  `;
}

/** Why nothing answers at once. */
function WithPerson({ texts, entries }) {
  const answered = isPersons(entries.findLast(({ role }) => role === "assistant") ?? {});
  return html`<p class="notice with-person" role="status">${answered ? texts.withPerson : texts.waitingForPerson}</p>`;
}

function Welcome({ texts, onExample }) {
  return html`
    <section class="welcome">
      <h2>${texts.greeting}</h2>
      <p>${texts.greetingMore}</p>
      <ul class="examples" aria-label=${texts.examplesLabel}>
        ${texts.examples.map(
          (example) => html`<li key=${example}><button type="button" onClick=${() => onExample(example)}>${example}</button></li>`,
        )}
      </ul>
    </section>
  `;
}

function Offer({ say, label, onClick }) {
  return html`
    <section class="offer" role="alert">
      <p>${say}</p>
      <button class="solid" type="button" onClick=${onClick}>${label}</button>
    </section>
  `;
}

function Earlier({ texts, load }) {
  const [loading, setLoading] = useState(false);
  const click = () => {
    setLoading(true);
    load().catch(() => {}).finally(() => setLoading(false)); // the button stays, to be pressed again
  };
  return html`<p class="earlier"><button class="link" type="button" disabled=${loading} onClick=${click}>${texts.earlier}</button></p>`;
}
