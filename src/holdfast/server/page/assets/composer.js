import { html, useLayoutEffect, useRef } from "./html.js";
import { arrowToTop, arrowUp, square } from "./icons.js";

/**
 * Where the user writes, if the conversation is `open`. `most` characters may be sent. While there is a `running` answer it can be
 * stopped, and the server's `rule` says what becomes of another message: "queue" lets it wait, or go first where the user says so,
 * "interrupt" lets it go first, "reject" has it wait here.
 */
export function Composer({ texts, draft, onDraft, open, running, rule, most, onSend, onStop, field }) {
  const composed = useRef(false);
  const length = [...draft].length; // characters as the server counts them, not UTF-16 units
  const tooLong = most !== null && length > most;
  const taken = running === null || rule !== "reject";
  const sendable = open && taken && !tooLong && draft.trim() !== "";
  const queues = running !== null && rule === "queue";

  useLayoutEffect(() => {
    const { style } = field.current;
    style.height = "auto"; // shrinks too
    style.height = `${field.current.scrollHeight}px`; // the style sheet has the maximum
  }, [draft, queues]);

  function submit(event, now = false) {
    event?.preventDefault();
    if (sendable) onSend(draft, { now });
  }

  function keyDown(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    // The Enter that ends an input method's composition chooses a word. Safari ends the composition first, and says 229.
    if (event.isComposing || composed.current || event.keyCode === 229) return;
    event.preventDefault();
    submit(null, event.ctrlKey || event.metaKey);
  }

  return html`
    <form class="composer" onSubmit=${submit}>
      <div class="composer-box">
        <textarea
          ref=${field}
          rows="1"
          value=${draft}
          placeholder=${texts.inputHint}
          aria-label=${texts.inputLabel}
          aria-invalid=${tooLong}
          aria-describedby="composer-note"
          enterkeyhint="send"
          onInput=${(event) => onDraft(event.target.value)}
          onKeyDown=${keyDown}
          onCompositionStart=${() => (composed.current = true)}
          onCompositionEnd=${() => (composed.current = false)}
        />
        ${queues &&
        sendable &&
        html`<${Round} kind="now" label=${texts.sendNow} icon=${arrowToTop} onClick=${() => submit(null, true)} />`}
        ${running &&
        html`<${Round}
          kind="stop"
          label=${texts.stop}
          title=${`${texts.stop} (Esc)`}
          icon=${square}
          disabled=${running.stopping}
          onClick=${onStop}
        />`}
        ${taken && html`<${Round} kind="send" label=${texts.send} icon=${arrowUp} disabled=${!sendable} />`}
      </div>
      <p class="composer-note" id="composer-note" data-bad=${tooLong}>
        ${tooLong ? `${texts.tooLong(most)} (${length})` : running === null ? texts.keysHint : texts.busyHints[rule](CONTROL)}
      </p>
    </form>
  `;
}

/** Without `onClick`, it submits. */
function Round({ kind, label, title = label, icon, disabled = false, onClick }) {
  const type = onClick ? "button" : "submit";
  return html`
    <button class=${`round ${kind}`} type=${type} disabled=${disabled} onClick=${onClick} aria-label=${label} title=${title}>
      ${icon()}
    </button>
  `;
}

const CONTROL = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
