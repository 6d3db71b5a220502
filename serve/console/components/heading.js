/** A page's own heading, which gets the focus when the page comes in the place of another. */

import { html, useEffect, useRef } from "../view.js";
import { makeVisible } from "../visible.js";

let isFirstPage = true;

/** `children` are what can be done with the whole page; `takesFocus` is false where a field of it does. */
export function PageHeading({ title, note, takesFocus = true, children }) {
  const element = useRef(null);
  useEffect(() => {
    document.title = makeVisible(`${title} · adaptact`);
  }, [title]);
  useEffect(() => {
    if (!isFirstPage && takesFocus) element.current.focus({ preventScroll: true });
    isFirstPage = false;
    scrollTo(0, 0);
  }, []);
  return html`
    <div class="page-heading">
      <div>
        <h1 tabindex="-1" ref=${element}>${title}</h1>
        ${note && html`<p class="note">${note}</p>`}
      </div>
      <div class="page-actions">${children}</div>
    </div>
  `;
}
