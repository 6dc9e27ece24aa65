// Light or dark: the system's choice, until the user makes one here. The colours themselves are in theme.css.
import { forLong } from "./memory.js";

const wantsDark = matchMedia("(prefers-color-scheme: dark)");

/** "light" or "dark", as shown now. */
export function shownTheme() {
  return document.documentElement.dataset.theme ?? (wantsDark.matches ? "dark" : "light");
}

/** Changes over, and remembers it; first-paint.js puts it in force on the next visit. */
export function switchTheme() {
  const theme = shownTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  forLong.keep("theme", theme);
}

/** Calls back when the system changes over. */
export function onSystemTheme(changed) {
  wantsDark.addEventListener("change", changed);
  return () => wantsDark.removeEventListener("change", changed);
}
