/** Lines over time on uPlot, which stays smooth with ten thousand points; all charts show the same moment. */

import { formatClock, formatMinute, language } from "../language.js";
import { theme } from "../theme.js";
import uPlot from "../vendor/uplot.js";
import { html, useEffect, useId, useRef, useState } from "../view.js";

const HEIGHT = 170;
const TOGETHER = "time"; // the pointer over one chart marks the moment in all
const LEAST_SPAN = 60; // seconds: the first points are not stretched over the whole chart

/**
 * `times` are seconds since 1970, `series` are `{label, values, color, isDashed?}` with values at these times, null
 * for none; `format(value)` writes a value, at most `span` seconds are shown, `summary` is the latest in words.
 */
export function LineChart({ title, times, series, format, span, summary }) {
  const frame = useRef(null);
  const plot = useRef(null);
  const caption = useId();
  const [pointed, setPointed] = useState(null);
  const lines = series.map(({ label, color }) => `${label} ${color}`);
  const look = [theme.value, language.value, span, ...lines].join("\n");
  useEffect(() => {
    plot.current = new uPlot(
      describe({ series, format, span, frame: frame.current, onPoint: setPointed }),
      [times, ...values(series)],
      frame.current,
    );
    const watch = new ResizeObserver(([entry]) =>
      plot.current.setSize({ width: entry.contentRect.width, height: HEIGHT }),
    );
    watch.observe(frame.current);
    return () => {
      watch.disconnect();
      plot.current.destroy();
    };
  }, [look]);
  useEffect(() => plot.current.setData([times, ...values(series)]), [times[times.length - 1], times.length]);
  return html`
    <figure class="line-chart" aria-labelledby=${caption}>
      <figcaption id=${caption}>
        <span class="line-chart-title">${title}</span>
        <span class="note">
          ${times[pointed] ? html`<${Moment} ...${{ times, series, format, pointed }} />` : summary}
        </span>
      </figcaption>
      <div ref=${frame} class="line-chart-frame" aria-hidden="true"></div>
    </figure>
  `;
}

/** The values at the moment that the pointer is at. */
function Moment({ times, series, format, pointed }) {
  return html`
    ${formatClock(new Date(times[pointed] * 1000))}
    ${series.map(
      ({ label, color, values: all }) => html`
      <span class="moment" key=${label}>
        <span class="swatch" style=${{ background: `var(${color})` }}></span>${format(all[pointed])}
      </span>
    `,
    )}
  `;
}

const values = (series) => series.map((line) => line.values);

function describe({ series, format, span, frame, onPoint }) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--soft"),
    font: `11px ${style.getPropertyValue("--font")}`,
    grid: { stroke: color("--line"), width: 0.5 },
    ticks: { show: false },
  };
  return {
    width: frame.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: TOGETHER } },
    hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)] },
    padding: [8, 8, 0, 0],
    scales: {
      x: { range: (_, low, high) => [high - Math.min(span, Math.max(LEAST_SPAN, high - low)), high] },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        space: 80,
        size: 26,
        values: (_, marks) => marks.map(writeTime),
      },
      { ...axis, size: 56, space: 30, values: (_, marks) => marks.map(format) },
    ],
    series: [
      {},
      ...series.map((line) => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.5,
        dash: line.isDashed ? [4, 3] : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

function writeTime(mark) {
  const time = new Date(mark * 1000);
  return mark % 60 ? formatClock(time) : formatMinute(time);
}
