/** What the server says of experiments in numbers, as people read it; a dash stands for what is not known. */

import { formatDuration, formatNumber, formatShare, t } from "../../language.js";

export const NOTHING = "–";

const isKnown = (value) => typeof value === "number";

/** When, from microseconds since 1970. */
export const toDate = (at) => new Date(at / 1000);

/** A value of the metric: of a share of units in percent. */
export function formatValue({ kind }, value) {
  if (!isKnown(value)) return NOTHING;
  return kind === "binary" ? formatShare(value) : formatNumber(value);
}

/** A ratio with ×, a difference with its sign, that of shares in percentage points. */
export function formatEffect({ kind, scale }, value) {
  if (!isKnown(value)) return NOTHING;
  if (scale === "ratio") return `×${formatNumber(value)}`;
  const isShare = kind === "binary" && scale === "difference";
  const number = formatNumber(Math.abs(isShare ? 100 * value : value));
  const signed = `${value > 0 ? "+" : value < 0 ? "−" : ""}${number}`;
  return isShare ? t("{number} pp", { number: signed }) : signed;
}

/** From low to high; an open end is not known yet. */
export function formatInterval(metric) {
  const { low, high } = metric;
  if (!isKnown(low) && !isKnown(high)) return NOTHING;
  return `${isKnown(low) ? formatEffect(metric, low) : "−∞"} … ${isKnown(high) ? formatEffect(metric, high) : "∞"}`;
}

/** The effect of two variants that are equal. */
export const noEffect = ({ scale }) => (scale === "ratio" ? 1 : 0);

/** What a guardrail watches: a latency in microseconds, or a share. */
export function formatHarm({ kind }, value) {
  if (!isKnown(value)) return NOTHING;
  return kind === "latency" ? formatDuration(value / 1000) : formatShare(value);
}

/** A harm that is assumed: times as slow, or a share. */
export function formatAssumedHarm({ kind }, value) {
  if (!isKnown(value)) return NOTHING;
  return kind === "latency" ? `×${formatNumber(value)}` : formatShare(value);
}

/** What a guardrail tolerates: relative to the control, or a share of requests. */
export function formatMargin({ kind, margin }) {
  if (!isKnown(margin)) return NOTHING;
  const share = formatShare(margin);
  return kind === "latency" || kind === "error_rate" ? t("{share} above the control", { share }) : share;
}

/** A latency in microseconds. */
export const formatLatency = (value) => (isKnown(value) ? formatDuration(value / 1000) : NOTHING);

/** Units or days, whole; days below ten with a decimal. */
export const formatCount = (value) => (isKnown(value) ? formatNumber(Math.ceil(value)) : NOTHING);
export const formatDays = (value) =>
  isKnown(value) ? formatNumber(value < 10 ? Math.ceil(value * 10) / 10 : Math.ceil(value)) : NOTHING;
