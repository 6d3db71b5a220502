/** The last hour of what was seen live, for all lines, kept while other pages are looked at. */

import { ALL } from "./rates.js";

export const SHORT_SECONDS = 600;
export const LONG_SECONDS = 3600;
const METRICS = ["requests", "errors", "queue", "batch", "p50", "p99"];
const GAP_SECONDS = 12; // more than lies between two moments of the server's own history
const COARSE_SECONDS = 5; // between the moments that are kept of what is older than the short span
const IDLE = { requests: 0, errors: 0, queue: 0 };

/** Values by time: `times`, and for each line its metrics at these times, null where it has none. */
export class History {
  constructor() {
    this.clear();
  }

  /** Forget everything. */
  clear() {
    this.times = [];
    this.memory = [];
    this.processor = [];
    this.lines = new Map();
    this.latest = null;
  }

  /** The latest moment, in seconds since 1970; 0 where there is none. */
  get end() {
    return this.times.length ? this.times[this.times.length - 1] : 0;
  }

  /**
   * Add what happened until a later moment than the latest, and forget what is older than an hour. Lines that
   * `isSparse` rates leave out were idle. Where the server's clock was set back, everything begins anew.
   */
  push(rates) {
    if (rates.at <= this.end - GAP_SECONDS) this.clear();
    if (rates.at <= this.end) return;
    if (this.end && rates.at - this.end > GAP_SECONDS)
      this.append(this.end + 1, { memory: null, processor: null, lines: new Map() });
    this.append(rates.at, rates);
    this.latest = rates;
    const kept = this.times.findIndex((time) => time > rates.at - LONG_SECONDS - 2);
    if (kept > 0) this.remove(0, kept);
    this.thin(rates.at - SHORT_SECONDS);
  }

  /** The values of one metric of a line; none of a line that is not there. */
  values(key, metric) {
    return this.lines.get(key)?.[metric] || this.times.map(() => null);
  }

  append(at, { memory, processor, lines, isSparse }) {
    for (const key of lines.keys()) {
      if (!this.lines.has(key)) this.lines.set(key, makeLine(this.times.length));
    }
    for (const [key, line] of this.lines) {
      const values = lines.get(key) || (isSparse ? IDLE : {});
      for (const metric of METRICS) line[metric].push(values[metric] ?? null);
    }
    this.times.push(at);
    this.memory.push(memory);
    this.processor.push(processor);
  }

  /** Of the moments before `end` keep one in five seconds, so that an hour stays small. */
  thin(end) {
    const first = this.times.findIndex((time) => time > end);
    for (let place = first - 1; place > Math.max(0, first - 10); place -= 1) {
      if (this.times[place] - this.times[place - 1] < COARSE_SECONDS - 0.5) this.remove(place, 1);
    }
  }

  remove(place, count) {
    for (const list of [this.times, this.memory, this.processor]) list.splice(place, count);
    for (const [key, line] of this.lines) {
      for (const metric of METRICS) line[metric].splice(place, count);
      const isGone = !this.latest.lines.has(key) && line.requests.every((value) => !value);
      if (isGone && key !== ALL) this.lines.delete(key);
    }
  }
}

function makeLine(length) {
  return Object.fromEntries(METRICS.map((metric) => [metric, new Array(length).fill(null)]));
}
