/** The texts in the reader's language, and numbers and times as people there write them. */

import { remember } from "./memory.js";
import { computed, signal } from "./view.js";

const remembered = remember(() => localStorage, "adaptact.language");
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** The languages that can be chosen, each by its own name. */
export const LANGUAGES = { en: "English", ja: "日本語" };

/** The language that is shown. */
export const language = signal("en");

const catalogue = signal({});
const formats = computed(() => ({ language: language.value, made: new Map() }));

/** The text in the reader's language, with each `{name}` replaced by its value; English where none is known. */
export function t(text, values = {}) {
  const translated = catalogue.value[text] || text;
  return translated.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

/** Show this language, and remember it in this browser. */
export async function chooseLanguage(chosen) {
  remembered.write(chosen);
  await show(chosen);
}

/** Show the remembered language, or else the first of the browser's that there is. */
export async function startLanguage() {
  const preferred = [remembered.read(), ...navigator.languages.map((tag) => tag.split("-")[0])];
  await show(preferred.find((tag) => tag in LANGUAGES) || "en");
}

let wanted = "en";

async function show(chosen) {
  wanted = chosen;
  const texts = chosen === "en" ? {} : await readCatalogue(chosen);
  if (wanted !== chosen) return; // another one was chosen meanwhile
  catalogue.value = texts;
  language.value = chosen;
  document.documentElement.lang = chosen;
}

async function readCatalogue(chosen) {
  try {
    const reply = await fetch(`/console/${chosen}.json`);
    return reply.ok ? await reply.json() : {};
  } catch {
    return {}; // English is better than no page
  }
}

function format(key, make) {
  const { language: tag, made } = formats.value;
  if (!made.has(key)) made.set(key, make(tag));
  return made.get(key);
}

function numberFormat(options) {
  return format(JSON.stringify(options), (tag) => new Intl.NumberFormat(tag, options));
}

/** A number with up to so many digits that count; whole numbers whole. */
export function formatNumber(value, digits = 3) {
  if (typeof value !== "number") return "–";
  if (Number.isNaN(value)) return "NaN";
  return writeNumber(value, digits).replace("-", "−");
}

/** A whole number, which may be a BigInt, with all its digits. */
export const formatWhole = (value) => numberFormat({}).format(value).replace("-", "−");

function writeNumber(value, digits) {
  const size = Math.abs(value);
  if (size === Infinity) return value > 0 ? "∞" : "-∞";
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(digits - 1).replace("e-", "e−");
  if (Number.isInteger(value)) return numberFormat({}).format(value);
  return numberFormat({ maximumSignificantDigits: Math.max(digits, Math.ceil(Math.log10(size + 1))) }).format(
    value,
  );
}

/** How numbers below each other are written: with as many decimals as the largest needs for four digits. */
export function formatAligned(values) {
  const largest = Math.max(...values.map(Math.abs).filter(Number.isFinite), 0);
  if (largest !== 0 && (largest < 1e-3 || largest >= 1e6)) return (value) => formatNumber(value, 4);
  const decimals = Math.max(0, 4 - Math.max(1, Math.ceil(Math.log10(largest || 1))));
  const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return (value) =>
    Number.isFinite(value) ? numberFormat(options).format(value).replace("-", "−") : formatNumber(value);
}

/** A share from 0 to 1 in percent. */
export function formatShare(value) {
  const digits = value !== 0 && Math.abs(value) < 0.01 ? 2 : 1;
  return numberFormat({ style: "percent", maximumFractionDigits: digits }).format(value);
}

/** Bytes in the unit that fits. */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${formatNumber(bytes)} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const options = { style: "unit", unit: UNITS[power], unitDisplay: "short", maximumSignificantDigits: 3 };
  return numberFormat(options).format(bytes / 1000 ** power);
}

/** A duration, given in milliseconds, in the unit that fits. */
export function formatDuration(milliseconds) {
  if (typeof milliseconds !== "number" || !Number.isFinite(milliseconds)) return "–";
  const [value, unit] = chooseUnit(milliseconds);
  return numberFormat({ style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 3 }).format(
    value,
  );
}

function chooseUnit(milliseconds) {
  if (milliseconds >= 1000) return [milliseconds / 1000, "second"];
  return milliseconds >= 1 || milliseconds === 0
    ? [milliseconds, "millisecond"]
    : [milliseconds * 1000, "microsecond"];
}

/** A day and time of day. */
export function formatTime(date) {
  const options = { dateStyle: "medium", timeStyle: "medium" };
  return format("time", (tag) => new Intl.DateTimeFormat(tag, options)).format(date);
}

/** A time of day to the second. */
export function formatClock(date) {
  return format("clock", (tag) => new Intl.DateTimeFormat(tag, { timeStyle: "medium" })).format(date);
}

/** A time of day to the minute. */
export function formatMinute(date) {
  return format("minute", (tag) => new Intl.DateTimeFormat(tag, { timeStyle: "short" })).format(date);
}

/** The language of a sentence from the server, which is English where it is not known in another. */
export const languageOf = (text) => (/[\u3040-\u30ff\u4e00-\u9fff]/.test(text) ? "ja" : "en");

/** Several names as one list in words. */
export function formatList(names) {
  return format("list", (tag) => new Intl.ListFormat(tag, { type: "conjunction" })).format(names);
}
