/** Texts that others choose, such as labels and notes, as nothing in them can mislead: as `adaptact/text.py` has it. */

const UNSEEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/gu;
const RIGHT_TO_LEFT = "[\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefc\\u{10800}-\\u{10fff}\\u{1e800}-\\u{1efff}]";
const LEFTWARD = new RegExp(`${RIGHT_TO_LEFT}+(?: ${RIGHT_TO_LEFT}+)*`, "gu");
const SPOKEN = ["title", "alt", "placeholder", "aria-label"];

/** The text with what cannot be seen as U+FFFD, and words from right to left set apart from those beside them. */
export function makeVisible(text) {
  return text.replace(UNSEEN, "\ufffd").replace(LEFTWARD, "\u2068$&\u2069");
}

/** A node of Preact, before it is drawn: its text, or the attributes that people read or hear. */
export function makeNodeVisible(node) {
  if (node.type === null) {
    if (typeof node.props === "string") node.props = makeVisible(node.props);
  } else if (typeof node.type === "string") {
    for (const name of SPOKEN)
      if (typeof node.props[name] === "string") node.props[name] = makeVisible(node.props[name]);
  }
}
