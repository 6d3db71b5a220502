/** A labelled field of a form. */

import { html, useId } from "../view.js";

/** `children(id)` is the field itself, which takes the id; `hint` says what it means. */
export function Field({ label, hint, children }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${children(id)}
      ${hint && html`<p class="hint">${hint}</p>`}
    </div>
  `;
}

/** A field for a number, or for nothing where it may be left empty. */
export function NumberField({ label, hint, value, set, ...limits }) {
  return html`
    <${Field} label=${label} hint=${hint}>
      ${(id) => html`<input id=${id} type="number" value=${value} ...${limits} onInput=${(event) => set(event.target.value)} />`}
    <//>
  `;
}

/** A field for one of several: `choices` are pairs of a value and its name. */
export function ChoiceField({ label, hint, value, set, choices }) {
  return html`
    <${Field} label=${label} hint=${hint}>
      ${(id) => html`
        <select id=${id} value=${value} onChange=${(event) => set(event.target.value)}>
          ${choices.map(([choice, name]) => html`<option key=${choice} value=${choice}>${name}</option>`)}
        </select>
      `}
    <//>
  `;
}
