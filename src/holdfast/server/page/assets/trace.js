// How an answer came about, as the server noted it: a timeline in a drawer.
import { getTrace } from "./api.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { cross } from "./icons.js";

/** A modal `dialog`: the browser keeps the focus in it, Esc closes it. */
export function TraceDrawer({ texts, session, turnId, onClose }) {
  const dialog = useRef(null);
  const { trace, problem } = useTrace(session, turnId);
  const close = () => dialog.current.close();
  const words = texts.trace;

  useLayoutEffect(() => dialog.current.showModal(), []);

  return html`
    <dialog
      class="drawer trace"
      ref=${dialog}
      aria-labelledby="trace-title"
      onClose=${onClose}
      onClick=${(event) => event.target === dialog.current && close()}
    >
      <div class="drawer-inner">
        <header class="drawer-head">
          <h2 id="trace-title">${words.title}</h2>
          <button class="quiet square" type="button" onClick=${close} aria-label=${texts.close} title=${`${texts.close} (Esc)`}>
            ${cross()}
          </button>
          <p class="place">${words.turn(turnId)}</p>
        </header>
        <div class="drawer-text" tabindex="0">
          ${!trace && !problem && html`<p class="progress" role="status">${words.loading}</p>`}
          ${problem && html`<p class="notice">${problem.kind === "trace-not-found" ? words.missing : words.failed}</p>`}
          ${trace?.attempts.map((attempt) => html`<${Attempt} key=${attempt.number} words=${words} attempt=${attempt} />`)}
        </div>
      </div>
    </dialog>
  `;
}

function Attempt({ words, attempt }) {
  const { number, ms, error, entries, left_out: leftOut } = attempt;
  return html`
    <section class="attempt" aria-label=${words.attempt(number)}>
      <h3>${words.attempt(number)}<span class="took">${words.ms(ms)}</span></h3>
      <ol class="timeline">
        ${entries.map((entry, at) => html`<${Note} key=${at} words=${words} entry=${entry} />`)}
      </ol>
      ${leftOut > 0 && html`<p class="detail">${words.leftOut(leftOut)}</p>`}
      ${error && html`<p class="notice bad">${error}</p>`}
    </section>
  `;
}

function Note({ words, entry }) {
  const { kind, at, data } = entry;
  const Body = BODIES[kind] ?? Anything;
  return html`
    <li class="note" data-kind=${kind}>
      <h4>${words.kinds[kind] ?? kind}<span class="took">${words.at(at)}</span></h4>
      <${Body} words=${words} data=${data} />
    </li>
  `;
}

function Understood({ words, data }) {
  const { ranked = [], entities = [], signals = [], intent, confidence, flow, language, reference, ...more } = data;
  const said = [
    [words.names.language, language],
    [words.names.signals, signals.join(", ")],
    [words.names.flow, flow],
    [words.names.intent, intent && `${intent} (${percent(confidence)})`],
    [words.names.reference, reference],
    ...entities.map(({ kind, value }) => [kind, value]),
  ];
  return html`
    <${Facts} facts=${said} />
    ${ranked.length > 0 && html`<${Bars} rows=${ranked.map(([name, score]) => ({ name, score, of: 1 }))} />`}
    ${!isEmpty(more) && html`<${Anything} words=${words} data=${more} />`}
  `;
}

function Stepped({ words, data }) {
  const { flow, step, line, ...more } = data;
  return html`
    <p class="where">${[flow, step, line > 0 && words.line(line)].filter((part) => part || part === 0).join(" › ")}</p>
    ${!isEmpty(more) && html`<${Anything} words=${words} data=${more} />`}
  `;
}

function Found({ words, data }) {
  const { question, earlier, relevant, passages = [], error, ...more } = data;
  const most = Math.max(...passages.map(({ score }) => score ?? 0), 0);
  const placed = ({ document, page, score }) => ({ name: page ? `${document} · ${page}` : document, score, of: most });
  return html`
    <${Facts}
      facts=${[
        [words.names.question, question],
        [words.names.earlier, earlier?.join(" / ")],
        [words.names.relevant, relevant === undefined ? "" : relevant ? words.yes : words.no],
        [words.names.error, error],
      ]}
    />
    ${passages.length > 0 && html`<${Bars} rows=${passages.map(placed)} />`}
    ${!isEmpty(more) && html`<${Anything} words=${words} data=${more} />`}
  `;
}

