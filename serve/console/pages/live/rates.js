/** From what the server has counted until two moments to what happened between them. */

const ANSWERED = ["200", "0"]; // HTTP's and gRPC's

/** What everything that was counted is called together. */
export const ALL = "all";

/**
 * What happened between two snapshots: `{at, memory, lines}`, where `lines` maps a key to a rate a second, quantiles in
 * milliseconds and counts, for all versions together, each version and each variant. Null where the counts began anew.
 */
export function compareSnapshots(before, after) {
  const seconds = (after.at - before.at) / 1000;
  if (seconds <= 0 || before.generation !== after.generation || before.workers !== after.workers) return null;
  const lines = new Map();
  const versions = pair(before.models, after.models, versionKey);
  for (const [key, was, is] of versions) lines.set(key, rateVersion(was, is, after, seconds));
  for (const [key, was, is] of pair(before.variants, after.variants, variantKey)) {
    lines.set(key, rateVariant(was, is, after, seconds));
  }
  lines.set(ALL, rateAll(versions, before, after, seconds));
  const processor = (after.processor - before.processor) / seconds;
  return { at: after.at / 1000, memory: after.memory, processor: Math.max(0, processor), lines };
}

/** The same of an entry of the server's history, which names only what was not idle; `page` is that which holds it. */
export function rateEntry(entry, page) {
  const at = entry.at - 1000 * entry.seconds;
  const before = { at, models: [], variants: [], rejected: {}, processor: 0 };
  const rates = compareSnapshots(before, { ...page, ...entry });
  return rates && { ...rates, isSparse: true };
}

/** A version's own key among the lines. */
export const versionKey = ({ model, version }) => `version ${encodeURIComponent(model)} ${version}`;

/** A variant's own key among the lines. */
export const variantKey = ({ experiment, variant }) =>
  `variant ${encodeURIComponent(experiment)} ${encodeURIComponent(variant)}`;

function pair(before, after, keyOf) {
  const known = new Map(before.map((totals) => [keyOf(totals), totals]));
  return after.map((totals) => [keyOf(totals), known.get(keyOf(totals)), totals]);
}

function rateVersion(was, is, { latency_ends: ends }, seconds) {
  const codes = subtractNamed(is.codes, was?.codes);
  const runs = is.runs - (was?.runs || 0);
  const line = {
    name: is.model,
    part: is.version,
    requests: sum(Object.values(codes)) / seconds,
    errors: countErrors(codes) / seconds,
    queue: is.queue,
    running: is.running,
    batch: runs > 0 ? (is.rows - (was?.rows || 0)) / runs : null,
  };
  return { ...line, ...quantiles(subtract(is.latency, was?.latency), ends) };
}

function rateVariant(was, is, { variant_latency_ends: ends }, seconds) {
  const outcomes = subtractNamed(is.outcomes, was?.outcomes);
  const line = {
    name: is.experiment,
    part: is.variant,
    isVariant: true,
    requests: sum(Object.values(outcomes)) / seconds,
    errors: ((outcomes.failed || 0) + (outcomes.mirrored_failed || 0)) / seconds,
    queue: null,
    running: null,
    batch: null,
  };
  return { ...line, ...quantiles(subtract(is.latency, was?.latency), ends) };
}

function rateAll(versions, before, after, seconds) {
  const lines = versions.map(([, was, is]) => rateVersion(was, is, after, seconds));
  const total = (name) => sum(lines.map((line) => line[name]));
  const runs = sum(versions.map(([, was, is]) => is.runs - (was?.runs || 0)));
  const rows = sum(versions.map(([, was, is]) => is.rows - (was?.rows || 0)));
  const latency = versions.reduce((all, [, was, is]) => add(all, subtract(is.latency, was?.latency)), []);
  const rejected = sum(Object.values(subtractNamed(after.rejected, before.rejected)));
  return {
    requests: total("requests"),
    errors: total("errors"),
    rejected: rejected / seconds,
    queue: total("queue"),
    running: total("running"),
    batch: runs > 0 ? rows / runs : null,
    ...quantiles(latency, after.latency_ends),
  };
}

/** The requests that got no answer of a model, whether the server or the client was at fault. */
const countErrors = (codes) =>
  sum(Object.entries(codes).map(([code, count]) => (ANSWERED.includes(code) ? 0 : count)));

const quantiles = (counts, ends) => ({
  p50: milliseconds(quantile(counts, ends, 0.5)),
  p99: milliseconds(quantile(counts, ends, 0.99)),
});

const milliseconds = (seconds) => (seconds === null ? null : seconds * 1000);

/** The value below which the share lies, evenly spread within its bucket; null of nothing. */
export function quantile(counts, ends, share) {
  const wanted = share * sum(counts);
  if (!wanted) return null;
  let before = 0;
  for (let place = 0; place < counts.length; place += 1) {
    if (before + counts[place] >= wanted) {
      const low = place ? ends[place - 1] : 0;
      const high = place < ends.length ? ends[place] : low;
      return low + ((wanted - before) / counts[place]) * (high - low);
    }
    before += counts[place];
  }
  return ends[ends.length - 1];
}

const sum = (values) => values.reduce((all, value) => all + value, 0);

const subtract = (counts, before = []) =>
  counts.map((count, place) => Math.max(0, count - (before[place] || 0)));

function subtractNamed(counts, before = {}) {
  return Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [name, Math.max(0, count - (before[name] || 0))]),
  );
}

const add = (one, other) =>
  Array.from(
    { length: Math.max(one.length, other.length) },
    (_, place) => (one[place] || 0) + (other[place] || 0),
  );
