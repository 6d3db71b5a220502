/** The dialogs of the actions on a model: each says what will happen before it does. */

import { loadModel, removeAlias, setAlias, unloadModel } from "../../api.js";
import { Confirmation } from "../../components/dialog.js";
import { Field } from "../../components/field.js";
import { t } from "../../language.js";
import { html, useState } from "../../view.js";

const ALIAS_PATTERN = "[a-z][a-z0-9_\\-]{0,31}";

/** `action` is load, unload or aliases; `close(isDone)` is called at the end. */
export function ModelDialog({ action, model, close }) {
  if (action === "load") return html`<${Load} ...${{ model, close }} />`;
  if (action === "unload") return html`<${Unload} ...${{ model, close }} />`;
  return html`<${Aliases} ...${{ model, close }} />`;
}

function Load({ model: { name, versions }, close }) {
  const isServed = versions.some(({ state }) => state === "READY");
  return html`
    <${Confirmation}
      title=${isServed ? t("Reload {model}?", { model: name }) : t("Load {model}?", { model: name })}
      action=${isServed ? t("Reload") : t("Load")} perform=${() => loadModel(name)}
      done=${t("{model} is loaded.", { model: name })} close=${close}>
      <p>${t("New and changed versions in the models folder are checked and loaded. What serves now goes on until they answer, and for good if they do not load. No request fails.")}</p>
    <//>
  `;
}

function Unload({ model: { name }, close }) {
  return html`
    <${Confirmation} title=${t("Unload {model}?", { model: name })} action=${t("Unload")} tone="danger"
      perform=${() => unloadModel(name)} done=${t("{model} is unloaded.", { model: name })} close=${close}>
      <p>${t("All its versions finish the requests they have and take no new ones: clients that ask for it get an error until it is loaded again.")}</p>
    <//>
  `;
}

function Aliases({ model, close }) {
  const { name, versions, aliases } = model;
  const ready = versions.filter(({ state }) => state === "READY").map(({ version }) => version);
  const [alias, setName] = useState("stable");
  const newest = ready[ready.length - 1];
  const [chosen, setVersion] = useState(aliases.stable || newest);
  const isKnown = Object.hasOwn(aliases, alias);
  const version = chosen || isKnown ? chosen : newest; // only an alias that is there can be removed
  const isRemoved = version === "";
  return html`
    <${Confirmation} title=${t("Aliases of {model}", { model: name })}
      action=${isRemoved ? t("Remove the alias") : t("Set the alias")}
      tone=${isRemoved ? "danger" : "normal"} close=${close}
      perform=${() => (isRemoved ? removeAlias(name, alias) : setAlias(name, alias, version))}
      done=${isRemoved ? t("{alias} is removed.", { alias }) : t("{alias} is version {version} now.", { alias, version })}>
      <p>${t("An alias is a name for a version. From the next request on it answers with the version chosen here; the alias stable also answers requests that name none.")}</p>
      <${Field} label=${t("Alias")} hint=${t("Small letters, digits, - and _")}>
        ${(id) => html`<input id=${id} value=${alias} list="${id}-known" required pattern=${ALIAS_PATTERN}
          onInput=${(event) => setName(event.target.value)} />
          <datalist id="${id}-known">
            ${Object.keys(aliases).map((known) => html`<option key=${known} value=${known} />`)}
          </datalist>`}
      <//>
      <${Field} label=${t("Version")}>
        ${(
          id,
        ) => html`<select id=${id} value=${version} onChange=${(event) => setVersion(event.target.value)}>
          ${ready.map((choice) => html`<option key=${choice} value=${choice}>${choice}</option>`)}
          ${
            isKnown &&
            html`<option value="">
              ${t("none: remove the alias (now {version})", { version: aliases[alias] })}
            </option>`
          }
        </select>`}
      <//>
    <//>
  `;
}
