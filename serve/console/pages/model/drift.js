/** Whether live values are like those of real data at export: each input, output and activation. */

import { Histogram, fromInnerEdges } from "../../components/histogram.js";
import { Table, numberColumn } from "../../components/table.js";
import { Told } from "../../components/told.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";
import { DriftBadge } from "../models/badges.js";

const ORDER = ["drifted", "shifted", "stable", "waiting", "no baseline"];

/** The live histogram of what reaches each learned activation, by layer. */
export function findLiveReach(drift) {
  const watched = (drift?.report.series || []).filter(
    ({ role, edges, rows }) => role === "activation" && edges.length > 1 && rows,
  );
  return new Map(watched.map(({ layer, edges, live }) => [layer, fromInnerEdges(edges, live)]));
}

/** `drift` is the server's answer: the report, and the limits. */
export function Drift({ drift: { report } }) {
  const rows = report.series.map((series, place) => ({ ...series, place }));
  rows.sort((one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict));
  return html`
    <section class="card">
      <h2>${t("Drift")}</h2>
      <p><${DriftBadge} verdict=${report.verdict} /> <${Told} text=${report.summary} /></p>
      ${
        rows.length > 0 &&
        html`
        <${Table} caption=${t("Live values beside those at export")} columns=${listColumns()} rows=${rows}
          name=${(row) => row.place} />
        <p class="note">${t(
          "Live rows: {live}; rows at export: {baseline}. Filled: at export; in outline: live. The range held all but 0.1 % of the values at export.",
          {
            live: formatNumber(report.rows),
            baseline: formatNumber(report.baseline_rows),
          },
        )}</p>
      `
      }
    </section>
  `;
}

function listColumns() {
  return [
    {
      key: "name",
      title: t("Values"),
      isHeading: true,
      value: nameOf,
      cell: (row) => html`<code><bdi>${nameOf(row)}</bdi></code>`,
    },
    { key: "role", title: t("Where"), value: (row) => row.role, cell: (row) => writeRole(row.role) },
    {
      key: "verdict",
      title: t("Verdict"),
      value: (row) => ORDER.indexOf(row.verdict),
      cell: (row) => html`
      <${DriftBadge} verdict=${row.verdict} />
      ${row.reason && html`<span class="reason"><${Told} text=${row.reason} /></span>`}
    `,
    },
    numberColumn("psi", "PSI", formatNumber),
    numberColumn("ks", "KS", formatNumber),
    numberColumn("outside", t("Outside the range"), formatShare),
    { key: "shape", title: t("Distribution"), cell: (row) => html`<${Shape} series=${row} />` },
  ];
}

function nameOf({ layer, tensor, column }) {
  const name = layer || tensor;
  return column === null ? name : `${name}[${column}]`;
}

function writeRole(role) {
  return { input: t("input"), output: t("output"), activation: t("before the activation") }[role] || role;
}

function Shape({ series: { edges, categories, baseline, live, rows } }) {
  if (categories.length) return html`<${Categories} ...${{ categories, baseline, live }} />`;
  if (edges.length < 2) return "–";
  const before = fromInnerEdges(edges, baseline);
  const now = fromInnerEdges(edges, rows ? live : live.map(() => 0));
  const description = t("The distribution at export and live");
  return html`<div class="shape"><${Histogram} ...${{ before, now, description }} /></div>`;
}

function Categories({ categories, baseline, live }) {
  const most = categories
    .map((category, place) => ({ category, before: baseline[place], now: live[place] }))
    .sort((one, other) => Math.abs(other.now - other.before) - Math.abs(one.now - one.before));
  return most
    .slice(0, 3)
    .map(
      ({ category, before, now }) =>
        html`<div key=${category}><bdi>${category}</bdi>: ${formatShare(before)} → ${formatShare(now)}</div>`,
    );
}
