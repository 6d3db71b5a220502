/** A short verdict: a sign, a word and a colour, so that none of them tells it alone. */

import { html } from "../view.js";

const SIGNS = { good: "✓", caution: "!", bad: "✕", neutral: "–", info: "i" };

/** `tone` is good, caution, bad, neutral or info; `title` says more. */
export function Badge({ tone = "neutral", title, children }) {
  return html`
    <span class="badge badge-${tone}" title=${title}>
      <span class="badge-sign" aria-hidden="true">${SIGNS[tone]}</span>${children}
    </span>
  `;
}
