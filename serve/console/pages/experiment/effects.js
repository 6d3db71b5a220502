/** The effect of each candidate over time with its band, and beside it what each variant costs. */

import { Table, numberColumn } from "../../components/table.js";
import { TimeChart } from "../../components/time-chart.js";
import { formatBytes, formatNumber, formatTime, t } from "../../language.js";
import { html } from "../../view.js";
import {
  formatCount,
  formatEffect,
  formatInterval,
  formatLatency,
  formatValue,
  noEffect,
  toDate,
} from "../experiments/amounts.js";
import { VerdictBadge } from "../experiments/words.js";

/** A chart for each metric of each candidate that has an effect yet. */
export function Effects({ known, results, looks, phases }) {
  const charts = results.metrics
    .map((metric) => ({ metric, found: findLooks(looks, metric) }))
    .filter(({ found }) => found.some(({ metric }) => metric.effect !== null));
  return html`
    <section class="card">
      <h2>${t("Effect over time")}</h2>
      ${!charts.length && html`<p class="note">${t("There is no effect to draw yet: it is drawn from the first look on at which outcomes count.")}</p>`}
      ${charts.length > 0 && html`<p class="note">${t("The band holds the true effect at all times at once; the dashed line is no effect, dotted lines are new phases.")}</p>`}
      <div class="columns">
        ${charts.map(({ metric, found }) => html`<${EffectChart} key=${`${metric.name} ${metric.candidate}`} ...${{ metric, found, phases, control: known.definition.control.name }} />`)}
      </div>
    </section>
  `;
}

const findLooks = (looks, { name, candidate }) =>
  looks.flatMap(({ at, results }) => {
    const metric = results.metrics.find((other) => other.name === name && other.candidate === candidate);
    return metric ? [{ at, metric }] : [];
  });

function EffectChart({ metric, found, phases, control }) {
  const times = found.map(({ at }) => toDate(at).getTime());
  const band = { low: found.map((look) => look.metric.low), high: found.map((look) => look.metric.high) };
  const marks = phases
    .map(({ started_at: at, number }) => ({ at: toDate(at).getTime(), name: String(number) }))
    .filter(({ at }) => at >= times[0] && at <= times[times.length - 1]);
  const effect = formatEffect(metric, metric.effect);
  const values = { metric: nameMetric(metric), effect, interval: formatInterval(metric) };
  return html`
    <figure class="figure">
      <figcaption>
        <strong><bdi>${nameMetric(metric)}</bdi></strong> <${VerdictBadge} verdict=${metric.finding} /><br />
        ${t("{candidate} beside {control}", { candidate: metric.candidate, control })}: <strong>${effect}</strong>
        ${" "}<span class="note">(${formatInterval(metric)})</span>
      </figcaption>
      <${TimeChart} times=${times} band=${band} marks=${marks} baseline=${noEffect(metric)} range=${chooseRange(found, metric)}
        lines=${[{ name: metric.candidate, color: 1, values: found.map((look) => look.metric.effect) }]}
        format=${(value) => formatEffect(metric, value)}
        description=${t("{metric}: the last effect is {effect}, its interval {interval}", values)} />
    </figure>
  `;
}

/** From the later half of the looks, and no effect: the first intervals are wider than anything later. */
function chooseRange(found, metric) {
  const later = found.slice(Math.floor(found.length / 2));
  const ends = later.flatMap(({ metric: { effect, low, high } }) => [effect, low, high]);
  const values = [...ends.filter((value) => value !== null), noEffect(metric)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.1 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low - margin, high + margin];
}

/** What one gets and what one pays: every variant in a row. */
export function EffectAndCost({ known, results }) {
  const primary = results.metrics.filter(({ is_primary: isPrimary }) => isPrimary);
  const rows = Object.entries(results.costs).map(([name, cost]) => ({ name, cost }));
  const control = known.definition.control.name;
  const columns = [
    {
      key: "variant",
      title: t("Variant"),
      isHeading: true,
      cell: ({ name }) =>
        html`<bdi>${name}</bdi>${name === control && html` <span class="note">${t("control")}</span>`}`,
    },
    ...primary
      .filter((metric, place) => primary.findIndex(({ name }) => name === metric.name) === place)
      .map((metric) => ({
        key: `metric ${metric.name}`,
        title: nameMetric(metric),
        isNumber: true,
        cell: ({ name }) => html`<${Gain} ...${{ name, control, metric, primary }} />`,
      })),
    ...["p50", "p95", "p99"].map((quantile) =>
      numberColumn(
        quantile,
        t("Latency {quantile}", { quantile }),
        formatLatency,
        ({ cost }) => cost.latency_us[quantile],
      ),
    ),
    numberColumn("size", t("Size of the model"), formatBytes, ({ cost }) => cost.model_bytes),
    numberColumn(
      "cpu",
      t("CPU s of 1000 requests"),
      formatNumber,
      ({ cost }) => cost.cpu_seconds_per_thousand,
    ),
    numberColumn(
      "price",
      t("Price of a million requests"),
      formatNumber,
      ({ cost }) => cost.price_per_million,
    ),
  ];
  return html`
    <section class="card records">
      <h2>${t("Effect and cost")}</h2>
      <${Table} caption=${t("What each variant brings and costs")} columns=${columns} rows=${rows} name=${({ name }) => name} />
    </section>
  `;
}

