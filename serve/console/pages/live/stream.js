/** The stream of snapshots while the page is shown, after what was before: comes back by itself when it breaks off. */

import { ApiError, request } from "../../api.js";
import { readEvents } from "../../events.js";
import { t } from "../../language.js";
import { useEffect, useState } from "../../view.js";
import { History } from "./history.js";
import { compareSnapshots, rateEntry } from "./rates.js";

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
      await untilSilent(signal, async (limited, hear) => {
        await catchUp(limited, hear, setState);
        await readSnapshots(limited, hear, setState);
      });
    } catch (raised) {
      error = raised;
    }
    if (signal.aborted || error?.status === 401 || error?.status === 403) return;
    setState({ error, isWaiting: true });
    await new Promise((wake) => setTimeout(wake, AGAIN_MS));
  }
}

/** Raises `ApiError` where `read` hears nothing for long, as after a computer has slept: it may never end by itself. */
async function untilSilent(signal, read) {
  const silence = new AbortController();
  let timer;
  const hear = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  hear();
  try {
    await read(AbortSignal.any([signal, silence.signal]), hear);
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    throw new ApiError(0, t("the server did not answer"), `GET ${URL_PATH}`);
  } finally {
    clearTimeout(timer);
  }
}

/** What the server did before the page was opened, or since it was last heard of. */
async function catchUp(signal, hear, setState) {
  let after = Math.floor(1000 * history.end);
  let page;
  do {
    page = await request("GET", `${URL_PATH}/history?after=${after}`, { signal });
    hear();
    for (const entry of page.entries) {
      const rates = rateEntry(entry, page);
      if (rates) history.push(rates);
      after = entry.at;
    }
  } while (page.more);
  setState((state) => ({ ...state, at: history.end }));
}

async function readSnapshots(signal, hear, setState) {
  let before = null;
  for await (const snapshot of readEvents(URL_PATH, signal)) {
    hear();
    const rates = before && compareSnapshots(before, snapshot);
    before = snapshot;
    if (rates) {
      history.push(rates);
      setState({ isWaiting: false, at: snapshot.at });
    }
  }
}
