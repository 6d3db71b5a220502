/** Names and values beside each other. */

import { html } from "../view.js";

/** `rows` are pairs of a name and what stands beside it; a pair whose second is null or undefined is left out. */
export function Facts({ rows }) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`
    <dl class="facts">
      ${known.map(([name, value]) => [html`<dt key=${`${name} name`}>${name}</dt>`, html`<dd key=${name}>${value}</dd>`])}
    </dl>
  `;
}

const MOST_LISTED = 2000;

/** Many texts, of which the first few are shown at once, and of the others at most MOST_LISTED. */
export function LongList({ items, shown = 12, summary }) {
  const first = items.slice(0, shown);
  const rest = items.slice(shown);
  return html`
    <span class="long-list">${first.map((item, place) => html`<span class="chip" key=${place}><bdi>${item}</bdi></span>`)}</span>
    ${
      rest.length > 0 &&
      html`<details><summary>${summary}</summary><span class="long-list">
      ${rest.slice(0, MOST_LISTED).map((item, place) => html`<span class="chip" key=${place}><bdi>${item}</bdi></span>`)}
      ${rest.length > MOST_LISTED && "…"}
    </span></details>`
    }
  `;
}
