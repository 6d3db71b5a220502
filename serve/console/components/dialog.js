/** Dialogs that keep the focus until they are closed: the browser's own, behind which the page is inert. */

import { t } from "../language.js";
import { html, useId, useLayoutEffect, useRef, useState } from "../view.js";
import { keepFocus } from "./focus.js";
import { announce } from "./status.js";
import { Failure } from "./resource.js";

/**
 * A modal dialog with this title; `close` is called when it should go. Browsers close one at the second Escape,
 * whatever the page says to the first: where it is still to be there, it is shown again.
 */
export function Dialog({ title, close, children }) {
  const element = useRef(null);
  const heading = useId();
  useLayoutEffect(() => {
    const shown = element.current;
    const opener = document.activeElement;
    shown.showModal();
    return () => {
      shown.close(); // which gives the focus back to what had it
      keepFocus(opener);
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    close();
  };
  const stay = ({ currentTarget: closed }) => {
    if (!closed.isConnected) return;
    close();
    closed.showModal();
  };
  return html`
    <dialog ref=${element} aria-labelledby=${heading} onCancel=${cancel} onClose=${stay}>
      <h2 id=${heading}>${title}</h2>
      ${children}
    </dialog>
  `;
}

/**
 * A dialog that asks before something is done. `perform` does it; what it raises is shown, and the dialog stays.
 * `done` is said once it is; `tone` is danger for what people may miss afterwards.
 */
export function Confirmation({ title, action, tone = "normal", perform, done, close, children }) {
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await perform();
    } catch (raised) {
      setError(raised);
      setBusy(false);
      return;
    }
    announce(done);
    close(true);
  }
  return html`
    <${Dialog} title=${title} close=${() => isBusy || close(false)}>
      <form onSubmit=${submit}>
        ${children}
        ${error && html`<${Failure} error=${error} />`}
        <div class="dialog-actions">
          <button type="button" disabled=${isBusy} onClick=${() => close(false)}>${t("Cancel")}</button>
          <button type="submit" class=${tone === "danger" ? "danger" : "primary"} disabled=${isBusy}>
            ${isBusy ? t("Working…") : action}
          </button>
        </div>
      </form>
    <//>
  `;
}
