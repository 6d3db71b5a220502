/** One version of a model: what goes in and out, what it learned, and the evidence for all of it. */

import { ApiError, readDrift, readEvidence, readMetadata, readModels } from "../api.js";
import { PageHeading } from "../components/heading.js";
import { Guarded, Loaded, useResource } from "../components/resource.js";
import { t } from "../language.js";
import { link } from "../routes.js";
import { can } from "../session.js";
import { html } from "../view.js";
import { Activations } from "./model/activations.js";
import { Drift, findLiveReach } from "./model/drift.js";
import { Parity } from "./model/parity.js";
import { Precision } from "./model/precision.js";
import { Provenance } from "./model/provenance.js";
import { Rules } from "./model/rules.js";
import { Tensors } from "./model/tensors.js";
import { Tuning } from "./model/tuning.js";
import { ParityBadge, SignatureBadge, StateBadge } from "./models/badges.js";

/** `parts` are the name, and perhaps the version; without it the one that answers by default. */
export function Page({ parts: [name, wanted] }) {
  const resource = useResource((signal) => readVersion(name, wanted, signal), [name, wanted]);
  return html`
    ${resource.data === undefined && html`<${PageHeading} title=${name} />`}
    <${Loaded} resource=${resource}>${(all) => html`<${Version} name=${name} ...${all} />`}<//>
  `;
}

async function readVersion(name, wanted, signal) {
  const model = (await readModels(signal)).find((other) => other.name === name);
  if (!model) throw new ApiError(404, t("there is no model of this name"), name);
  const ready = model.versions.filter(({ state }) => state === "READY");
  const number = wanted ?? model.default ?? ready[ready.length - 1]?.version;
  const version = model.versions.find((other) => other.version === number);
  if (!version && wanted) throw new ApiError(404, t("there is no version {version} of it", { version: wanted }), name);
  if (!version) throw new ApiError(404, t("no version of it answers"), name);
  if (version.state !== "READY") return { model, version };
  const [metadata, evidence, drift] = await Promise.all([
    readMetadata(name, number, signal),
    readEvidence(name, number, signal),
    can("metrics") ? readDrift(name, number, signal) : null,
  ]);
  return { model, version, metadata, evidence, drift };
}

function Version({ name, model, version, metadata, evidence, drift }) {
  return html`
    <p class="crumbs"><a href=${link("models")}>${t("Models")}</a> / <bdi>${name}</bdi></p>
    <${PageHeading} title=${t("{model}, version {version}", { model: name, version: version.version })}>
      <${VersionChoice} model=${model} version=${version.version} />
      ${
        metadata &&
        can("infer") &&
        html`<a class="button" href=${link("try", name, version.version)}>${t("Try it")}</a>`
      }
    <//>
    <div class="badges model-badges">
      <${StateBadge} version=${version} />
      ${
        metadata &&
        html`
        <span>${t("parity")} <${ParityBadge} parity=${version.parity} /></span>
        <span>${t("signature")} <${SignatureBadge} signature=${version.signature} /></span>
      `
      }
    </div>
    ${metadata && html`<${Evidence} ...${{ metadata, evidence, drift, version }} />`}
  `;
}

function VersionChoice({ model, version }) {
  if (model.versions.length < 2) return null;
  return html`
    <label>
      <span class="hidden">${t("Version")}</span>
      <select value=${version} onChange=${(event) => {
        location.hash = link("models", model.name, event.target.value);
      }}>
        ${model.versions.map(
          (other) => html`
          <option key=${other.version} value=${other.version}>${t("version {version}", other)}</option>
        `,
        )}
      </select>
    </label>
  `;
}

function Evidence({ metadata, evidence, drift, version }) {
  const manifest = evidence.manifest || {};
  const { activations, parity, reference, fired, tuning, rounding, precision } = manifest;
  const parts = [
    [t("Inputs and outputs"), html`<${Tensors} metadata=${metadata} manifest=${manifest} />`],
    [
      t("Learned activations"),
      activations && html`<${Activations} activations=${activations} live=${findLiveReach(drift)} />`,
    ],
    [t("Drift"), drift && html`<${Drift} drift=${drift} />`],
    [t("Parity with the original"), parity && html`<${Parity} parity=${parity} reference=${reference} />`],
    [t("Rules"), fired && html`<${Rules} manifest=${manifest} />`],
    [t("Tuning"), tuning && html`<${Tuning} tuning=${tuning} />`],
    [t("Precision"), rounding && html`<${Precision} precision=${precision} rounding=${rounding} />`],
    [t("Provenance"), html`<${Provenance} manifest=${evidence.manifest} version=${version} />`],
  ];
  const shown = parts.filter(([, part]) => part);
  return html`
    <${Contents} titles=${shown.map(([title]) => title)} />
    ${shown.map(([title, part]) => html`<${Guarded} key=${title} title=${title}>${part}<//>`)}
  `;
}

/** The parts of the page, to step to; links would change the address, which names the page. */
function Contents({ titles }) {
  const show = (title) => () => {
    const headings = [...document.querySelectorAll("main h2")];
    const heading = headings.find((other) => other.textContent === title);
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    heading.closest("section").scrollIntoView();
  };
  return html`
    <nav class="contents" aria-label=${t("On this page")}>
      ${titles.map(
        (title) => html`
        <button type="button" class="link" key=${title} onClick=${show(title)}>${title}</button>
      `,
      )}
    </nav>
  `;
}
