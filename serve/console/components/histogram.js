/** Histograms: what reached something in training, and above it in outline what reaches it live. */

import { formatNumber, formatShare, t } from "../language.js";
import { html } from "../view.js";
import { scale, ticks } from "./scale.js";

const [WIDTH, HEIGHT, SIDE, AXIS] = [240, 56, 6, 16];

/** A histogram is `{edges, shares}`: the share of the values from each edge to the next. These have equal cells. */
export function fromEqualCells({ low, high, shares }) {
  const width = (high - low || 1) / shares.length;
  return { edges: [...shares, 0].map((_, place) => low + place * width), shares };
}

/** The shares beside and between inner `edges`, of which the first and the last have no end: without these two. */
export function fromInnerEdges(edges, shares) {
  return { edges, shares: shares.slice(1, -1) };
}

/** The highest density of them all, by which the outlines of several are drawn to one scale. */
export function findDensest(histograms) {
  const all = histograms.flatMap((histogram) => listDensities(histogram)).filter(Number.isFinite);
  return Math.max(1e-12, ...all);
}

/** Shares for each unit of the value, so that histograms with other cells compare. */
function listDensities({ edges, shares }) {
  return shares.map((share, place) => share / (edges[place + 1] - edges[place] || 1));
}

/** The steps of a histogram as a closed path, cut at `low` and `high`, `height` high above `foot`. */
export function outline(histogram, { x, low, high, foot, height, densest }) {
  const { edges } = histogram;
  const y = (density) => (foot - (density / densest) * height).toFixed(1);
  const at = (value) => x(Math.min(high, Math.max(low, value))).toFixed(1);
  const steps = listDensities(histogram).flatMap((density, place) => {
    const [from, to] = [edges[place], edges[place + 1]];
    return to <= low || from >= high ? [] : [`L${at(from)} ${y(density)}`, `L${at(to)} ${y(density)}`];
  });
  if (!steps.length) return "";
  return `M${at(edges[0])} ${foot}${steps.join("")}L${at(edges[edges.length - 1])} ${foot}Z`;
}

/** Which share lies left and right of these ends, in words; empty for none. */
export function describeOutside({ edges, shares }, low, high) {
  const sum = (isWanted) =>
    shares.reduce(
      (all, share, place) => all + (isWanted((edges[place] + edges[place + 1]) / 2) ? share : 0),
      0,
    );
  const [below, above] = [sum((middle) => middle < low), sum((middle) => middle > high)];
  const parts = [];
  if (below >= 0.0005)
    parts.push(t("{share} below {value}", { share: formatShare(below), value: formatNumber(low) }));
  if (above >= 0.0005)
    parts.push(t("{share} above {value}", { share: formatShare(above), value: formatNumber(high) }));
  return parts.join(" · ");
}

/** Two histograms over each other: `before` filled, `now` in outline. */
export function Histogram({ before, now, description }) {
  const { edges } = before;
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const frame = {
    x: scale(low, high, SIDE, WIDTH - SIDE),
    low,
    high,
    foot: HEIGHT,
    height: HEIGHT - 4,
    densest: findDensest([before, now]),
  };
  return html`
    <svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT + AXIS}" role="img" aria-label=${description}>
      <path class="reach" d=${outline(before, frame)} />
      <path class="reach-live" d=${outline(now, frame)} />
      <line class="zero" x1=${SIDE} x2=${WIDTH - SIDE} y1=${HEIGHT} y2=${HEIGHT} />
      ${ticks(low, high, 3).map(
        (value) =>
          html`<text key=${value} class="tick" x=${frame.x(value)} y=${HEIGHT + 12} text-anchor="middle">${formatNumber(value)}</text>`,
      )}
    </svg>
  `;
}
