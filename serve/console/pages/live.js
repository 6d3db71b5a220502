/** What the server does, second by second, over the last ten minutes or the last hour: by model and by variant. */

import { PageHeading } from "../components/heading.js";
import { Failure } from "../components/resource.js";
import { formatClock, formatNumber, t } from "../language.js";
import { html, useState } from "../view.js";
import { Charts } from "./live/charts.js";
import { LONG_SECONDS, SHORT_SECONDS } from "./live/history.js";
import { ALL } from "./live/rates.js";
import { useLive } from "./live/stream.js";
import { LinesTable } from "./live/table.js";

const MOST_LINES = 7; // as many colours as can be told apart

/** The page. */
export function Page() {
  const [isPaused, setPaused] = useState(false);
  const [isLong, setLong] = useState(false);
  const [chosen, setChosen] = useState([ALL]);
  const { history, error, isWaiting } = useLive(isPaused);
  const span = isLong ? LONG_SECONDS : SHORT_SECONDS;
  const toggle = (key) => {
    const next = chosen.includes(key) ? chosen.filter((other) => other !== key) : [...chosen, key];
    setChosen(next.length ? next.slice(-MOST_LINES) : [ALL]);
  };
  return html`
    <${PageHeading} title=${t("Live")} note=${describe(history, isPaused, isLong)}>
      <button type="button" aria-pressed=${isLong} onClick=${() => setLong(!isLong)}>${t("The last hour")}</button>
      <button type="button" onClick=${() => setPaused(!isPaused)}>${isPaused ? t("Go on") : t("Pause")}</button>
    <//>
    ${error && html`<${Failure} error=${error} />`}
    ${
      history.latest
        ? html`
          <${Charts} ...${{ history, latest: history.latest, chosen, span }} />
          <${LinesTable} lines=${history.latest.lines} chosen=${chosen} toggle=${toggle} />
        `
        : isWaiting && !error && html`<p class="loading" role="status">${t("Loading…")}</p>`
    }
  `;
}

function describe({ latest }, isPaused, isLong) {
  if (!latest) return "";
  const values = { time: formatClock(new Date(latest.at * 1000)), cores: formatNumber(latest.processor, 2) };
  if (isPaused) return t("Paused at {time}", values);
  return isLong
    ? t("The last hour, until {time}; {cores} cores busy", values)
    : t("The last ten minutes, until {time}; {cores} cores busy", values);
}
