/** The stream of snapshots while the page is shown: comes back by itself when it breaks off. */

import { readEvents } from "../../events.js";
import { useEffect, useState } from "../../view.js";
import { History } from "./history.js";
import { compareSnapshots } from "./rates.js";

const AGAIN_MS = 3000;
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

async function readSnapshots(signal, setState) {
  let before = null;
  for await (const snapshot of readEvents("/adaptact/v1/live", signal)) {
    const rates = before && compareSnapshots(before, snapshot);
    before = snapshot;
    if (rates) {
      history.push(rates);
      setState({ isWaiting: false, at: snapshot.at });
    }
  }
}