function Called({ words, data }) {
  const { name, tool, arguments: given, result, ms, error, ...more } = data;
  return html`
    <${Facts} facts=${[[words.names.tool, name ?? tool], [words.names.ms, ms === undefined ? "" : words.ms(ms)], [words.names.error, error]]} />
    <${Json} label=${words.names.arguments} value=${given} />
    <${Json} label=${words.names.result} value=${result} />
    ${!isEmpty(more) && html`<${Anything} words=${words} data=${more} />`}
  `;
}

function Asked({ words, data }) {
  const { model, ms, usage, prompts = [], text, failed, prompt_tokens: sent, completion_tokens: got, ...more } = data;
  const tokens = [usage?.prompt_tokens ?? sent, usage?.completion_tokens ?? got];
  return html`
    <${Facts}
      facts=${[
        [words.names.model, model],
        [words.names.tokens, tokens[0] === undefined ? "" : words.tokens(tokens[0], tokens[1] ?? 0)],
        [words.names.ms, ms === undefined ? "" : words.ms(ms)],
        [words.names.failed, failed],
      ]}
    />
    ${prompts.length > 0 &&
    html`
      <details>
        <summary>${words.prompts(prompts.length)}</summary>
        ${prompts.map(({ role, content }) => html`<p class="role">${role}</p><pre tabindex="0">${content}</pre>`)}
      </details>
    `}
    ${text &&
    html`
      <details>
        <summary>${words.names.text}</summary>
        <pre tabindex="0">${text}</pre>
      </details>
    `}
    ${!isEmpty(more) && html`<${Anything} words=${words} data=${more} />`}
  `;
}

/** Plain values in a line each, the rest as JSON. */
function Anything({ words, data }) {
  const plain = Object.entries(data).filter(([, value]) => typeof value !== "object");
  const rest = Object.entries(data).filter(([, value]) => value !== null && typeof value === "object" && !isEmpty(value));
  return html`
    <${Facts} facts=${plain.map(([name, value]) => [words.names[name] ?? name, value])} />
    ${rest.map(([name, value]) => html`<${Json} label=${words.names[name] ?? name} value=${value} />`)}
  `;
}

function Facts({ facts }) {
  const known = facts.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  if (known.length === 0) return null;
  return html`
    <dl class="facts">
      ${known.map(([name, value]) => html`<div><dt>${name}</dt><dd>${String(value)}</dd></div>`)}
    </dl>
  `;
}

function Bars({ rows }) {
  return html`
    <ul class="bars">
      ${rows.map(
        ({ name, score, of }) => html`
          <li>
            <span class="bar-name">${name}</span>
            <span class="bar-score">${typeof score === "number" ? shown(score) : ""}</span>
            <meter min="0" max=${of > 0 ? of : 1} value=${score ?? 0} aria-hidden="true"></meter>
          </li>
        `,
      )}
    </ul>
  `;
}

function Json({ label, value }) {
  if (value === undefined || value === null || isEmpty(value)) return null;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return html`<p class="role">${label}</p><pre tabindex="0">${text}</pre>`;
}

const BODIES = { understanding: Understood, flow: Stepped, search: Found, tool: Called, prompt: Asked, model: Asked };

const isEmpty = (value) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
const percent = (share) => `${Math.round(share * 100)}%`;
const shown = (score) => (Math.abs(score) >= 10 ? score.toFixed(1) : score.toFixed(3));

function useTrace(session, turnId) {
  const [found, setFound] = useState({ trace: null, problem: null });
  useEffect(() => {
    let wanted = true;
    getTrace(session, turnId).then(
      (trace) => wanted && setFound({ trace, problem: null }),
      (problem) => wanted && setFound({ trace: null, problem }),
    );
    return () => (wanted = false);
  }, [session, turnId]);
  return found;
}
