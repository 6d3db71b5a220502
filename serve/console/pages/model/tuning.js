/** What was timed on which machine, and what followed from it. */

import { Badge } from "../../components/badge.js";
import { Facts } from "../../components/facts.js";
import { Table, numberColumn } from "../../components/table.js";
import { Told } from "../../components/told.js";
import { formatDuration, formatList, formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";

/** `tuning` is the manifest's. */
export function Tuning({ tuning }) {
  const { provider, threads, batches, processor, spent, noise, trials, speeds, verdict } = tuning;
  return html`
    <section class="card">
      <h2>${t("Tuning")}</h2>
      <p><${Told} text=${verdict} /></p>
      <${Facts} rows=${[
        [
          t("Timed on"),
          `${processor}, ${provider}, ${t("{count} threads", { count: formatNumber(threads) })}`,
        ],
        [t("Batches"), formatList(batches.map((batch) => formatNumber(batch)))],
        [t("Time taken"), formatDuration(spent * 1000)],
        [t("Noise"), formatShare(noise)],
      ]} />
      ${speeds.length > 0 && html`<h3>${t("Before and after")}</h3><${Speeds} speeds=${speeds} />`}
      ${trials.length > 0 && html`<h3>${t("Forms that were tried")}</h3><${Trials} trials=${trials} />`}
    </section>
  `;
}

const formatMicroseconds = (microseconds) => formatDuration(microseconds / 1000);

function Speeds({ speeds }) {
  const columns = [
    numberColumn("batch", t("Batch"), formatNumber),
    numberColumn("untuned", t("Untuned"), formatMicroseconds),
    numberColumn("tuned", t("Tuned"), formatMicroseconds),
    ratio(),
  ];
  const caption = t("Before and after");
  return html`<${Table} ...${{ caption, columns, rows: speeds, name: (row) => row.batch }} />`;
}

function Trials({ trials }) {
  const rows = trials.map((trial, place) => ({ ...trial, place }));
  const columns = [
    {
      key: "kind",
      title: t("Activation"),
      isHeading: true,
      value: (row) => row.kind,
      cell: (row) => row.kind,
    },
    { key: "where", title: t("Where"), cell: (row) => html`<${Told} text=${row.where} />` },
    numberColumn("places", t("Places"), formatNumber),
    { key: "form", title: t("Form"), cell: (row) => html`<code>${row.form}</code>` },
    { key: "instead", title: t("Instead of"), cell: (row) => html`<code>${row.instead_of}</code>` },
    ratio(),
    {
      key: "taken",
      title: t("Taken"),
      cell: (row) =>
        html`<${Badge} tone=${row.taken ? "good" : "neutral"}>${row.taken ? t("yes") : t("no")}<//>`,
    },
  ];
  const caption = t("Forms that were tried");
  return html`<${Table} ...${{ caption, columns, rows, name: (row) => row.place }} />`;
}

function ratio() {
  return {
    key: "ratio",
    title: t("Ratio of times"),
    isNumber: true,
    value: (row) => row.ratio,
    cell: (row) =>
      html`${formatNumber(row.ratio)} <span class="note">(${formatNumber(row.low)}–${formatNumber(row.high)})</span>`,
  };
}
