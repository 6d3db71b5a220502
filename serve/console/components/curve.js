/** A learned curve against its start, and below it on the same axis what reached it: in training, and live. */

import { formatNumber } from "../language.js";
import { html } from "../view.js";
import { findDensest, outline } from "./histogram.js";
import { extent, scale, ticks } from "./scale.js";

const WIDTH = 340;
const [LEFT, RIGHT, TOP] = [40, 8, 8];
const CURVE_HEIGHT = 170;
const BARS_HEIGHT = 46;
const GAP = 8;
const AXIS = 18;

/**
 * `points` are the inputs, `learned` and `start` lists of curves there, one a channel; `reach` and `live` are
 * histograms `{edges, shares}`, or null; `description` says in words what is seen.
 */
export function ActivationChart({ points, learned, start, reach, live, description }) {
  const [low, high] = [points[0], points[points.length - 1]];
  const x = scale(low, high, LEFT, WIDTH - RIGHT);
  const hasBars = Boolean(reach || live);
  const bottom = TOP + CURVE_HEIGHT;
  const height = bottom + (hasBars ? GAP + BARS_HEIGHT : 0) + AXIS;
  return html`
    <svg class="chart" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label=${description}>
      <${Curves} ...${{ points, learned, start, x }} />
      ${hasBars && html`<${Reach} ...${{ reach, live, x, low, high, top: bottom + GAP }} />`}
      ${ticks(low, high, 4).map(
        (value) => html`
        <text key=${value} class="tick" x=${x(value)} y=${height - 5} text-anchor="middle">
          ${formatNumber(value)}
        </text>
      `,
      )}
    </svg>
  `;
}

function Curves({ points, learned, start, x }) {
  const [low, high] = extent([...learned, ...(start || [])]);
  const y = scale(low, high, TOP + CURVE_HEIGHT, TOP);
  const right = WIDTH - RIGHT;
  const look = learned.length > 1 ? "learned channel" : "learned";
  return html`
    <g>
      ${ticks(low, high, 4).map(
        (value) => html`
        <g key=${value}>
          <line class=${value === 0 ? "zero" : "grid"} x1=${LEFT} x2=${right} y1=${y(value)} y2=${y(value)} />
          <text class="tick" x=${LEFT - 5} y=${y(value) + 3.5} text-anchor="end">${formatNumber(value)}</text>
        </g>
      `,
      )}
      ${points[0] < 0 && html`<line class="zero" x1=${x(0)} x2=${x(0)} y1=${TOP} y2=${TOP + CURVE_HEIGHT} />`}
      ${distinct(start || []).map(
        (curve, place) => html`
        <path key=${`s${place}`} class="start" d=${trace(points, curve, x, y)} />
      `,
      )}
      ${learned.map(
        (curve, place) => html`
        <path key=${`l${place}`} class=${look} d=${trace(points, curve, x, y)} />
      `,
      )}
    </g>
  `;
}

/** Each curve once: channels often start alike. */
function distinct(curves) {
  const seen = new Map(curves.map((curve) => [curve.join(), curve]));
  return [...seen.values()];
}

/** The path through the points whose value is finite; it breaks where one is not. */
function trace(points, values, x, y) {
  let isDown = false;
  const parts = points.map((point, place) => {
    if (!Number.isFinite(values[place])) {
      isDown = false;
      return "";
    }
    const step = isDown ? "L" : "M";
    isDown = true;
    return `${step}${x(point).toFixed(1)} ${y(values[place]).toFixed(1)}`;
  });
  return parts.join("");
}

function Reach({ reach, live, x, low, high, top }) {
  const foot = top + BARS_HEIGHT;
  const densest = findDensest([reach, live].filter(Boolean));
  const frame = { x, low, high, foot, height: BARS_HEIGHT, densest };
  return html`
    <g>
      <line class="zero" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${foot} y2=${foot} />
      ${reach && html`<path class="reach" d=${outline(reach, frame)} />`}
      ${live && html`<path class="reach-live" d=${outline(live, frame)} />`}
    </g>
  `;
}
