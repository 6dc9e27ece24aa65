// A reply's Markdown as a DOM fragment. Replies are not trusted: a model, a tool or a document may have written them.
import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";

const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  breaks: true, // a reply's line ends are meant
  renderer: {
    html: ({ text }) => escaped(text), // HTML is shown as it was written
    image: ({ text, href }) => escaped(text || href), // nothing is loaded from anywhere
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."p br strong em del code pre blockquote ul ol li a h1 h2 h3 h4 h5 h6 hr".split(" "),
    ..."table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "align", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** The reply, with every `[n]` that names one of its `sources` made a button (`data-source`), or a mark while it streams. */
export function fragmentOf(text, { sources, streaming, sourceLabel }) {
  const fragment = DOMPurify.sanitize(marked.parse(text), ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    honest(link);
  }
  for (const table of fragment.querySelectorAll("table")) scrollable(table);
  for (const node of referringTexts(fragment)) node.replaceWith(...withMarks(node.data, { sources, streaming, sourceLabel }));
  return fragment;
}

const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A link whose text is another address than the one it leads to names that one behind it; its text runs in one direction. */
function honest(link) {
  const walker = document.createTreeWalker(link, NodeFilter.SHOW_TEXT);
  let turned = false;
  while (walker.nextNode()) {
    const straight = walker.currentNode.data.replace(TURNING, "");
    turned ||= straight !== walker.currentNode.data;
    walker.currentNode.data = straight;
  }
  if (!link.hasAttribute("href") || !link.host) return;
  link.title = link.href;
  const named = link.textContent.trim().match(/^(?:[a-z][a-z0-9+.-]*:\/\/)?((?:[\p{L}\p{N}-]+\.)+\p{L}{2,})(?=[/:?#\s]|$)/iu)?.[1].toLowerCase();
  const host = link.hostname.replace(/^www\./, "");
  if (turned || (named && named.replace(/^www\./, "") !== host)) link.after(` (${link.host})`);
}

/** A wide table scrolls by itself instead of widening the page. */
function scrollable(table) {
  const frame = document.createElement("div");
  frame.className = "table";
  frame.tabIndex = 0;
  table.replaceWith(frame);
  frame.append(table);
}

function referringTexts(fragment) {
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT, (node) =>
    /\[\d{1,3}\]/.test(node.data) && !node.parentElement?.closest("a, code") ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT,
  );
  const found = [];
  while (walker.nextNode()) found.push(walker.currentNode);
  return found;
}

function withMarks(text, { sources, streaming, sourceLabel }) {
  return text.split(/(\[\d{1,3}\])/).map((part) => {
    const number = /^\[\d{1,3}\]$/.test(part) ? Number(part.slice(1, -1)) : 0;
    if (number >= 1 && number <= sources) return mark("button", number, sourceLabel(number));
    return number && streaming ? mark("span", number, "") : part; // the sources come last
  });
}

function mark(tag, number, label) {
  const element = document.createElement(tag);
  element.className = "mark";
  element.textContent = number;
  if (tag === "button") {
    element.type = "button";
    element.dataset.source = number;
    element.setAttribute("aria-label", label);
  }
  return element;
}
