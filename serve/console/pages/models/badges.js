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
  if (parity === "strong")
    return html`<${Badge} tone="good" title=${t("Compared with the original; the samples exercised the whole model")}>${t("strong")}<//>`;
  if (parity === "weak")
    return html`<${Badge} tone="caution" title=${t("Compared with the original; the samples leave parts of the model unseen")}>${t("weak")}<//>`;
  if (parity === "unknown")
    return html`<${Badge} title=${t("Compared with the original; what the samples exercised was not examined")}>${t("not examined")}<//>`;
  return html`<${Badge} title=${t("The file carries no evidence: adaptact did not write it")}>${t("no evidence")}<//>`;
}

/** `signature` is verified, unverified or none. */
export function SignatureBadge({ signature }) {
  if (signature === "verified")
    return html`<${Badge} tone="good" title=${t("Signed by the key that this server requires")}>${t("verified")}<//>`;
  if (signature === "unverified")
    return html`<${Badge} title=${t("Signed; this server was given no key to check it with")}>${t("not checked")}<//>`;
  return html`<${Badge} title=${t("Nobody signed the file")}>${t("unsigned")}<//>`;
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
