/** The forms in which people ask a model: each calls `set(request)`, or `set(null, problem)` until it is whole. */

import { t } from "../../language.js";
import { html, useId, useLayoutEffect, useMemo, useState } from "../../view.js";
import { writeShape } from "../model/tensors.js";
import { findColumns } from "./kinds.js";
import { requestInstances, requestTensors } from "./request.js";
import { fitsInteger, makeExample, parseTensor, readNumber } from "./tensors.js";

export { ImageForm } from "./image-form.js";

/** Each input as JSON or CSV, with what was understood of it. */
export function TensorsForm({ metadata, target, set }) {
  const { inputs, sizes } = metadata;
  const [texts, setTexts] = useState(() => inputs.map((input) => makeExample("zeros", input, sizes)));
  const read = useMemo(() => inputs.map((input, place) => tryParse(texts[place], input)), [texts]);
  useLayoutEffect(() => {
    const problem = read.find((result) => result.problem)?.problem;
    if (problem) set(null, problem);
    else
      set(
        requestTensors(
          target,
          inputs.map(({ name, datatype }, place) => ({ name, datatype, ...read[place] })),
        ),
      );
  }, [texts]);
  const fillAll = (kind) => () => setTexts(inputs.map((input) => makeExample(kind, input, sizes)));
  return html`
    <p class="button-row examples"><span class="hint">${t("Examples:")}</span>
      <button type="button" onClick=${fillAll("zeros")}>${t("Zeros")}</button>
      <button type="button" onClick=${fillAll("random")}>${t("Random")}</button>
    </p>
    ${inputs.map(
      (input, place) => html`
      <${TensorField} key=${input.name} input=${input} text=${texts[place]} result=${read[place]}
        change=${(text) => setTexts(texts.map((other, index) => (index === place ? text : other)))} />
    `,
    )}
  `;
}

function TensorField({ input, text, result, change }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>
        <code><bdi>${input.name}</bdi></code>${" "}
        <span class="note">${input.datatype} ${writeShape(input.shape)}</span>
      </label>
      <textarea id=${id} spellcheck=${false} value=${text} aria-describedby="${id}-said"
        aria-invalid=${Boolean(result.problem)} onInput=${(event) => change(event.target.value)}></textarea>
      <p id="${id}-said" class=${result.problem ? "problem" : "hint"}>
        ${result.problem || t("JSON or CSV, read as shape {shape}", { shape: `[${result.shape.join(", ")}]` })}
      </p>
    </div>
  `;
}

function tryParse(text, input) {
  try {
    return parseTensor(text, input);
  } catch (error) {
    return { problem: error.message };
  }
}

/** A text, or two for a model that compares texts. */
export function TextForm({ target, set }) {
  const [text, setText] = useState("");
  const [pair, setPair] = useState("");
  const [id, pairId] = [useId(), useId()];
  useLayoutEffect(() => {
    if (!text) set(null, t("enter a text"));
    else set(requestInstances(target, [pair ? { text, text_pair: pair } : text]));
  }, [text, pair]);
  return html`
    <div class="field"><label for=${id}>${t("Text")}</label>
      <textarea id=${id} class="prose" maxlength="131072" value=${text}
        onInput=${(event) => setText(event.target.value)}></textarea></div>
    <div class="field"><label for=${pairId}>${t("Second text, for a model of pairs")}</label>
      <input id=${pairId} value=${pair} maxlength="131072" onInput=${(event) => setPair(event.target.value)} /></div>
  `;
}

/** A row of a table: a field a column. */
export function ColumnsForm({ metadata, target, set }) {
  const columns = findColumns(metadata);
  const [row, setRow] = useState(() => columns.map(({ datatype }) => (datatype === "BYTES" ? "" : "0")));
  const read = columns.map((column, place) => readCell(row[place], column));
  useLayoutEffect(() => {
    const wrong = columns.find((_, place) => read[place] === undefined);
    if (wrong) set(null, t("{column} is no number", { column: wrong.name }));
    else
      set(
        requestInstances(target, [Object.fromEntries(columns.map(({ name }, place) => [name, read[place]]))]),
      );
  }, [row]);
  const change = (place) => (event) =>
    setRow(row.map((other, index) => (index === place ? event.target.value : other)));
  return html`
    <div class="column-fields">
      ${columns.map(
        (column, place) => html`
        <label key=${column.name} class="field"><bdi>${column.name}</bdi>
          <input value=${row[place]} aria-invalid=${read[place] === undefined}
            inputmode=${column.datatype === "BYTES" ? "text" : "decimal"} onInput=${change(place)} />
        </label>
      `,
      )}
    </div>
  `;
}

function readCell(cell, { datatype }) {
  if (datatype === "BYTES") return cell;
  if (datatype === "BOOL") return { true: true, false: false, 1: true, 0: false }[cell.trim().toLowerCase()];
  const number = readNumber(cell, datatype);
  return /INT/.test(datatype) && !fitsInteger(number, datatype) ? undefined : number;
}
