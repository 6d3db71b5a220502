/** What the server says in code words of experiments, as people read it. */

import { Badge } from "../../components/badge.js";
import { formatNumber, t } from "../../language.js";
import { html } from "../../view.js";

/** A stage, an act, a verdict or a guardrail by name; one that is not known stays as it is. */
export function nameWord(word) {
  const words = {
    better: t("better"),
    worse: t("worse"),
    equivalent: t("equivalent"),
    undecided: t("undecided"),
    harmful: t("harmful"),
    invalid: t("invalid"),
    draft: t("draft"),
    shadow: t("shadow"),
    ramp: t("ramp"),
    paused: t("paused"),
    stopped: t("stopped"),
    promoted: t("promoted"),
    define: t("define"),
    amend: t("amend"),
    start: t("start"),
    advance: t("advance"),
    pause: t("pause"),
    resume: t("resume"),
    stop: t("stop"),
    promote: t("promote"),
    error_rate: t("error rate"),
    latency: t("latency"),
    nan: t("NaN"),
    prediction_shift: t("shift of predictions"),
    disagreement: t("disagreement"),
  };
  return Object.hasOwn(words, word) ? words[word] : word;
}

const VERDICT_TONES = {
  better: "good",
  equivalent: "info",
  worse: "bad",
  harmful: "bad",
  invalid: "bad",
};
const STAGE_TONES = { shadow: "info", ramp: "info", promoted: "good", paused: "caution" };

/** A verdict or a finding in one word. */
export function VerdictBadge({ verdict }) {
  return html`<${Badge} tone=${VERDICT_TONES[verdict] || "neutral"}>${nameWord(verdict)}<//>`;
}

/** The stage, with its step on the ramp. */
export function StageBadge({ phase: { stage, step_percent: step } }) {
  return html`<${Badge} tone=${STAGE_TONES[stage] || "neutral"}>${nameWord(stage)}${step ? ` ${formatNumber(step)} %` : ""}<//>`;
}

const HARM = /`(\w+)` of `([^`]*)`/g;
const REASONS = [
  [/^a guardrail: (?<harms>.+)$/s, ({ harms }) => t("a guardrail: {harms}", { harms: nameHarms(harms) })],
  [
    /^the split is not valid: the shares of units differ from those assigned$/,
    () => t("the split is not valid: the shares of units differ from those assigned"),
  ],
  [/^the verdict is `better`$/, () => t("the verdict is better")],
  [
    /^the step has lasted as long as it should, without a sign of harm$/,
    () => t("the step has lasted as long as it should, without a sign of harm"),
  ],
  [/^it cannot go on: (?<change>.+)$/s, ({ change }) => t("it cannot go on: {change}", { change })],
  [
    /^definition (?<digest>.+) of `(?<file>.+)`$/s,
    ({ digest, file }) => t("definition {digest} of {file}", { digest, file }),
  ],
];

/** Why: the server's own reasons in the reader's language; what people wrote stays as it is. */
export function explainReason(reason) {
  for (const [pattern, write] of REASONS) {
    const found = pattern.exec(reason);
    if (found) return write(found.groups);
  }
  return reason;
}

function nameHarms(harms) {
  const found = [...harms.matchAll(HARM)].map(([, kind, candidate]) =>
    t("{kind} of {candidate}", { kind: nameWord(kind), candidate }),
  );
  return found.length ? found.join(", ") : harms;
}

/** Who acted. */
export const nameAuthor = (by) => (by === "the file of experiments" ? t("the file of experiments") : by);

const DETAIL = /^phase (?<number>\d+), (?<stage>\w+)(?: at (?<step>\d+(?:\.\d+)?) %)?(?:: (?<reason>.*))?$/s;

/** What an entry of the trail says: the phase that began, and why. */
export function explainDetail(detail) {
  const found = DETAIL.exec(detail)?.groups;
  if (!found) return detail;
  const stage = found.step ? `${nameWord(found.stage)} ${found.step} %` : nameWord(found.stage);
  const phase = t("phase {number}, {stage}", { number: found.number, stage });
  return found.reason ? `${phase}${t(": ")}${explainReason(found.reason)}` : phase;
}
