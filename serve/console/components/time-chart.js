/** Lines over time with a band around one of them, as one drawing in the size of its place. */

import { language } from "../language.js";
import { html, useEffect, useId, useRef, useState } from "../view.js";
import { scale, ticks } from "./scale.js";

const HEIGHT = 220;
const [RIGHT, TOP, BOTTOM] = [12, 14, 26];
const LABEL = 90; // what a time at the axis needs
const NEAR = 14; // marks that are nearer share one name
const DAY = 86_400_000;

/**
 * `times` are milliseconds, `lines` are `{name, values, color}` with values at these times, null for none; `band`
 * is `{low, high}` of such values, where null is an open end, or absent. `range` are the ends of the axis, `baseline`
 * a value that is drawn through, `marks` are `{at, name}`; `format` writes a value, `description` says what is seen.
 */
export function TimeChart({ times, lines, band, range, baseline, marks = [], format, description }) {
  const [frame, width] = useWidth();
  const clip = useId();
  const [first, last] = [times[0], times[times.length - 1]];
  const single = first === last ? DAY / 48 : 0;
  const values = ticks(range[0], range[1], 4).map((value) => ({ value, text: format(value) }));
  const left = 10 + Math.max(...values.map(({ text }) => measure(text)));
  const x = scale(first - single, last + single, left, width - RIGHT);
  const y = scale(range[0], range[1], HEIGHT - BOTTOM, TOP);
  const right = width - RIGHT;
  return html`
    <div ref=${frame} class="time-chart">
      <svg class="chart" viewBox="0 0 ${width} ${HEIGHT}" width=${width} height=${HEIGHT} role="img" aria-label=${description}>
        <clipPath id=${clip}><rect x=${left} y=${TOP} width=${Math.max(0, right - left)} height=${HEIGHT - TOP - BOTTOM} /></clipPath>
        ${values.map(
          ({ value, text }) => html`
          <g key=${value}>
            <line class="grid" x1=${left} x2=${right} y1=${y(value)} y2=${y(value)} />
            <text class="tick" x=${left - 6} y=${y(value) + 3.5} text-anchor="end">${text}</text>
          </g>
        `,
        )}
        ${tickTimes(first, last, Math.max(2, Math.floor((right - left) / LABEL))).map(
          (time) => html`
          <text key=${time} class="tick" x=${x(time)} y=${HEIGHT - 7} text-anchor="middle">${formatTick(time, last - first)}</text>
        `,
        )}
        <g clip-path="url(#${clip})">
          ${band && html`<path class="band" d=${outline(times, band, { x, y, range, single })} />`}
          ${baseline !== undefined && html`<line class="start" x1=${left} x2=${right} y1=${y(baseline)} y2=${y(baseline)} />`}
          ${marks.map(({ at, name }, place) => html`<${Mark} key=${name} x=${x(at)} name=${isNear(marks, place, x) ? "" : name} />`)}
          ${lines.map((line) => html`<path key=${line.name} class="line line-${line.color}" d=${trace(times, line.values, x, y)} />`)}
        </g>
        ${lines.map((line) => html`<${End} key=${line.name} ...${{ times, line, x, y }} />`)}
      </svg>
    </div>
  `;
}

/** Whether the next mark would be written over this one's name. */
const isNear = (marks, place, x) =>
  place + 1 < marks.length && x(marks[place + 1].at) - x(marks[place].at) < NEAR;

/** About how wide the text is at an axis: letters of Japanese are twice as wide. */
const measure = (text) => [...text].reduce((sum, letter) => sum + (letter > "\u2e80" ? 11 : 6.4), 0);

function Mark({ x, name }) {
  return html`<g><line class="mark" x1=${x} x2=${x} y1=${TOP} y2=${HEIGHT - BOTTOM} /><text class="tick" x=${x + 3} y=${TOP + 9}>${name}</text></g>`;
}

/** A dot at the last value, which is all there is of a line with one value. */
function End({ times, line, x, y }) {
  const place = line.values.findLastIndex((value) => value !== null);
  return (
    place >= 0 &&
    html`<circle class="dot dot-${line.color}" cx=${x(times[place])} cy=${y(line.values[place])} r="3.5" />`
  );
}

function useWidth() {
  const frame = useRef(null);
  const [width, setWidth] = useState(600);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) =>
      setWidth(Math.max(220, Math.round(entry.contentRect.width))),
    );
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  return [frame, width];
}

function trace(times, values, x, y) {
  let isDown = false;
  return times
    .map((time, place) => {
      const value = values[place];
      const step = isDown ? "L" : "M";
      isDown = value !== null;
      return isDown ? `${step}${x(time).toFixed(1)} ${y(value).toFixed(1)}` : "";
    })
    .join("");
}

/** The band's edge, forth along its high ends and back along its low ones, from the first time with either. */
function outline(times, { low, high }, { x, y, range, single }) {
  const far = range[1] - range[0];
  const clamp = (value) => Math.min(range[1] + far, Math.max(range[0] - far, value));
  const known = times
    .map((time, place) => ({ time, top: high[place] ?? Infinity, foot: low[place] ?? -Infinity }))
    .filter(({ top, foot }) => Number.isFinite(top) || Number.isFinite(foot));
  const ends =
    known.length === 1 ? widen(known[0], (times[times.length - 1] - times[0] || single) / 100) : known;
  const point = (time, value) => `${x(time).toFixed(1)} ${y(clamp(value)).toFixed(1)}`;
  const forth = ends.map(({ time, top }) => point(time, top));
  const back = ends.map(({ time, foot }) => point(time, foot)).reverse();
  return ends.length ? `M${[...forth, ...back].join("L")}Z` : "";
}

/** The band at a single time, as wide as it can be seen. */
const widen = (end, half) => [
  { ...end, time: end.time - half },
  { ...end, time: end.time + half },
];

/** Evenly spread times, none so near an end that its text would be cut. */
function tickTimes(first, last, most) {
  if (first === last) return [first];
  const count = Math.min(most, 6);
  return Array.from({ length: count }, (_, place) => first + ((place + 0.5) / count) * (last - first));
}

function formatTick(time, span) {
  const options =
    span > 2 * DAY
      ? { month: "numeric", day: "numeric" }
      : { hour: "2-digit", minute: "2-digit", ...(span < DAY / 144 && { second: "2-digit" }) };
  return new Intl.DateTimeFormat(language.value, options).format(time);
}
