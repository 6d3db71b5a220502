/** What the lines of the audit log say: which action, and what became of it. */

import { Badge } from "../../components/badge.js";
import { t } from "../../language.js";
import { html } from "../../view.js";
import { nameWord } from "../experiments/words.js";

/**
 * One action for the two lines of each that was done: the one before it has no status. `lines` are the newest first;
 * a line without a status and without its second one was never answered, or is not yet.
 */
export function joinLines(lines) {
  const answered = new Map();
  const actions = [];
  for (const [place, line] of lines.entries()) {
    const key = [line.request_id, line.caller, line.action].join("\n");
    const open = answered.get(key) || 0;
    if (line.status === null && open) {
      answered.set(key, open - 1);
    } else {
      if (line.status !== null && !isRefused(line)) answered.set(key, open + 1);
      actions.push({ ...line, place: lines.length - place });
    }
  }
  return actions;
}

const isGrpc = (action) => action.startsWith("gRPC ");
const REFUSED = { http: [401, 403, 429], grpc: [7, 8, 16] };

function isRefused({ action, status }) {
  return REFUSED[isGrpc(action) ? "grpc" : "http"].includes(status);
}

/** `done`, `refused`, `failed`, or `unanswered`. */
export function judgeOutcome({ action, status }) {
  if (status === null) return "unanswered";
  if (isRefused({ action, status })) return "refused";
  if (isGrpc(action)) return status === 0 ? "done" : "failed";
  if (status === 0) return "unanswered";
  return status < 400 ? "done" : "failed";
}

/** The outcomes by their names. */
export const nameOutcomes = () => ({
  done: t("done"),
  refused: t("refused"),
  failed: t("failed"),
  unanswered: t("no answer"),
});

const TONES = { done: "good", refused: "caution", failed: "bad", unanswered: "neutral" };

/** What became of the action, with the status of its answer. */
export function OutcomeBadge({ action }) {
  const outcome = judgeOutcome(action);
  const status = action.status ? ` ${action.status}` : "";
  return html`<${Badge} tone=${TONES[outcome]}>${nameOutcomes()[outcome]}${status}<//>`;
}

const EXPERIMENT = "/adaptact/v1/experiments/(?<experiment>[^/:]+)";
const ACTIONS = [
  [/^POST \/v2\/repository\/models\/(?<model>[^/]+)\/load$/, (found) => t("load {model}", found)],
  [/^POST \/v2\/repository\/models\/(?<model>[^/]+)\/unload$/, (found) => t("unload {model}", found)],
  [/^gRPC RepositoryModelLoad (?<model>.+)$/, (found) => t("load {model}", found)],
  [/^gRPC RepositoryModelUnload (?<model>.+)$/, (found) => t("unload {model}", found)],
  [
    /^PUT \/adaptact\/v1\/models\/(?<model>[^/]+)\/aliases\/(?<alias>[^/]+)$/,
    (found) => t("set the alias {alias} of {model}", found),
  ],
  [
    /^DELETE \/adaptact\/v1\/models\/(?<model>[^/]+)\/aliases\/(?<alias>[^/]+)$/,
    (found) => t("remove the alias {alias} of {model}", found),
  ],
  [new RegExp(`^PUT ${EXPERIMENT}$`), (found) => t("define the experiment {experiment}", found)],
  [
    new RegExp(`^POST ${EXPERIMENT}:(?<act>\\w+)$`),
    ({ experiment, act }) => t("experiment {experiment}: {act}", { experiment, act: nameWord(act) }),
  ],
  [/^POST \/v2\/logging$/, () => t("change the log settings")],
];

/** The action in words; one that is not known stays as it is. */
export function nameAction(action) {
  for (const [pattern, write] of ACTIONS) {
    const found = pattern.exec(action);
    if (found) return write({ ...found.groups });
  }
  return action;
}
