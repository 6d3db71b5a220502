/** Plan an experiment that is not defined yet, see whether the traffic is enough, and define it as a draft. */

import { defineExperiment, planDefinition, readModels } from "../api.js";
import { Code } from "../components/code.js";
import { Confirmation } from "../components/dialog.js";
import { PageHeading } from "../components/heading.js";
import { Loaded, useResource } from "../components/resource.js";
import { t } from "../language.js";
import { link } from "../routes.js";
import { can } from "../session.js";
import { html, useState } from "../view.js";
import { DefinitionForm, startDraft, writeDefinition } from "./plan/form.js";
import { Planner } from "./experiments/plan.js";

/** The page. */
export function Page() {
  const models = useResource(readModels, []);
  return html`
    <p class="crumbs"><a href=${link("experiments")}>${t("Experiments")}</a> / ${t("Plan")}</p>
    <${PageHeading} title=${t("Plan an experiment")} note=${t("Nothing changes on the server until the experiment is defined and started.")} />
    <${Loaded} resource=${models}>${(all) => html`<${Planning} models=${all.filter(hasTwoVersions)} />`}<//>
  `;
}

const listReady = ({ versions }) => versions.filter(({ state }) => state === "READY");
const hasTwoVersions = (model) => listReady(model).length > 1;

function Planning({ models }) {
  if (!models.length)
    return html`<div class="empty"><p>${t("No model has two versions that answer: put a second one into its folder and load it.")}</p></div>`;
  return html`<${Draft} models=${models} />`;
}

function Draft({ models }) {
  const [draft, setDraft] = useState(() => startDraft(models));
  const [isAsking, setAsking] = useState(false);
  const definition = writeDefinition(draft);
  const compared = JSON.stringify({ ...definition, name: "" });
  const close = (isDone) => {
    setAsking(false);
    if (isDone) location.hash = link("experiments", definition.name);
  };
  return html`
    <section class="card">
      <h2>${t("What is compared")}</h2>
      <${DefinitionForm} ...${{ models, draft, set: setDraft }} />
    </section>
    <section class="card">
      <h2>${t("What it will show")}</h2>
      <${Planner} plan=${(assumptions) => planDefinition(definition, assumptions)} subject=${compared} isReady=${definition.name !== ""} />
    </section>
    <section class="card">
      <h2>${t("The definition")}</h2>
      <p class="note">${t("A file of experiments may hold it as it is, and may say more: stages, windows, margins, testers.")}</p>
      <${Code} text=${JSON.stringify({ experiments: [definition] }, null, 2)} label=${t("the definition as a file")} />
      ${can("admin") && html`<p><button type="button" class="primary" disabled=${definition.name === ""} onClick=${() => setAsking(true)}>${t("Define as a draft")}</button></p>`}
    </section>
    ${
      isAsking &&
      html`
      <${Confirmation} title=${t("Define {experiment}?", { experiment: definition.name })} action=${t("Define")} perform=${() => defineExperiment(definition)}
        done=${t("{experiment} is a draft now.", { experiment: definition.name })} close=${close}>
        <p>${t("The server checks that the versions can stand in for each other, and keeps the definition. No request is answered differently until the experiment is started. If it exists already, it is changed; where what is compared changes, a new comparison begins.")}</p>
      <//>
    `
    }
  `;
}
