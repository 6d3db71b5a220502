/** Which rewrite rules made the file, which declined and why, and which were left out. */

import { Table, numberColumn } from "../../components/table.js";
import { Told } from "../../components/told.js";
import { formatNumber, t } from "../../language.js";
import { html } from "../../view.js";

/** `manifest` has `fired`, `declined` and `dropped`. */
export function Rules({ manifest: { fired, declined = [], dropped = [] } }) {
  const rule = {
    key: "rule",
    title: t("Rule"),
    isHeading: true,
    value: (row) => row.rule,
    cell: (row) => html`<code>${row.rule}</code>`,
  };
  const reason = {
    key: "reason",
    title: t("Reason"),
    cell: (row) => html`<${Told} text=${row.reason} />`,
  };
  const times = numberColumn("times", t("Times"), formatNumber);
  const layer = {
    key: "layer",
    title: t("Layer"),
    value: (row) => row.layer,
    cell: (row) => html`<code><bdi>${row.layer}</bdi></code>`,
  };
  const isIdle = !fired.length && !declined.length && !dropped.length;
  return html`
    <section class="card">
      <h2>${t("Rules")}</h2>
      ${isIdle && html`<p class="note">${t("No rule found anything to rewrite.")}</p>`}
      <div class="rules">
        <${Part} title=${t("Applied")} rows=${fired} columns=${[rule, times]} />
        <${Part} title=${t("Declined")} rows=${declined} columns=${[rule, layer, reason]} />
        <${Part} title=${t("Left out, since the file failed parity with them")} rows=${dropped} columns=${[rule, reason]} />
      </div>
    </section>
  `;
}

function Part({ title, rows, columns }) {
  if (!rows.length) return null;
  const numbered = rows.map((row, place) => ({ ...row, place }));
  return html`
    <div>
      <h3>${title}</h3>
      <${Table} caption=${title} columns=${columns} rows=${numbered} name=${(row) => row.place} />
    </div>
  `;
}
