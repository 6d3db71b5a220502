/** A model's answer: scores as bars by class, everything else as numbers. */

import { formatAligned, formatDuration, formatNumber, formatShare, formatWhole, t } from "../../language.js";
import { html, useState } from "../../view.js";

const BARS = 10;
const MOST_SCORES = 2000;
const MOST_SHOWN = 2000; // characters of other values

/** `outputs` are `{name, datatype, shape, data}`; `classes` names the places of a row of scores, if that is known. */
export function Answer({ outputs, classes, labels, truncated, version, milliseconds }) {
  return html`
    <div class="answer">
      <p class="answer-facts">
        <strong>${formatDuration(milliseconds)}</strong> ${t("round trip")}
        ${version && html` · ${t("answered by version {version}", { version })}`}
        ${truncated?.length > 0 && html` · ${t("the text was cut to the length that the model takes")}`}
      </p>
      ${labels?.length > 0 && html`<p>${t("Likeliest class")}: <strong><bdi>${labels.join(", ")}</bdi></strong></p>`}
      ${outputs.map((output) => html`<${Output} key=${output.name} output=${output} classes=${classes} />`)}
    </div>
  `;
}

function Output({ output, classes }) {
  const { name, datatype, shape, data } = output;
  const areWhole = /INT/.test(datatype);
  const width = shape[shape.length - 1];
  const areScores =
    !areWhole &&
    shape.length <= 2 &&
    width > 1 &&
    width <= MOST_SCORES &&
    data.every((value) => typeof value === "number");
  return html`
    <section>
      <h3><code><bdi>${name}</bdi></code> <span class="note">[${shape.join(", ")}]</span></h3>
      ${
        areScores
          ? html`<${Scores} width=${width} data=${data} classes=${classes?.length === width ? classes : null} />`
          : html`<${Values} data=${data} write=${areWhole ? formatWhole : (value) => formatNumber(Number(value), 6)} />`
      }
    </section>
  `;
}

function Values({ data, write }) {
  const text = data
    .slice(0, MOST_SHOWN) // each is one character at least: millions would take seconds
    .map((value) => (["number", "bigint"].includes(typeof value) ? write(value) : String(value)))
    .join("   ");
  return html`<pre class="values" tabindex="0">${text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text}</pre>`;
}

function Scores({ width, data, classes }) {
  const rows = data.length / width;
  const [row, setRow] = useState(0);
  const [isSoftmax, setSoftmax] = useState(false);
  const place = Math.min(row, rows - 1);
  const scores = data.slice(place * width, (place + 1) * width);
  const shown = isSoftmax ? softmax(scores) : scores;
  return html`
    <div class="score-choices">
      ${rows > 1 && html`<${RowChoice} row=${place} rows=${rows} set=${setRow} />`}
      ${!areShares(scores) && html`<${SoftmaxChoice} isSoftmax=${isSoftmax} set=${setSoftmax} />`}
    </div>
    <${Bars} values=${shown} classes=${classes} areShares=${isSoftmax || areShares(scores)} />
  `;
}

function RowChoice({ row, rows, set }) {
  const choose = (event) => set(Math.min(rows, Math.max(1, Math.floor(Number(event.target.value)) || 1)) - 1);
  return html`
    <label>
      ${t("Row")}${" "}<input type="number" min="1" max=${rows} value=${row + 1} onInput=${choose} />${" "}
      ${t("of {count}", { count: formatNumber(rows) })}
    </label>
  `;
}

function SoftmaxChoice({ isSoftmax, set }) {
  return html`
    <label>
      <input type="checkbox" checked=${isSoftmax} onChange=${(event) => set(event.target.checked)} />${" "}
      ${t("as probabilities (softmax)")}
    </label>
  `;
}

function Bars({ values, classes, areShares: inPercent }) {
  const write = inPercent ? formatShare : formatAligned(values);
  const order = values.map((_, place) => place).sort((one, other) => values[other] - values[one]);
  const [isWhole, setWhole] = useState(false);
  const first = isWhole ? order : order.slice(0, BARS);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  return html`
    <dl class="bars">
      ${first.map(
        (place, rank) => html`
        <dt key=${`${place} name`} class=${rank === 0 ? "is-first" : ""}><bdi>${classes ? classes[place] : place}</bdi></dt>
        <dd key=${`${place} bar`}><${Bar} value=${values[place]} low=${low} high=${high} /></dd>
        <dd key=${`${place} number`} class=${rank === 0 ? "bar-number is-first" : "bar-number"}>${write(values[place])}</dd>
      `,
      )}
    </dl>
    ${
      order.length > BARS &&
      html`<p>
        <button type="button" class="quiet" onClick=${() => setWhole(!isWhole)}>
          ${isWhole ? t("Show the first only") : t("Show all {count}", { count: formatNumber(order.length) })}
        </button>
      </p>`
    }
  `;
}

function Bar({ value, low, high }) {
  const span = high - low || 1;
  const [from, to] = [Math.min(0, value), Math.max(0, value)];
  return html`
    <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="bar-ground" width="100" height="10" />
      <rect class="bar-value" x=${(100 * (from - low)) / span} width=${(100 * (to - from)) / span} height="10" />
    </svg>
  `;
}

function softmax(scores) {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}

/** Whether the scores are shares of 1 already. */
function areShares(scores) {
  const sum = scores.reduce((all, score) => all + score, 0);
  return scores.every((score) => score >= 0) && Math.abs(sum - 1) < 1e-3;
}

/** The outputs in an answer to `:predict`, in the form of the other protocol's; `described` are the model's. */
export function readPredictions(predictions, described) {
  const isByName = predictions[0] && typeof predictions[0] === "object" && !Array.isArray(predictions[0]);
  const outputs = isByName ? Object.keys(predictions[0]) : [described[0].name];
  const datatypes = new Map(described.map(({ name, datatype }) => [name, datatype]));
  return outputs.map((name) => {
    const rows = isByName ? predictions.map((row) => row[name]) : predictions;
    return { name, datatype: datatypes.get(name), shape: [rows.length, ...measure(rows[0])], data: rows.flat(Infinity) };
  });
}

const measure = (value) => (Array.isArray(value) ? [value.length, ...measure(value[0])] : []);
