/** What is told of a version in one word: whether it answers, what its parity proves, who signed it. */

import { Badge } from "../../components/badge.js";
import { Told } from "../../components/told.js";
import { t } from "../../language.js";
import { html } from "../../view.js";

/** `version` has the index's `state` and `reason`. */
export function StateBadge({ version: { state, reason } }) {
  const badges = {
    READY: ["good", t("ready")],
    LOADING: ["info", t("loading")],
    UNLOADING: ["info", t("unloading")],
    UNAVAILABLE: ["bad", t("not ready")],
  };
  const [tone, word] = badges[state] || ["neutral", state];
  const isOlder = state === "READY" && reason; // its newer file was refused
  return html`
    <${Badge} tone=${isOlder ? "caution" : tone}>${isOlder ? t("older file") : word}<//>
    ${reason && html`<span class="reason"><${Told} text=${reason} /></span>`}
  `;
}

/** `parity` is strong, weak or unknown; null for a file without a manifest. */
export function ParityBadge({ parity }) {
  const badges = {
    strong: ["good", t("strong"), t("Compared with the original; the samples exercised the whole model")],
    weak: [
      "caution",
      t("weak"),
      t("Compared with the original; the samples leave parts of the model unseen"),
    ],
    unknown: [
      "neutral",
      t("not examined"),
      t("Compared with the original; what the samples exercised was not examined"),
    ],
  };
  const missing = ["neutral", t("no evidence"), t("The file carries no evidence: adaptact did not write it")];
  const [tone, word, title] = badges[parity] || missing;
  return html`<${Badge} tone=${tone} title=${title}>${word}<//>`;
}

/** `signature` is verified, unverified or none. */
export function SignatureBadge({ signature }) {
  const badges = {
    verified: ["good", t("verified"), t("Signed by the key that this server requires")],
    unverified: ["neutral", t("not checked"), t("Signed; this server was given no key to check it with")],
  };
  const [tone, word, title] = badges[signature] || ["neutral", t("unsigned"), t("Nobody signed the file")];
  return html`<${Badge} tone=${tone} title=${title}>${word}<//>`;
}

/** What the drift of a version comes to, in one word. */
export function DriftBadge({ verdict, title }) {
  const badges = {
    stable: ["good", t("stable")],
    shifted: ["caution", t("shifted")],
    drifted: ["bad", t("drifted")],
    waiting: ["neutral", t("waiting for data")],
    "no baseline": ["neutral", t("no baseline")],
  };
  const [tone, word] = badges[verdict] || ["neutral", verdict];
  return html`<${Badge} tone=${tone} title=${title}>${word}<//>`;
}
