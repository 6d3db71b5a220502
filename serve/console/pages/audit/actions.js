/** What the lines of the audit log say: which action, and what became of it. */

import { Badge } from "../../components/badge.js";
import { t } from "../../language.js";
import { html } from "../../view.js";
import { nameWord } from "../experiments/words.js";

/** The outcomes by their names. */
export const nameOutcomes = () => ({
  done: t("done"),
  refused: t("refused"),
  failed: t("failed"),
  unanswered: t("no answer"),
});

const TONES = { done: "good", refused: "caution", failed: "bad", unanswered: "neutral" };

/** What became of the action, with the status of its answer. */
export function OutcomeBadge({ action: { outcome, status } }) {
  const shown = status ? ` ${status}` : "";
  return html`<${Badge} tone=${TONES[outcome]}>${nameOutcomes()[outcome]}${shown}<//>`;
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
