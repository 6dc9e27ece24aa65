import { html, useRef } from "./html.js";

/** Asks for the access key of a server that wants one. */
export function AccessKey({ texts, onKey }) {
  const field = useRef(null);
  function submit(event) {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key) onKey(key);
  }
  return html`
    <form class="access-key" onSubmit=${submit}>
      <label for="access-key">${texts.keyNeeded}</label>
      <span class="access-key-row">
        <input id="access-key" type="password" autocomplete="off" ref=${field} placeholder=${texts.keyLabel} />
        <button class="solid" type="submit">${texts.keyUse}</button>
      </span>
    </form>
  `;
}
