/** Numbers as people write them, JSON or CSV, to the values of a tensor; and examples of the right shape. */

import { parseExactly, writeExactly } from "../../json.js";
import { t } from "../../language.js";

const MOST_VALUES = 4_194_304; // what the server takes in JSON
const FREE_SIZE = 8; // of an example, for a free axis that is not the first
const MOST_SHOWN = 2 ** 18; // values of an example: in a field, more would stop the page for seconds
const TEXT = "BYTES";

/** `{shape, data}` of the text for this input; raises an `Error` that says what does not fit. */
export function parseTensor(text, { datatype, shape: expected }) {
  const trimmed = text.trim();
  if (!trimmed) throw new Error(t("nothing is entered yet"));
  const nested = /^[[{"]/.test(trimmed) ? parseJson(trimmed) : parseLines(trimmed, datatype);
  const shape = measure(nested);
  const flat = shape.length ? nested.flat(Infinity) : [nested];
  const data = flat.map((value) => (typeof value === "bigint" && !/INT/.test(datatype) ? Number(value) : value));
  if (data.length > MOST_VALUES)
    throw new Error(
      t("{count} values, at most {most} fit into a request", { count: data.length, most: MOST_VALUES }),
    );
  data.forEach((value, place) => checkValue(value, place, datatype));
  return { shape: fitShape(shape, data.length, expected), data };
}

function parseJson(text) {
  try {
    return parseExactly(text);
  } catch (error) {
    throw new Error(t("this begins as JSON does and is none: {reason}", { reason: error.message }));
  }
}

function parseLines(text, datatype) {
  const rows = text.split(/\r?\n/).filter((line) => line.trim());
  const cells = rows.map((line) =>
    line.trim().split(datatype === TEXT ? /\s*[,;\t]\s*/ : /\s*[,;\t]\s*|\s+/),
  );
  const values = cells.map((row, place) => row.map((cell) => parseCell(cell, datatype, place)));
  return values.length === 1 ? values[0] : values;
}

function parseCell(cell, datatype, row) {
  if (datatype === TEXT) return cell;
  if (datatype === "BOOL" && /^(true|false)$/i.test(cell)) return cell.toLowerCase() === "true";
  const number = readNumber(cell, datatype);
  if (number === undefined)
    throw new Error(
      t("line {line} has {cell}, expected a number", { line: row + 1, cell: cell.slice(0, 40) || "∅" }),
    );
  return datatype === "BOOL" ? Boolean(number) : number;
}

const DECIMAL = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const ENDLESS = { nan: NaN, inf: Infinity, infinity: Infinity };

/** The number that the text is: a BigInt where only that holds all its digits; undefined for none. */
export function readNumber(text, datatype) {
  const [cell, sign, digits] = /^\s*([+-]?)(.*?)\s*$/s.exec(text).slice(0, 3);
  const endless = ENDLESS[digits.toLowerCase()];
  if (endless !== undefined) return sign === "-" ? -endless : endless;
  const number = DECIMAL.test(digits) ? Number(cell) : NaN;
  if (/INT/.test(datatype) && /^\d+$/.test(digits) && !Number.isSafeInteger(number))
    return sign === "-" ? -BigInt(digits) : BigInt(digits);
  return Number.isFinite(number) ? number : undefined;
}

/** Whether the number is one of the integer type. */
export function fitsInteger(value, datatype) {
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (typeof value !== "bigint" || !datatype.endsWith("INT64")) return false;
  return (datatype === "UINT64" ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value)) === value;
}

/** The sizes of nested lists; raises an `Error` where they are ragged. */
function measure(nested) {
  if (!Array.isArray(nested)) return [];
  const inner = nested.map(measure);
  if (inner.some((shape) => shape.join() !== inner[0].join()))
    throw new Error(t("the lists inside have different lengths"));
  return [nested.length, ...(inner[0] || [])];
}

function checkValue(value, place, datatype) {
  const isRight =
    datatype === TEXT
      ? typeof value === "string"
      : datatype === "BOOL"
        ? typeof value === "boolean"
        : /INT/.test(datatype)
          ? fitsInteger(value, datatype)
          : typeof value === "number";
  if (isRight) return;
  const shown = writeExactly(value).slice(0, 40);
  throw new Error(
    t("value {place} is {value}, expected {type}", { place: place + 1, value: shown, type: datatype }),
  );
}

/** The shape of these values at the input: nested as expected, one row of it, or flat with one free size. */
function fitShape(shape, count, expected) {
  if (matches(shape, expected)) return shape;
  if (matches([1, ...shape], expected)) return [1, ...shape];
  const free = expected.filter((size) => size < 0).length;
  const fixed = expected.reduce((all, size) => (size < 0 ? all : all * size), 1);
  const isWhole = free === 1 && fixed > 0 && count % fixed === 0 && count > 0;
  if (shape.length === 1 && (isWhole || (free === 0 && count === fixed))) {
    return expected.map((size) => (size < 0 ? count / fixed : size));
  }
  const values = {
    got: `[${shape.join(", ")}]`,
    expected: `[${expected.map((size) => (size < 0 ? "?" : size)).join(", ")}]`,
    count,
  };
  throw new Error(t("{count} values of shape {got}, expected {expected}", values));
}

const matches = (shape, expected) =>
  shape.length === expected.length &&
  shape.every((size, axis) => expected[axis] < 0 || expected[axis] === size);

/**
 * An example as JSON text: `kind` is zeros or random; `bounds` are those of the input's free sizes. Empty for an
 * input of more than MOST_SHOWN values.
 */
export function makeExample(kind, { name, datatype, shape }, bounds = []) {
  const sizes = shape.map((size, axis) =>
    size >= 0
      ? size
      : freeSize(
          axis,
          bounds.find((bound) => bound.input === name && bound.axis === axis),
        ),
  );
  if (sizes.reduce((all, size) => all * size, 1) > MOST_SHOWN) return "";
  return JSON.stringify(fill(sizes, () => makeValue(kind, datatype)));
}

function freeSize(axis, bound) {
  if (!bound) return axis === 0 ? 1 : FREE_SIZE;
  return Math.ceil(Math.max(1, bound.low) / bound.multiple) * bound.multiple;
}

function makeValue(kind, datatype) {
  const chance = kind === "random" ? Math.random() : 0;
  if (datatype === TEXT) return kind === "random" ? t("a text") : "";
  if (datatype === "BOOL") return chance > 0.5;
  return /INT/.test(datatype) ? Math.floor(chance * 10) : Number((chance ? 2 * chance - 1 : 0).toFixed(3));
}

function fill([size, ...rest], make) {
  if (size === undefined) return make();
  return Array.from({ length: size }, () => fill(rest, make));
}
