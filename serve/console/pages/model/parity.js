/** How the file compares with the original model, and what that comparison exercised. */

import { Facts } from "../../components/facts.js";
import { Table, numberColumn } from "../../components/table.js";
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
  const columns = [
    {
      key: "name",
      title: t("Output"),
      isHeading: true,
      cell: (row) => html`<code><bdi>${row.name}</bdi></code>`,
    },
    numberColumn("scale", t("Scale"), formatNumber),
    numberColumn("file_error", t("Error of the file"), formatNumber),
    numberColumn("allowed", t("Allowed"), formatNumber),
    numberColumn("used", t("Used of it"), formatShare, (row) =>
      row.allowed ? row.file_error / row.allowed : null,
    ),
    numberColumn("original_error", t("Error of float32"), formatNumber),
    numberColumn("ratio", t("Ratio to float32's"), formatNumber),
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
    numberColumn("samples", t("Samples"), formatNumber),
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
