/** Where the file came from: digests, versions, signature. */

import { Facts } from "../../components/facts.js";
import { Told } from "../../components/told.js";
import { formatBytes, t } from "../../language.js";
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
        [t("Runs on"), version.provider],
        [t("Signed by"), digest(version.signer)],
        [t("Digest of the files"), digest(version.digest)],
        [t("Size of the files"), version.bytes && formatBytes(version.bytes)],
        [t("Format of the manifest"), manifest?.format],
      ].map(([name, value]) => [name, value || null])} />
    </section>
  `;
}
