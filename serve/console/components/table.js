/** Tables whose columns can be sorted, and that scroll sideways where there is no room. */

import { formatNumber, t } from "../language.js";
import { html, useState } from "../view.js";

const AT_ONCE = 200; // rows: thousands would be drawn anew with every change

/**
 * `columns` are `{key, title, cell(row), value?(row), isNumber?}`; one with a `value` can be sorted by it.
 * `rows` are any objects, `name(row)` a text that is each row's own, `caption` what the table shows.
 * The first `atOnce` rows are shown, and as many more each time that one asks for them.
 */
export function Table({ caption, columns, rows, name, hasHiddenCaption = true, atOnce = AT_ONCE }) {
  const [order, setOrder] = useState(null);
  const [limit, setLimit] = useState(atOnce);
  const hidden = rows.length - limit;
  const sorted = order ? sortRows(rows, columns, order) : rows;
  return html`
    <div class="table-frame" tabindex="0" role="region" aria-label=${caption}>
      <table>
        <caption class=${hasHiddenCaption ? "hidden" : ""}>${caption}</caption>
        <thead>
          <tr>
            ${columns.map((column) => html`<${Heading} key=${column.key} ...${{ column, order, setOrder }} />`)}
          </tr>
        </thead>
        <tbody>
          ${sorted.slice(0, limit).map((row) => html`<tr key=${name(row)}>${columns.map((each) => writeCell(each, row))}</tr>`)}
        </tbody>
      </table>
    </div>
    ${
      hidden > 0 &&
      html`<p><button type="button" onClick=${() => setLimit(limit + atOnce)}>
        ${t("Show more ({count} left)", { count: formatNumber(hidden) })}
      </button></p>`
    }
  `;
}

/** A column of numbers, a dash for none; `format` writes one, `value(row)` is `row[key]` by default. */
export function numberColumn(key, title, format, value = (row) => row[key]) {
  return {
    key,
    title,
    isNumber: true,
    value,
    cell: (row) => (value(row) === null || value(row) === undefined ? "–" : format(value(row))),
  };
}

function Heading({ column, order, setOrder }) {
  const align = column.isNumber ? "number" : "";
  if (!column.value) return html`<th scope="col" class=${align}>${column.title}</th>`;
  const isSorted = order?.key === column.key;
  const direction = isSorted && !order.isDescending ? "ascending" : "descending";
  const sort = () => setOrder({ key: column.key, isDescending: isSorted && !order.isDescending });
  return html`
    <th scope="col" class=${align} aria-sort=${isSorted ? direction : "none"}>
      <button type="button" class="sort" onClick=${sort}>
        ${column.title}<span aria-hidden="true">${isSorted && (direction === "ascending" ? " ↑" : " ↓")}</span>
      </button>
    </th>
  `;
}

function writeCell(column, row) {
  const content = column.cell(row);
  const align = column.isNumber ? "number" : "";
  if (column.isHeading) return html`<th scope="row" key=${column.key} class=${align}>${content}</th>`;
  return html`<td key=${column.key} class=${align}>${content}</td>`;
}

function sortRows(rows, columns, { key, isDescending }) {
  const { value } = columns.find((column) => column.key === key);
  const sign = isDescending ? -1 : 1;
  return [...rows].sort((one, other) => sign * compare(value(one), value(other)));
}

/** Numbers by size, texts as people order them; what is not known last. */
function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one ?? "\uffff").localeCompare(String(other ?? "\uffff"), undefined, { numeric: true });
}
