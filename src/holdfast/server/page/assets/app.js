// The page: it owns the conversation, and what the user chose to see.
import { AccessKey } from "./access_key.js";
import { onSessionChange, showSession, shownSession } from "./address_bar.js";
import { getInfo, getMe, logIn, logOut } from "./api.js";
import { Announcer } from "./announcer.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Drawer } from "./drawer.js";
import { Header } from "./header.js";
import { html, render, useEffect, useReducer, useRef, useState } from "./html.js";
import { preferredLanguage, rememberLanguage, textsOf } from "./i18n.js";
import { onSystemTheme, shownTheme, switchTheme } from "./theme.js";
import { TraceDrawer } from "./trace.js";
import { Transcript } from "./transcript.js";

function App() {
  const redraw = useRedraw();
  const conversation = useConversation(redraw);
  const [language, setLanguage] = useState(preferredLanguage);
  const [info, setInfo] = useState(null);
  const [keyNeeded, setKeyNeeded] = useState(""); // the text that asks for it
  const [me, setMe] = useState(null);
  const [draft, setDraft] = useState("");
  const [source, setSource] = useState(null); // {citations, number} in the drawer
  const [traced, setTraced] = useState(null); // {session, turnId} in the drawer
  const field = useRef(null);
  const texts = textsOf(language);
  const online = useOnline(redraw);

  const load = () => {
    getInfo().then(
      (found) => (setInfo(found), setKeyNeeded(""), getMe().then(setMe, () => setMe(null))),
      (problem) => problem.status === 401 && setKeyNeeded("keyNeeded"),
    );
    conversation.open(shownSession());
  };
  useEffect(load, []);
  useEffect(() => onSessionChange(() => conversation.open(shownSession())), []);
  useEffect(() => onSystemTheme(redraw), []);
  useEffect(() => void (document.documentElement.lang = texts.htmlLanguage), [language]);
  useEffect(() => matchMedia("(hover: hover)").matches && field.current.focus(), []); // no keyboard over a phone's page
  useEscape(stop);

  function send(text, { now = false } = {}) {
    setDraft("");
    conversation.send(text, { interrupts: now && conversation.running !== null });
    field.current.focus();
  }

  function stop() {
    if (!conversation.running) return;
    conversation.cancel(conversation.running);
    field.current.focus(); // the button is about to go
  }

  function startNew() {
    const lost = conversation.phase === "missing" && conversation.entries.at(-1)?.input; // what could not be said any more
    conversation.startNew();
    if (lost) setDraft(lost);
    field.current.focus();
  }

  async function enter(key) {
    try {
      const session = await logIn(key, conversation.session);
      if (me?.visitor) showSession(session || null); // a visitor's conversation goes on under another id
    } catch (problem) {
      return problem.status !== 401 && null;
    }
    load();
    return true;
  }

  async function leave() {
    await logOut().catch(() => {}); // where the cookie was over already, the visit below makes another
    setMe(null);
    conversation.startNew();
    load();
  }

  function changeLanguage() {
    const other = language === "en" ? "zh" : "en";
    rememberLanguage(other);
    setLanguage(other);
  }

  return html`
    <${Header}
      texts=${texts}
      theme=${shownTheme()}
      account=${me?.csrf ? (me.visitor ? "logIn" : "logOut") : null}
      onAccount=${() => (me.visitor ? setKeyNeeded(keyNeeded ? "" : "logInLabel") : leave())}
      onNew=${startNew}
      onLanguage=${changeLanguage}
      onTheme=${() => (switchTheme(), redraw())}
    />
    <${Transcript}
      texts=${texts}
      conversation=${conversation}
      onSource=${(citations, number) => setSource({ citations, number })}
      onExample=${send}
      onNew=${startNew}
      onReload=${load}
      onTrace=${info?.trace ? (session, turnId) => setTraced({ session, turnId }) : null}
    />
    <footer class="foot">
      ${!online && html`<p class="banner" role="status">${texts.offline}</p>`}
      ${keyNeeded && html`<${AccessKey} texts=${texts} label=${texts[keyNeeded]} onKey=${enter} />`}
      <${Composer}
        texts=${texts}
        draft=${draft}
        onDraft=${setDraft}
        running=${conversation.running}
        rule=${info?.on_busy ?? "queue"}
        open=${conversation.phase !== "loading" && conversation.phase !== "failed"}
        most=${info?.max_input_chars ?? null}
        onSend=${send}
        onStop=${stop}
        field=${field}
      />
    </footer>
    ${source &&
    html`<${Drawer}
      texts=${texts}
      ...${source}
      onNumber=${(number) => setSource({ ...source, number })}
      onClose=${() => setSource(null)}
    />`}
    ${traced && html`<${TraceDrawer} texts=${texts} ...${traced} onClose=${() => setTraced(null)} />`}
    <${Announcer} texts=${texts} answer=${conversation.latest} />
  `;
}

/** Draws again, at most once a frame: tokens come faster than a screen shows them. */
function useRedraw() {
  const [, tick] = useReducer((count) => count + 1, 0);
  const asked = useRef(0);
  return () => {
    asked.current ||= requestAnimationFrame(() => {
      asked.current = 0;
      tick();
    });
  };
}

function useConversation(changed) {
  const made = useRef(null);
  made.current ??= new Conversation({ changed, named: showSession });
  return made.current;
}

function useOnline(changed) {
  useEffect(() => {
    addEventListener("online", changed);
    addEventListener("offline", changed);
    return () => {
      removeEventListener("online", changed);
      removeEventListener("offline", changed);
    };
  }, []);
  return navigator.onLine;
}

/** Esc belongs to the open drawer first, and to an input method's composition. */
function useEscape(pressed) {
  useEffect(() => {
    const keyDown = (event) => {
      if (event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open]")) pressed();
    };
    addEventListener("keydown", keyDown);
    return () => removeEventListener("keydown", keyDown);
  }, []);
}

render(html`<${App} />`, document.getElementById("app"));
