/** JSON whose numbers are those of the text: a whole one that JavaScript's numbers cannot hold is a BigInt. */

/** The value; raises `SyntaxError`. A number too large for any is left as its text. */
export const parseExactly = (text) => JSON.parse(text, keepDigits);

function keepDigits(name, value, context) {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !context) return value;
  if (/^-?\d+$/.test(context.source)) return BigInt(context.source);
  return Number.isFinite(value) ? value : context.source;
}

/** The text of the value, which may hold BigInts, NaN and Infinity, as the server takes them. */
export function writeExactly(value) {
  if (Array.isArray(value)) return `[${value.map(writeExactly).join(",")}]`;
  if (value && typeof value === "object") {
    const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${writeExactly(inner)}`).join(",")}}`;
  }
  return ["number", "bigint"].includes(typeof value) ? String(value) : JSON.stringify(value);
}
