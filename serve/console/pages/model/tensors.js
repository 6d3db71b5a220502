/** What goes into a model and comes out, and what is known of it besides: classes, columns, preprocessing. */

import { Facts, LongList } from "../../components/facts.js";
import { Table } from "../../components/table.js";
import { formatNumber, t } from "../../language.js";
import { html } from "../../view.js";

/** `metadata` is the server's; the manifest, if there is one, has the names of free sizes. */
export function Tensors({ metadata, manifest }) {
  const { inputs, outputs, description = {}, sizes } = metadata;
  const rows = [
    ...describe(inputs, t("input"), manifest?.inputs),
    ...describe(outputs, t("output"), manifest?.outputs),
  ];
  const columns = [
    { key: "role", title: t("Direction"), cell: (row) => row.role },
    {
      key: "name",
      title: t("Name"),
      isHeading: true,
      cell: (row) => html`<code><bdi>${row.name}</bdi></code>`,
    },
    { key: "datatype", title: t("Type"), cell: (row) => html`<code>${row.datatype}</code>` },
    { key: "shape", title: t("Shape"), cell: (row) => html`<code>${row.shape}</code>` },
  ];
  return html`
    <section class="card">
      <h2>${t("Inputs and outputs")}</h2>
      <${Table} caption=${t("Inputs and outputs")} columns=${columns} rows=${rows}
        name=${(row) => `${row.role} ${row.name}`} />
      <${Facts} rows=${[
        [t("Sizes"), sizes && html`<ul class="plain">${sizes.map(describeSize)}</ul>`],
        [t("Classes"), description.classes && html`<${Names} part=${description.classes} />`],
        [t("Columns"), description.columns && html`<${Names} part=${description.columns} />`],
        [t("Preprocessing"), description.preprocessing && describePreprocessing(description.preprocessing)],
        [
          t("Tokenizer"),
          description.tokenizer && html`<code>${JSON.stringify(description.tokenizer.value)}</code>`,
        ],
      ]} />
    </section>
  `;
}

function describe(tensors, role, recorded) {
  return tensors.map((tensor, place) => ({
    ...tensor,
    role,
    shape: writeShape(tensor.shape, recorded?.[place]),
  }));
}

/** A shape as people write it: `[N, 64]`; a free size has its name, or else ?. */
export function writeShape(shape, recorded) {
  const names = recorded?.shape?.length === shape.length ? recorded.shape : shape;
  const write = (size, axis) => (size >= 0 ? size : typeof names[axis] === "string" ? names[axis] : "?");
  return `[${shape.map(write).join(", ")}]`;
}

function describeSize({ input, axis, low, high, multiple }) {
  const values = {
    input,
    axis,
    low: formatNumber(low),
    high: formatNumber(high),
    multiple: formatNumber(multiple),
  };
  const bounds =
    high === null || high === undefined
      ? t("{input}, axis {axis}: from {low}", values)
      : t("{input}, axis {axis}: {low} to {high}", values);
  const steps = multiple > 1 ? ` ${t("in steps of {multiple}", values)}` : "";
  return html`<li key=${`${input} ${axis}`}><bdi>${bounds}</bdi>${steps}</li>`;
}

function Names({ part: { value, origin } }) {
  return html`
    <${LongList} items=${value} summary=${t("all {count}", { count: formatNumber(value.length) })} />
    <span class="note">${t("read from {origin}", { origin })}</span>
  `;
}

function describePreprocessing({ value, origin }) {
  const steps = Object.entries(value).filter(([, step]) => step !== null);
  return html`
    <span class="long-list">
      ${steps.map(([name, step]) => html`<span class="chip" key=${name}>${name} <code>${writeStep(step)}</code></span>`)}
    </span>
    <span class="note">${t("read from {origin}", { origin })}</span>
  `;
}

function writeStep(step) {
  if (Array.isArray(step)) return step.map(writeStep).join(", ");
  return typeof step === "number" ? formatNumber(step, 4) : String(step);
}
