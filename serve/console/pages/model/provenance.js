/** Where the file came from: digests, versions, signature. */

import { Facts } from "../../components/facts.js";
import { Told } from "../../components/told.js";
import { formatBytes, formatDuration, formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";

/** `manifest` is null for a file that adaptact did not write; `version` that of the models' list. */
export function Provenance({ manifest, version }) {
  const digest = (value) => value && html`<code class="digest">${value}</code>`;
  const tools =
    manifest?.versions && Object.entries(manifest.versions).map(([name, number]) => `${name} ${number}`);
  return html`
    <section class="card">
      <h2>${t("Provenance")}</h2>
      ${!manifest && html`<p>${t("The file carries no evidence: adaptact did not write it. Export the model with adaptact export to get curves, parity and a digest of its source.")}</p>`}
      <${Facts} rows=${[
        [t("Source"), manifest?.source_kind],
        [t("Digest of the source"), digest(manifest?.source_digest)],
        [
          t("Notes on the source"),
          manifest?.source_notes?.length > 0 &&
            html`<ul class="plain">
              ${manifest.source_notes.map((note, place) => html`<li key=${place}><${Told} text=${note} /></li>`)}
            </ul>`,
        ],
        [
          t("Weights beside the file"),
          manifest?.data &&
            html`
            <bdi>${manifest.data.name}</bdi>, ${formatBytes(manifest.data.bytes)}, ${digest(manifest.data.sha256)}
          `,
        ],
        [t("Made with"), tools && tools.join(", ")],
        [t("Precision"), manifest?.precision],
        [t("Operator set"), manifest?.opset && String(manifest.opset)],
        [t("Made for"), manifest?.provider],
        [t("Runs on"), version.provider && describeProvider(version)],
        [t("Providers timed"), version.choice?.candidates.length > 0 && html`<${Candidates} choice=${version.choice} />`],
        [t("Signed by"), digest(version.signer)],
        [t("Digest of the files"), digest(version.digest)],
        [t("Size of the files"), version.bytes && formatBytes(version.bytes)],
        [t("Format of the manifest"), manifest?.format],
      ].map(([name, value]) => [name, value || null])} />
    </section>
  `;
}

function describeProvider({ provider, threads }) {
  return `${provider}, ${t("{count} threads", { count: formatNumber(threads) })}`;
}

/** Each provider that was tried: the time of a run of each batch, and its share of the first one's. */
function Candidates({ choice }) {
  const { batches, candidates } = choice;
  return html`
    <ul class="plain">
      ${candidates.map((candidate, place) => {
        const times = candidate.microseconds.map(
          (microseconds, batch) =>
            `${t("batch {count}", { count: formatNumber(batches[batch]) })}: ${formatDuration(microseconds / 1000)}`,
        );
        const share = candidate.ratio === null ? [] : [formatShare(candidate.ratio)];
        return html`
          <li key=${place}>
            ${[describeProvider(candidate), ...times, ...share].join("; ")}
            ${candidate.reason && html`<span class="note"> (<${Told} text=${candidate.reason} />)</span>`}
          </li>
        `;
      })}
    </ul>
  `;
}
