/** The stream of snapshots while the page is shown: comes back by itself when it breaks off. */

import { ApiError } from "../../api.js";
import { readEvents } from "../../events.js";
import { t } from "../../language.js";
import { useEffect, useState } from "../../view.js";
import { History } from "./history.js";
import { compareSnapshots } from "./rates.js";

const URL_PATH = "/adaptact/v1/live";
const AGAIN_MS = 3000;
const SILENCE_MS = 15_000;
const history = new History();

/** `{history, error, isWaiting}`; the page is drawn again with every snapshot, but not while `isPaused`. */
export function useLive(isPaused) {
  const [state, setState] = useState({ isWaiting: true });
  useEffect(() => {
    if (isPaused) return undefined;
    const control = new AbortController();
    follow(control.signal, setState);
    return () => control.abort();
  }, [isPaused]);
  return { history, ...state };
}

async function follow(signal, setState) {
  while (!signal.aborted) {
    let error;
    try {
      await readSnapshots(signal, setState);
    } catch (raised) {
      error = raised;
    }
    if (signal.aborted || error?.status === 401 || error?.status === 403) return;
    setState({ error, isWaiting: true });
    await new Promise((wake) => setTimeout(wake, AGAIN_MS));
  }
}

/** Raises `ApiError` where the stream falls silent, as after a computer has slept: it may never end by itself. */
async function readSnapshots(signal, setState) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  let before = null;
  try {
    for await (const snapshot of readEvents(URL_PATH, AbortSignal.any([signal, silence.signal]))) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const rates = before && compareSnapshots(before, snapshot);
      before = snapshot;
      if (rates) {
        history.push(rates);
        setState({ isWaiting: false, at: snapshot.at });
      }
    }
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new ApiError(0, t("the server did not answer"), `GET ${URL_PATH}`);
  } finally {
    clearTimeout(timer);
  }
}
