/** One experiment: its stage, what it shows and costs, what protects users, who did what, and the acts on it. */

import { planExperiment, readExperiment } from "../api.js";
import { PageHeading } from "../components/heading.js";
import { Guarded, Loaded, useResource } from "../components/resource.js";
import { t } from "../language.js";
import { link } from "../routes.js";
import { can } from "../session.js";
import { html, useEffect, useState } from "../view.js";
import { ActDialog, Acts } from "./experiment/acts.js";
import { EffectAndCost, Effects, Exposures, Metrics } from "./experiment/effects.js";
import { Definition, Phases, Trail, Way } from "./experiment/record.js";
import { Guardrails, Shadow } from "./experiment/safety.js";
import { Verdict } from "./experiment/verdict.js";
import { Planner } from "./experiments/plan.js";
import { StageBadge } from "./experiments/words.js";

const REFRESH_MS = 15_000;

/** `parts` is the experiment's name; the page is read again every quarter of a minute while it is looked at. */
export function Page({ parts: [name] }) {
  const experiment = useResource((signal) => readExperiment(name, signal), [name]);
  const [act, setAct] = useState(null);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || act || experiment.refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [act]);
  const close = (isDone) => {
    setAct(null);
    if (isDone) experiment.reload();
  };
  return html`
    <p class="crumbs"><a href=${link("experiments")}>${t("Experiments")}</a> / <bdi>${name}</bdi></p>
    <${PageHeading} title=${name}>
      ${experiment.data && can("admin") && html`<${Acts} known=${experiment.data.known} ask=${setAct} />`}
    <//>
    <${Loaded} resource=${experiment}>${(all) => (all ? html`<${Experiment} ...${all} />` : html`<${Unknown} />`)}<//>
    ${act && experiment.data && html`<${ActDialog} act=${act} ...${experiment.data} close=${close} />`}
  `;
}

function Unknown() {
  return html`
    <div class="empty">
      <p>${t("There is no experiment of this name. It may be mistyped in the address.")}</p>
      <p><a href=${link("experiments")}>${t("To all experiments")}</a></p>
    </div>
  `;
}

function Experiment({ known, results, looks, phases, trail }) {
  const parts = [
    [t("Verdict"), html`<${Verdict} results=${results} />`],
    [t("Effect over time"), html`<${Effects} ...${{ known, results, looks, phases }} />`],
    [t("Effect and cost"), html`<${EffectAndCost} ...${{ known, results }} />`],
    [t("Guardrails"), html`<${Guardrails} results=${results} />`],
    [t("Metrics"), html`<${Metrics} results=${results} />`],
    [t("Shadow"), html`<${Shadow} results=${results} />`],
    [t("Exposures"), html`<${Exposures} ...${{ known, results, looks }} />`],
    [t("Phases"), html`<${Phases} phases=${phases} />`],
    [t("What is compared"), html`<${Definition} known=${known} />`],
    [t("Audit trail"), html`<${Trail} trail=${trail} />`],
  ];
  return html`
    <div class="badges model-badges"><span>${t("Stage")} <${StageBadge} phase=${known.phase} /></span></div>
    <${Way} known=${known} />
    ${parts.map(([title, part]) => html`<${Guarded} key=${title} title=${title}>${part}<//>`)}
    <section class="card">
      <h2>${t("Plan")}</h2>
      <p class="note">${t("What the experiment will show, and within how many units its guardrails stop harm. Planning changes nothing.")}</p>
      <${Planner} plan=${(assumptions) => planExperiment(known.name, assumptions)} />
    </section>
  `;
}
