/** A sentence of a file or of the server, marked with its language, which may be another than the page's. */

import { languageOf } from "../language.js";
import { html } from "../view.js";

export function Told({ text }) {
  return html`<span lang=${languageOf(text)}><bdi>${text}</bdi></span>`;
}
