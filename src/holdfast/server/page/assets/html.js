// Preact without a compiler: `html` is a template tag that makes what JSX would.
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export { render } from "../vendor/preact.js";
export { useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/preact-hooks.js";

export const html = htm.bind(h);
