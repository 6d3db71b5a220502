/** The six charts of the live page. */

import { LineChart } from "../../components/line-chart.js";
import { formatBytes, formatDuration, formatNumber, t } from "../../language.js";
import { html } from "../../view.js";
import { ALL } from "./rates.js";

const rate = (value) => formatNumber(value, 3);

/**
 * `latest` is the history's, by which they know that it grew; `chosen` are the keys of the lines to draw, over so many
 * seconds, the `span`.
 */
export function Charts({ history, latest, chosen, span }) {
  const lines = chosen.filter((key) => history.lines.has(key));
  const draw = (metric, isDashed = false) =>
    lines.map((key) => ({
      label: key + metric,
      color: colorOf(chosen, key),
      isDashed,
      values: history.values(key, metric),
    }));
  const all = latest.lines.get(ALL);
  const charts = [
    { title: t("Requests per second"), series: draw("requests"), format: rate, summary: rate(all.requests) },
    {
      title: t("Latency (p99 dashed)"),
      series: [...draw("p50"), ...draw("p99", true)],
      format: formatDuration,
      summary: `p50 ${formatDuration(all.p50)} · p99 ${formatDuration(all.p99)}`,
    },
    {
      title: t("Errors per second"),
      series: draw("errors"),
      format: rate,
      summary: t("{errors}, refused {rejected}", { errors: rate(all.errors), rejected: rate(all.rejected) }),
    },
    { title: t("Waiting requests"), series: draw("queue"), format: rate, summary: rate(all.queue) },
    { title: t("Rows in a run"), series: draw("batch"), format: rate, summary: rate(all.batch) },
    {
      title: t("Memory of the server"),
      series: [{ label: "memory", color: "--series-7", values: history.memory }],
      format: formatBytes,
      summary: latest.memory === null ? "–" : formatBytes(latest.memory),
    },
  ];
  return html`
    <div class="live-charts">
      ${charts.map(
        (chart) => html`
        <div class="card" key=${chart.title}>
          <${LineChart} ...${chart} times=${history.times} span=${span} />
        </div>
      `,
      )}
    </div>
  `;
}

/** The colour of a chosen line: black for all together, the others in their order. */
export function colorOf(chosen, key) {
  if (key === ALL) return "--series-7";
  return `--series-${1 + (chosen.filter((other) => other !== ALL).indexOf(key) % 6)}`;
}
