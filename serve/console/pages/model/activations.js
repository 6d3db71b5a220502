/** What each activation learned: its curve against its start, what reached it, its values. */

import { ActivationChart } from "../../components/curve.js";
import { Facts } from "../../components/facts.js";
import { describeOutside, fromEqualCells } from "../../components/histogram.js";
import { Told } from "../../components/told.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html, useState } from "../../view.js";

const AT_ONCE = 12;
const MORE = 48;

/** `activations` are the manifest's; `live` maps a layer to the histogram of what reaches it now. */
export function Activations({ activations, live = new Map() }) {
  const [limit, setLimit] = useState(AT_ONCE);
  const hidden = activations.length - limit;
  return html`
    <section class="card">
      <h2>${t("Learned activations")}</h2>
      ${
        activations.length
          ? html`<${Legend} hasLive=${live.size > 0} />`
          : html`<p class="note">${t("The model has none.")}</p>`
      }
      <div class="activations">
        ${activations.slice(0, limit).map(
          (record, place) => html`
          <${Activation} key=${place} record=${record} live=${live.get(record.layer)} />
        `,
        )}
      </div>
      ${
        hidden > 0 &&
        html`<p><button type="button" onClick=${() => setLimit(limit + MORE)}>
        ${t("Show more ({count} left)", { count: formatNumber(hidden) })}
      </button></p>`
      }
    </section>
  `;
}

function Legend({ hasLive }) {
  const sign = (className) =>
    html`<svg class="chart" viewBox="0 0 24 10" aria-hidden="true"><path class=${className} d="M0 5H24" /></svg>`;
  const block = (className) =>
    html`<svg class="chart" viewBox="0 0 24 10" aria-hidden="true"><path class=${className} d="M0 10V4H8V1H16V6H24V10Z" /></svg>`;
  return html`
    <ul class="legend">
      <li>${sign("learned")}${t("learned")}</li>
      <li>${sign("start")}${t("at the start")}</li>
      <li>${block("reach")}${t("what reached it when it was exported")}</li>
      ${hasLive && html`<li>${block("reach-live")}${t("what reaches it now")}</li>`}
    </ul>
  `;
}

function Activation({ record, live }) {
  const { layer, kind, replaced, words, curve, start } = record;
  const reach = record.reach && fromEqualCells(record.reach);
  const outside = reach && describeOutside(reach, curve.points[0], curve.points[curve.points.length - 1]);
  return html`
    <article class="activation">
      <h3><code><bdi>${layer}</bdi></code></h3>
      <p class="note">${replaced ? t("{kind} in the place of {replaced}", { kind, replaced }) : kind}</p>
      <${ActivationChart} points=${curve.points} learned=${curve.values} start=${start?.curve} ...${{ reach, live }}
        description=${t("The learned curve of {layer}: {words}", { layer, words })} />
      ${words && html`<p class="words"><${Told} text=${words} /></p>`}
      <${Details} record=${record} outside=${outside} />
    </article>
  `;
}

function Details({ record: { formula, operators, options, values, start, reach }, outside }) {
  const settings = Object.entries(options).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  return html`
    <${Facts} rows=${[
      [t("Formula"), html`<code class="formula">${formula}</code>`],
      ...Object.entries(values).map(([name, learned]) => [
        name,
        html`<${Values} learned=${learned} start=${start?.values[name]} />`,
      ]),
      [t("Options"), settings.length > 0 && html`<code>${settings.join(", ")}</code>`],
      [t("Operators"), operators?.length > 0 && html`<code>${operators.join(", ")}</code>`],
      [t("Started as"), start?.origin && html`<${Told} text=${start.origin} />`],
      [t("Inputs at export"), reach && describeEnds(reach)],
      [t("Below zero"), reach && formatShare(reach.below_zero)],
      [t("Not shown"), outside],
    ].map(([name, value]) => [name, value || null])} />
  `;
}

/** The lowest and the highest input, which files of older versions do not record. */
function describeEnds({ least, most }) {
  const isKnown = Number.isFinite(least) && Number.isFinite(most);
  return isKnown ? t("{low} to {high}", { low: formatNumber(least, 4), high: formatNumber(most, 4) }) : null;
}

/** One value with where it started, or of many channels the range, the middle and all of them. */
function Values({ learned, start }) {
  if (learned.length === 1) {
    const from =
      start?.length === 1 && start[0] !== learned[0]
        ? html`<span class="note">${formatNumber(start[0], 4)} → </span>`
        : "";
    return html`<span class="mono">${from}${formatNumber(learned[0], 4)}</span>`;
  }
  const sorted = [...learned].sort((one, other) => one - other);
  const range = {
    low: formatNumber(sorted[0], 4),
    middle: formatNumber(sorted[Math.floor(sorted.length / 2)], 4),
    high: formatNumber(sorted[sorted.length - 1], 4),
    count: formatNumber(learned.length),
  };
  return html`<${Unfolding} summary=${t("{low} to {high}, median {middle}, of {count} channels", range)} values=${learned} />`;
}

/** All values, which are written once they are asked for: there may be thousands in each of hundreds of layers. */
function Unfolding({ summary, values }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <details onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${summary}</summary>
      ${isOpen && html`<span class="mono">${values.map((value) => formatNumber(value, 4)).join("  ")}</span>`}
    </details>
  `;
}
