import { html, useRef, useState } from "./html.js";

/** Asks for an access key: of a server that wants one, or of a visitor who logs in. `onKey(key)` says whether it is good. */
export function AccessKey({ texts, label, onKey }) {
  const field = useRef(null);
  const [wrong, setWrong] = useState(false);
  async function submit(event) {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key) setWrong((await onKey(key)) === false);
  }
  return html`
    <form class="access-key" onSubmit=${submit}>
      <label for="access-key">${label}</label>
      <span class="access-key-row">
        <input id="access-key" type="password" autocomplete="off" ref=${field} placeholder=${texts.keyLabel} />
        <button class="solid" type="submit">${texts.keyUse}</button>
      </span>
      ${wrong && html`<p class="access-key-wrong" role="alert">${texts.keyWrong}</p>`}
    </form>
  `;
}
