/** How the file compares with the original model, and what that comparison exercised. */

import { Facts } from "../../components/facts.js";
import { Table } from "../../components/table.js";
import { Told } from "../../components/told.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";

/** `parity` is the manifest's, `reference` the precision of the model that it was judged against. */
export function Parity({ parity, reference }) {
  const { criterion, outputs, sets, coverage } = parity;
  return html`
    <section class="card">
      <h2>${t("Parity with the original")}</h2>
      <${Facts} rows=${[
        [t("Criterion"), html`<${Told} text=${criterion} />`],
        [t("Judged against"), reference],
        [
          t("Weights tried"),
          coverage &&
            t("{tried} of {weights}, {unseen} unseen", {
              tried: formatNumber(coverage.tried),
              weights: formatNumber(coverage.weights),
              unseen: formatNumber(coverage.unseen.length),
            }),
        ],
      ]} />
      ${
        coverage?.reasons.length > 0 &&
        html`
        <h3>${t("Why it is weak")}</h3>
        <ul>${coverage.reasons.map((reason, place) => html`<li key=${place}><${Told} text=${reason} /></li>`)}</ul>
      `
      }
      <h3>${t("Outputs")}</h3>
      <${Outputs} outputs=${outputs} />
      <h3>${t("Sets of samples")}</h3>
      <${Sets} sets=${sets} />
    </section>
  `;
}

function Outputs({ outputs }) {
  const number = (key, title, value, format = formatNumber) => ({
    key,
    title,
    isNumber: true,
    value,
    cell: (row) => (value(row) === null || value(row) === undefined ? "–" : format(value(row))),
  });
  const columns = [
    {
      key: "name",
      title: t("Output"),
      isHeading: true,
      cell: (row) => html`<code><bdi>${row.name}</bdi></code>`,
    },
    number("scale", t("Scale"), (row) => row.scale),
    number("file", t("Error of the file"), (row) => row.file_error),
    number("allowed", t("Allowed"), (row) => row.allowed),
    number(
      "used",
      t("Used of it"),
      (row) => (row.allowed ? row.file_error / row.allowed : null),
      formatShare,
    ),
    number("original", t("Error of float32"), (row) => row.original_error),
    number("ratio", t("Ratio to float32's"), (row) => row.ratio),
    {
      key: "top1",
      title: t("Same first place"),
      isNumber: true,
      cell: (row) =>
        row.top1 ? `${formatNumber(row.top1.agreed)} / ${formatNumber(row.top1.samples)}` : "–",
    },
    { key: "worst", title: t("Hardest set"), cell: (row) => html`<${Told} text=${row.worst_set} />` },
  ];
  const caption = t("Errors by output");
  return html`<${Table} ...${{ caption, columns, rows: outputs, name: (row) => row.name }} />`;
}

function Sets({ sets }) {
  const columns = [
    {
      key: "name",
      title: t("Set"),
      isHeading: true,
      cell: (row) => html`<${Told} text=${row.name} />`,
    },
    { key: "samples", title: t("Samples"), isNumber: true, cell: (row) => formatNumber(row.samples) },
    {
      key: "used",
      title: t("Used of the allowance"),
      isNumber: true,
      cell: (row) => formatShare(Math.max(0, ...Object.values(row.used || {}))),
    },
    {
      key: "overflowed",
      title: t("Overflowed"),
      isNumber: true,
      cell: (row) => formatNumber(row.overflowed),
    },
    {
      key: "lost",
      title: t("NaN or Inf that differ"),
      isNumber: true,
      cell: (row) => formatNumber(row.non_finite_lost + (row.non_finite_gained || 0)),
    },
  ];
  const caption = t("Sets of samples");
  return html`<${Table} ...${{ caption, columns, rows: sets, name: (row) => row.name }} />`;
}
