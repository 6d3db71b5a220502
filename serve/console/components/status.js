/** The line at the foot of the page that says what was done, aloud for screen readers too. */

import { html, signal } from "../view.js";

const SHOWN_MS = 8000;
const line = signal({ text: "", tone: "good" });
let timer;

/** Say what was done; `tone` is good or bad. */
export function announce(text, tone = "good") {
  line.value = { text, tone };
  clearTimeout(timer);
  timer = setTimeout(() => {
    line.value = { text: "", tone: "good" };
  }, SHOWN_MS);
}

/** The line itself, once on the page. */
export function StatusLine() {
  const { text, tone } = line.value;
  const look = text ? `status-line status-${tone}` : "status-line";
  return html`<div class=${look} role="status" aria-live="polite">${text}</div>`;
}
