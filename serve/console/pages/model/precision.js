/** How a file of lower precision was rounded, and the gate that it passed. */

import { Facts } from "../../components/facts.js";
import { Table, numberColumn } from "../../components/table.js";
import { Told } from "../../components/told.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";

/** `rounding` is the manifest's. */
export function Precision({ precision, rounding }) {
  const { method, judged_on: judgedOn, samples, losses, accuracy, kept, places } = rounding;
  return html`
    <section class="card">
      <h2>${t("Precision")}</h2>
      <${Facts} rows=${[
        [t("Precision"), `${precision}, ${method}`],
        [t("Judged on"), t("{count} samples, {origin}", { count: formatNumber(samples), origin: judgedOn })],
        [t("Largest error allowed"), formatShare(rounding.max_error)],
        [t("Least agreement allowed"), formatShare(rounding.min_agreement)],
        [t("Accuracy"), accuracy && describeAccuracy(accuracy)],
        [
          t("Kept in float"),
          t("{kept} of {places} places", { kept: formatNumber(kept.length), places: formatNumber(places) }),
        ],
      ]} />
      <h3>${t("Errors")}</h3>
      <${Losses} losses=${losses} />
      ${kept.length > 0 && html`<h3>${t("Kept in float")}</h3><${Kept} kept=${kept} />`}
    </section>
  `;
}

function describeAccuracy({ samples, original, file }) {
  return t("{file} of {samples} right, the original {original}", {
    file: formatNumber(file),
    original: formatNumber(original),
    samples: formatNumber(samples),
  });
}

function Losses({ losses }) {
  const columns = [
    {
      key: "output",
      title: t("Output"),
      isHeading: true,
      cell: (row) => html`<code><bdi>${row.output}</bdi></code>`,
    },
    numberColumn("largest", t("Largest error"), formatShare),
    numberColumn("typical", t("Root mean square"), formatShare),
    {
      key: "agreed",
      title: t("Agree"),
      isNumber: true,
      cell: (row) =>
        row.agreed === null
          ? "–"
          : `${formatNumber(row.agreed)} / ${formatNumber(row.compared)} (${formatShare(row.low)}–${formatShare(row.high)})`,
    },
  ];
  const caption = t("Errors as shares of the output's scale");
  return html`<${Table} ...${{ caption, columns, rows: losses, name: (row) => row.output }} />`;
}

function Kept({ kept }) {
  const rows = kept.map((record, place) => ({ ...record, place }));
  const columns = [
    {
      key: "layer",
      title: t("Layer"),
      isHeading: true,
      cell: (row) => html`<code><bdi>${row.layer}</bdi></code>`,
    },
    { key: "kind", title: t("Operator"), cell: (row) => html`<code>${row.kind}</code>` },
    { key: "reason", title: t("Reason"), cell: (row) => html`<${Told} text=${row.reason} />` },
  ];
  const caption = t("Kept in float");
  return html`<${Table} ...${{ caption, columns, rows, name: (row) => row.place }} />`;
}
