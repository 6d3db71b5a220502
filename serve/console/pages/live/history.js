/** The last ten minutes of what was seen live, for all lines, kept while other pages are looked at. */

import { ALL } from "./rates.js";

export const SPAN_SECONDS = 600;
const METRICS = ["requests", "errors", "queue", "batch", "p50", "p99"];

/** Values by time: `times`, and for each line its metrics at these times, null where it has none. */
export class History {
  constructor() {
    this.times = [];
    this.memory = [];
    this.processor = [];
    this.lines = new Map();
    this.latest = null;
  }

  /** Add what happened in the latest second, and forget what is older than ten minutes. */
  push(rates) {
    const gap = this.times.length && rates.at - this.times[this.times.length - 1] > 5;
    if (gap)
      this.append(this.times[this.times.length - 1] + 1, { memory: null, processor: null, lines: new Map() });
    this.append(rates.at, rates);
    this.latest = rates;
    const kept = this.times.findIndex((time) => time > rates.at - SPAN_SECONDS - 2);
    if (kept > 0) this.drop(kept);
  }

  /** The values of one metric of a line; none of a line that is not there. */
  values(key, metric) {
    return this.lines.get(key)?.[metric] || this.times.map(() => null);
  }

  append(at, { memory, processor, lines }) {
    for (const key of lines.keys()) {
      if (!this.lines.has(key)) this.lines.set(key, makeLine(this.times.length));
    }
    for (const [key, line] of this.lines) {
      for (const metric of METRICS) line[metric].push(lines.get(key)?.[metric] ?? null);
    }
    this.times.push(at);
    this.memory.push(memory);
    this.processor.push(processor);
  }

  drop(count) {
    for (const list of [this.times, this.memory, this.processor]) list.splice(0, count);
    for (const [key, line] of this.lines) {
      for (const metric of METRICS) line[metric].splice(0, count);
      const isGone = !this.latest.lines.has(key) && line.requests.every((value) => value === null);
      if (isGone && key !== ALL) this.lines.delete(key);
    }
  }
}

function makeLine(length) {
  return Object.fromEntries(METRICS.map((metric) => [metric, new Array(length).fill(null)]));
}
