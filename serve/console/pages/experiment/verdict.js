/** The verdict in a sentence, which also says what speaks against trusting it, and how far the experiment has come. */

import { t } from "../../language.js";
import { html } from "../../view.js";
import { formatCount, formatDays } from "../experiments/amounts.js";
import { VerdictBadge } from "../experiments/words.js";

/** `results` are the server's, whose sentence is in the reader's language. */
export function Verdict({ results }) {
  return html`
    <section class="card verdict" aria-labelledby="verdict-heading">
      <h2 id="verdict-heading">${t("Verdict")}</h2>
      <${VerdictBadge} verdict=${results.verdict} />
      <p class="sentence"><bdi>${results.sentence}</bdi></p>
      <${Progress} progress=${results.progress} />
    </section>
  `;
}

function Progress({ progress: { units, planned_units: planned, open_units: open, days_to_go: days } }) {
  const parts = [
    t("{units} of {planned} planned units", { units: formatCount(units), planned: formatCount(planned) }),
    open > 0 && t("{count} count once the time for their outcome is over", { count: formatCount(open) }),
    days > 0 && t("days to go at today's traffic: {days}", { days: formatDays(days) }),
  ];
  const done = Math.min(1, planned ? units / planned : 0);
  return html`
    <div class="progress">
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect class="ground" width="100" height="4" /><rect class="done" width=${100 * done} height="4" />
      </svg>
      <span>${parts.filter(Boolean).join(" · ")}</span>
    </div>
  `;
}
