/** Text to be copied into a terminal or a program. */

import { t } from "../language.js";
import { html } from "../view.js";
import { announce } from "./status.js";

/** `label` says what it is. */
export function Code({ text, label }) {
  return html`
    <div class="code">
      <pre tabindex="0" aria-label=${label}><code>${text}</code></pre>
      <button type="button" onClick=${() => copy(text)} aria-label=${t("Copy: {what}", { what: label })}>
        ${t("Copy")}
      </button>
    </div>
  `;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(t("Copied."));
  } catch {
    // Without TLS browsers do not allow it.
    announce(t("The browser does not allow that here: select the text and copy it."), "bad");
  }
}

/** A button that saves the text as a file. */
export function Download({ text, name, type }) {
  function save() {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const anchor = Object.assign(document.createElement("a"), { href: url, download: name });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  return html`<button type="button" onClick=${save}>${t("Save {name}", { name })}</button>`;
}
