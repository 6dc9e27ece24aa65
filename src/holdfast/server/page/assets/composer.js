import { html, useLayoutEffect, useRef } from "./html.js";
import { arrowUp, square } from "./icons.js";

/** Where the user writes. `most` characters may be sent; while `busy`, the button stops instead. */
export function Composer({ texts, draft, onDraft, busy, most, onSend, onStop, field }) {
  const composed = useRef(false);
  const length = [...draft].length; // characters as the server counts them, not UTF-16 units
  const tooLong = most !== null && length > most;
  const sendable = !busy && !tooLong && draft.trim() !== "";

  useLayoutEffect(() => {
    const { style } = field.current;
    style.height = "auto"; // shrinks too
    style.height = `${field.current.scrollHeight}px`; // the style sheet has the maximum
  }, [draft]);

  function submit(event) {
    event?.preventDefault();
    if (sendable) onSend(draft);
  }

  function keyDown(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    // The Enter that ends an input method's composition chooses a word. Safari ends the composition first, and says 229.
    if (event.isComposing || composed.current || event.keyCode === 229) return;
    event.preventDefault();
    submit();
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
        ${busy
          ? html`<button class="round stop" type="button" onClick=${onStop} aria-label=${texts.stop} title=${`${texts.stop} (Esc)`}>
              ${square()}
            </button>`
          : html`<button class="round send" type="submit" disabled=${!sendable} aria-label=${texts.send} title=${texts.send}>
              ${arrowUp()}
            </button>`}
      </div>
      <p class="composer-note" id="composer-note" data-bad=${tooLong}>
        ${tooLong ? `${texts.tooLong(most)} (${length})` : texts.keysHint}
      </p>
    </form>
  `;
}