function Gain({ name, control, metric, primary }) {
  const own = primary.find((other) => other.name === metric.name && other.candidate === name);
  const { value } = (own || metric).variants.find((variant) => variant.name === name) || {};
  return html`
    ${formatValue(metric, value)}
    ${name !== control && own && html` <span class="note">${formatEffect(own, own.effect)}</span>`}
  `;
}

/** Every metric of every candidate in numbers. */
export function Metrics({ results }) {
  if (!results.metrics.length) return null;
  const sides = (metric, show) => metric.variants.map(show).join(" / ");
  const columns = [
    {
      key: "metric",
      title: t("Metric"),
      isHeading: true,
      cell: (metric) => html`<bdi>${nameMetric(metric)}${metric.is_primary ? " *" : ""}</bdi>`,
    },
    { key: "candidate", title: t("Candidate"), cell: ({ candidate }) => html`<bdi>${candidate}</bdi>` },
    {
      key: "value",
      title: t("Control / candidate"),
      isNumber: true,
      cell: (metric) => sides(metric, ({ value }) => formatValue(metric, value)),
    },
    {
      key: "units",
      title: t("Units"),
      isNumber: true,
      cell: (metric) => sides(metric, ({ units }) => formatCount(units)),
    },
    {
      key: "effect",
      title: t("Effect"),
      isNumber: true,
      cell: (metric) => formatEffect(metric, metric.effect),
    },
    { key: "interval", title: t("Interval"), isNumber: true, cell: formatInterval },
    numberColumn("looks", t("Looks"), formatNumber),
    {
      key: "finding",
      title: t("Finding"),
      cell: ({ finding }) => html`<${VerdictBadge} verdict=${finding} />`,
    },
  ];
  return html`
    <section class="card records">
      <h2>${t("Metrics")}</h2>
      <${Table} caption=${t("Metrics by candidate")} columns=${columns} rows=${results.metrics}
        name=${({ name, candidate }) => `${name} ${candidate}`} />
      <p class="note">${t("* The verdict depends on it. The interval is what all looks so far have in common.")}</p>
    </section>
  `;
}

/** How many units met each variant, and whether that is as it was designed. */
export function Exposures({ known, results, looks }) {
  const { definition } = known;
  const names = [definition.control, ...definition.candidates].map(({ name }) => name);
  const split = results.sample_ratio;
  const times = looks.map(({ at }) => toDate(at).getTime());
  const lines = names.map((name, place) => ({
    name,
    color: place % 7,
    values: looks.map((look) => look.results.sample_ratio.units[name] ?? 0),
  }));
  const most = Math.max(1, ...lines.flatMap(({ values }) => values));
  const last = looks.length ? formatTime(toDate(looks[looks.length - 1].at)) : "";
  return html`
    <section class="card">
      <h2>${t("Exposures")}</h2>
      ${looks.length > 0 && html`<${TimeChart} times=${times} lines=${lines} range=${[0, most * 1.05]} format=${(value) => formatNumber(value)} description=${t("Units that met each variant, until {time}", { time: last })} />`}
      <ul class="legend">
        ${names.map((name, place) => html`<li key=${name}><svg viewBox="0 0 24 10" aria-hidden="true"><rect class="key-${place % 7}" y="3" width="24" height="4" /></svg><bdi>${name}</bdi>: ${formatNumber(split.units[name] ?? 0)}</li>`)}
      </ul>
      <p class=${split.is_alarm ? "problem" : "note"}>${describeSplit(split)}</p>
      ${split.crossed_units > 0 && html`<p class="note">${t("units that met more than one variant")}: ${formatNumber(split.crossed_units)}</p>`}
    </section>
  `;
}

function describeSplit(split) {
  if (split.is_alarm) return t("The units are NOT in the designed shares: nothing may be concluded.");
  const isTested = Object.values(split.units).some((units) => units > 0);
  return isTested
    ? t("The units are in the designed shares.")
    : t("There are no units yet, whose shares could be tested.");
}

function nameMetric({ name, of_failures: ofFailures }) {
  return ofFailures ? t("failures of {metric}", { metric: name }) : name;
}
