/** A learned curve against its start, and below it on the same axis what reached it: in training, and live. */

import { formatNumber, formatShare, t } from "../language.js";
import { html } from "../view.js";
import { extent, scale, ticks } from "./scale.js";

const WIDTH = 340;
const [LEFT, RIGHT, TOP] = [40, 8, 8];
const CURVE_HEIGHT = 170;
const BARS_HEIGHT = 46;
const GAP = 8;
const AXIS = 18;

/**
 * `points` are the inputs, `learned` and `start` lists of curves there, one a channel; `reach` and `live` are
 * histograms `{low, high, shares}`, or null; `description` says in words what is seen.
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
        <text key=${value} class="tick" x=${x(value)} y=${height - 5} text-anchor="middle">${formatNumber(value)}</text>
      `,
      )}
    </svg>
  `;
}

function Curves({ points, learned, start, x }) {
  const [low, high] = extent([...learned, ...(start || [])]);
  const y = scale(low, high, TOP + CURVE_HEIGHT, TOP);
  const right = WIDTH - RIGHT;
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
      ${distinct(start || []).map((curve, place) => html`<path key=${`s${place}`} class="start" d=${trace(points, curve, x, y)} />`)}
      ${learned.map(
        (curve, place) => html`
        <path key=${`l${place}`} class=${learned.length > 1 ? "learned channel" : "learned"} d=${trace(points, curve, x, y)} />
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
  const densest = Math.max(
    ...[reach, live].filter(Boolean).flatMap(densities).filter(Number.isFinite),
    1e-12,
  );
  const frame = { x, low, high, top, densest };
  const foot = top + BARS_HEIGHT;
  return html`
    <g>
      <line class="zero" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${foot} y2=${foot} />
      ${reach && html`<path class="reach" d=${outline(reach, frame)} />`}
      ${live && html`<path class="reach-live" d=${outline(live, frame)} />`}
    </g>
  `;
}

/** Shares for each unit of the input, so that histograms with other bins compare. */
const densities = ({ low, high, shares }) =>
  shares.map((share) => (share * shares.length) / (high - low || 1));

/** The steps of a histogram, closed at the foot, cut where the curve's axis ends. */
function outline(histogram, { x, low, high, top, densest }) {
  const width = (histogram.high - histogram.low || 1) / histogram.shares.length;
  const foot = top + BARS_HEIGHT;
  const y = (density) => (foot - (density / densest) * BARS_HEIGHT).toFixed(1);
  const steps = densities(histogram).flatMap((density, place) => {
    const [from, to] = [histogram.low + place * width, histogram.low + (place + 1) * width];
    if (to <= low || from >= high) return [];
    return [
      `L${x(Math.max(low, from)).toFixed(1)} ${y(density)}`,
      `L${x(Math.min(high, to)).toFixed(1)} ${y(density)}`,
    ];
  });
  if (!steps.length) return "";
  const first = x(Math.min(high, Math.max(low, histogram.low))).toFixed(1);
  const last = x(Math.max(low, Math.min(high, histogram.high))).toFixed(1);
  return `M${first} ${foot}${steps.join("")}L${last} ${foot}Z`;
}

/** Which share of what reached the activation lies left and right of the shown curve, in words; empty for none. */
export function describeOutside(histogram, low, high) {
  const width = (histogram.high - histogram.low || 1) / histogram.shares.length;
  const sum = (isWanted) =>
    histogram.shares
      .filter((_, place) => isWanted(histogram.low + (place + 0.5) * width))
      .reduce((all, share) => all + share, 0);
  const [below, above] = [sum((middle) => middle < low), sum((middle) => middle > high)];
  const parts = [];
  if (below >= 0.0005)
    parts.push(t("{share} below {value}", { share: formatShare(below), value: formatNumber(low) }));
  if (above >= 0.0005)
    parts.push(t("{share} above {value}", { share: formatShare(above), value: formatNumber(high) }));
  return parts.join(" · ");
}
