// Line icons, 20 x 20, drawn in the text's colour. Each stands in a control that has a name, so it is hidden from readers.
import { html } from "./html.js";

const icon = (...paths) => html`
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">${paths.map((path) => html`<path d=${path} />`)}</svg>
`;

export const brand = () => html`
  <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="9" />
    <path
      d="M16 7v18M16 17c0 4-5 3.500-6.500 8M16 17c0 4 5 3.500 6.500 8M11.500 11.500c0 2.500 2 3.500 4.500 3.500M20.500 9.500c0 2.500-2 3.500-4.500 3.500"
    />
  </svg>
`;
export const pen = () => icon("M10.500 4H5.500A1.500 1.500 0 0 0 4 5.500v9A1.500 1.500 0 0 0 5.500 16h9a1.500 1.500 0 0 0 1.500-1.500v-5", "M8.500 11.500l.5-2.500 6-6 2 2-6 6z");
export const sun = () => icon("M10 6.800a3.200 3.200 0 1 0 0 6.400 3.200 3.200 0 0 0 0-6.400z", "M10 2.500v1.500M10 16v1.500M2.500 10H4M16 10h1.500M4.700 4.700l1 1M14.300 14.300l1 1M4.700 15.300l1-1M14.300 5.700l1-1");
export const moon = () => icon("M16 11.800A6.500 6.500 0 0 1 8.200 4a6.500 6.500 0 1 0 7.800 7.800z");
export const arrowUp = () => icon("M10 16V4.500M5 9.500l5-5 5 5");
export const arrowToTop = () => icon("M5 4h10M10 16.500V8M5.500 12L10 7.500l4.500 4.500");
export const arrowDown = () => icon("M10 4v11.500M5 10.500l5 5 5-5");
export const square = () => icon("M6.500 6.500h7v7h-7z");
export const cross = () => icon("M5 5l10 10M15 5L5 15");
export const person = () => icon("M10 4a3 3 0 1 0 0 6a3 3 0 0 0 0-6z", "M4.500 16.500c.5-3 2.800-4.500 5.500-4.500s5 1.500 5.500 4.500");
export const leaf = () => icon("M5.500 3.500h6l3.500 3.500v9.500h-9.500z", "M8 9.500h4.500M8 12.500h4.500");
