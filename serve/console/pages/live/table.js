/** The latest second of every version and variant as a table, in which the lines of the charts are chosen. */

import { Table, numberColumn } from "../../components/table.js";
import { formatDuration, formatNumber, t } from "../../language.js";
import { html } from "../../view.js";
import { colorOf } from "./charts.js";
import { ALL } from "./rates.js";

/** `lines` are the latest by key; `toggle(key)` draws a line, or no longer. */
export function LinesTable({ lines, chosen, toggle }) {
  const rows = [...lines]
    .map(([key, line]) => ({ key, ...line }))
    .sort((one, other) => (other.key === ALL) - (one.key === ALL));
  const columns = [
    { key: "shown", title: t("Shown"), cell: (row) => html`<${Choice} ...${{ row, chosen, toggle }} />` },
    {
      key: "name",
      title: t("Model or experiment"),
      isHeading: true,
      value: nameOf,
      cell: (row) => html`<bdi>${nameOf(row)}</bdi>`,
    },
    {
      key: "part",
      title: t("Version or variant"),
      value: (row) => row.part,
      cell: (row) => html`<bdi>${row.part ?? "–"}</bdi>`,
    },
    numberColumn("requests", t("Requests/s"), formatNumber),
    numberColumn("errors", t("Errors/s"), formatNumber),
    numberColumn("p50", "p50", formatDuration),
    numberColumn("p99", "p99", formatDuration),
    numberColumn("queue", t("Waiting"), formatNumber),
    numberColumn("running", t("Running"), formatNumber),
    numberColumn("batch", t("Rows in a run"), formatNumber),
  ];
  const caption = t("The latest second, by model and variant");
  return html`<${Table} ...${{ caption, columns, rows, name: (row) => row.key }} />`;
}

const nameOf = (row) => (row.key === ALL ? t("All together") : row.name);

function Choice({ row, chosen, toggle }) {
  const isChosen = chosen.includes(row.key);
  const color = isChosen ? `var(${colorOf(chosen, row.key)})` : "transparent";
  return html`
    <label class="line-choice">
      <input type="checkbox" checked=${isChosen} onChange=${() => toggle(row.key)}
        aria-label=${t("Draw {name}", { name: [nameOf(row), row.part].filter(Boolean).join(" ") })} />
      <span class="swatch" style=${{ background: color }} aria-hidden="true"></span>
    </label>
  `;
}
