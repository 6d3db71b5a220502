/** The table of models: a row a version, with the name and the actions of the model once. */

import { t } from "../../language.js";
import { link } from "../../routes.js";
import { can } from "../../session.js";
import { html } from "../../view.js";
import { DriftBadge, ParityBadge, SignatureBadge, StateBadge } from "./badges.js";

/** `models` are the server's; `ask(dialog)` opens the dialog of an action. */
export function ModelTable({ models, ask }) {
  const columns = [
    t("Model"),
    t("Version"),
    t("State"),
    t("Answers as"),
    t("Parity"),
    t("Signature"),
    t("Drift"),
    t("Runs on"),
    t("Actions"),
  ];
  return html`
    <div class="table-frame" tabindex="0" role="region" aria-label=${t("Models and their versions")}>
      <table class="models">
        <caption class="hidden">${t("Models and their versions")}</caption>
        <thead><tr>${columns.map((column) => html`<th scope="col" key=${column}>${column}</th>`)}</tr></thead>
        ${models.map((model) => html`<${Model} key=${model.name} model=${model} ask=${ask} />`)}
      </table>
    </div>
  `;
}

function Model({ model, ask }) {
  const { name, versions } = model;
  return html`
    <tbody>
      ${versions.map(
        (version, place) => html`
        <tr key=${version.version}>
          ${
            place === 0 &&
            html`<th scope="rowgroup" rowspan=${versions.length} class="model-name">
            <a href=${link("models", name)}><bdi>${name}</bdi></a>
          </th>`
          }
          <${VersionCells} model=${model} version=${version} />
          ${
            place === 0 &&
            html`<td rowspan=${versions.length} class="actions"><${Actions} model=${model} ask=${ask} /></td>`
          }
        </tr>
      `,
      )}
    </tbody>
  `;
}

function VersionCells({ model, version }) {
  const isServed = version.state === "READY";
  return html`
    <td data-label=${t("Version")}>
      ${isServed ? html`<a href=${link("models", model.name, version.version)}>${version.version}</a>` : version.version}
    </td>
    <td data-label=${t("State")}><${StateBadge} version=${version} /></td>
    <td data-label=${t("Answers as")}><${Names} version=${version} /></td>
    <td data-label=${t("Parity")}>${isServed && html`<${ParityBadge} parity=${version.parity} />`}</td>
    <td data-label=${t("Signature")}>${isServed && html`<${SignatureBadge} signature=${version.signature} />`}</td>
    <td data-label=${t("Drift")}>${version.drift ? html`<${DriftBadge} verdict=${version.drift} />` : "–"}</td>
    <td data-label=${t("Runs on")}>${version.provider || "–"}</td>
  `;
}

/** The names under which the version answers: its aliases, and none at all for the default. */
function Names({ version }) {
  const { aliases, is_default: isDefault } = version;
  if (!aliases.length && !isDefault) return "–";
  return html`
    <span class="badges">
      ${
        isDefault &&
        html`<span class="chip chip-main" title=${t("Answers requests that name no version")}>${t("default")}</span>`
      }
      ${aliases.map((alias) => html`<span class="chip" key=${alias}><bdi>${alias}</bdi></span>`)}
    </span>
  `;
}

function Actions({ model, ask }) {
  const { name, versions } = model;
  const isServed = versions.some(({ state }) => state === "READY");
  const open = (action) => () => ask({ action, model });
  return html`
    <div class="button-row">
      ${isServed && can("infer") && html`<a class="button" href=${link("try", name)}>${t("Try")}</a>`}
      ${
        can("admin") &&
        html`
        <button type="button" aria-label=${t("Load {model}", { model: name })} onClick=${open("load")}>
          ${isServed ? t("Reload") : t("Load")}
        </button>
        ${
          isServed &&
          html`
          <button type="button" aria-label=${t("Aliases of {model}", { model: name })} onClick=${open("aliases")}>
            ${t("Aliases")}
          </button>
          <button type="button" aria-label=${t("Unload {model}", { model: name })} onClick=${open("unload")}>
            ${t("Unload")}
          </button>
        `
        }
      `
      }
    </div>
  `;
}
