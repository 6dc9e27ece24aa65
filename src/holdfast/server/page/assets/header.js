import { html } from "./html.js";
import { brand, moon, pen, sun } from "./icons.js";

/** The top bar: whose page this is, a new conversation, in or out, the language and the colours. */
export function Header({ texts, theme, account, onNew, onAccount, onLanguage, onTheme }) {
  const toggle = theme === "dark" ? texts.toLight : texts.toDark;
  return html`
    <header class="header">
      <h1 class="brand">${brand()}<span>${texts.title}</span></h1>
      <button class="quiet" type="button" onClick=${onNew} aria-label=${texts.newConversation} title=${texts.newConversation}>
        ${pen()}<span class="wide-only">${texts.newConversation}</span>
      </button>
      ${account && html`<button class="quiet" type="button" onClick=${onAccount}>${texts[account]}</button>`}
      <button
        class="quiet"
        type="button"
        lang=${texts.otherLanguageCode}
        onClick=${onLanguage}
        aria-label=${texts.switchLanguage}
        title=${texts.switchLanguage}
      >
        ${texts.otherLanguage}
      </button>
      <button class="quiet square" type="button" onClick=${onTheme} aria-label=${toggle} title=${toggle}>
        ${theme === "dark" ? sun() : moon()}
      </button>
    </header>
  `;
}
