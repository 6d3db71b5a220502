/** What a page reads from the server: while it loads, when it is there, when it failed. */

import { t } from "../language.js";
import { html, useEffect, useErrorBoundary, useRef, useState } from "../view.js";
import { Told } from "./told.js";

/**
 * What `read(signal)` gave: `{data, error, isLoading, reload, refresh}`, read again when one of `keys` changes.
 * The older data stay while new ones load and where these fail; a reading that is no longer wanted is given up.
 * `reload` begins anew; `refresh`, by a timer, leaves a reading its time: else a slow server would never be done.
 */
export function useResource(read, keys) {
  const [state, setState] = useState({ isLoading: true });
  const [round, setRound] = useState(0);
  const isReading = useRef(false);
  useEffect(() => {
    const control = new AbortController();
    const settle = (next) => {
      if (control.signal.aborted) return;
      isReading.current = false;
      setState(next);
    };
    isReading.current = true;
    setState((before) => (before.key === same(keys) ? { ...before, isLoading: true } : { isLoading: true }));
    read(control.signal).then(
      (data) => settle({ data, key: same(keys), isLoading: false }),
      (error) => settle((before) => ({ ...before, error, isLoading: false })),
    );
    return () => control.abort();
  }, [...keys, round]);
  const reload = () => setRound((before) => before + 1);
  return { ...state, reload, refresh: () => isReading.current || reload() };
}

const same = (keys) => JSON.stringify(keys);

/** The page's part that shows `resource.data` by `children(data)`, and that it loads, or why that failed. */
export function Loaded({ resource: { data, error, reload }, children }) {
  const failure = error && html`<${Failure} key="failure" error=${error} retry=${reload} />`;
  if (data !== undefined) return [failure, children(data)];
  return failure || html`<p class="loading" role="status">${t("Loading…")}</p>`;
}

/** What went wrong, where, and what to do. */
export function Failure({ error, retry }) {
  return html`
    <div class="failure" role="alert">
      <p class="failure-what"><${Told} text=${error.message} /></p>
      ${error.where && html`<p class="failure-where"><code>${error.where}</code></p>`}
      ${error.advice && html`<p>${error.advice}</p>`}
      ${retry && html`<button type="button" onClick=${retry}>${t("Try again")}</button>`}
    </div>
  `;
}

/** A part of a page that is shown if it can be: what a file says of itself may have any form. */
export function Guarded({ title, children }) {
  const [error] = useErrorBoundary();
  if (!error) return children;
  return html`
    <section class="card">
      <h2>${title}</h2>
      <p class="problem">${t("This part of the evidence has a form that this console does not read.")}</p>
    </section>
  `;
}
