/** All experiments: where each is on its way, and what it compares. */

import { readExperiments } from "../api.js";
import { PageHeading } from "../components/heading.js";
import { Loaded, useResource } from "../components/resource.js";
import { Table } from "../components/table.js";
import { formatNumber, formatTime, t } from "../language.js";
import { link } from "../routes.js";
import { can, reader } from "../session.js";
import { html, useEffect } from "../view.js";
import { toDate } from "./experiments/amounts.js";
import { StageBadge, explainReason, nameAuthor, nameWord } from "./experiments/words.js";

const REFRESH_MS = 15_000;

/** The page. */
export function Page() {
  if (!reader.value.experiments) return html`<${WithoutStore} />`;
  return html`<${Experiments} />`;
}

function WithoutStore() {
  return html`
    <${PageHeading} title=${t("Experiments")} />
    <div class="empty"><p>${t("This server keeps no experiments. Start it with --experiments-store and a folder, and they are here.")}</p></div>
  `;
}

function Experiments() {
  const experiments = useResource(readExperiments, []);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || experiments.refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return html`
    <${PageHeading} title=${t("Experiments")} note=${experiments.data && summarise(experiments.data)}>
      ${can("infer") && html`<a class="button" href=${link("plan")}>${t("Plan an experiment")}</a>`}
    <//>
    <${Loaded} resource=${experiments}>
      ${(all) => (all.length ? html`<${List} all=${all} />` : html`<div class="empty"><p>${t("No experiments yet. Plan one: it shows whether a new version of a model is better than the one that answers today.")}</p></div>`)}
    <//>
  `;
}

function List({ all }) {
  const columns = [
    {
      key: "name",
      title: t("Experiment"),
      isHeading: true,
      value: ({ name }) => name,
      cell: ({ name }) => html`<a href=${link("experiments", name)}><bdi>${name}</bdi></a>`,
    },
    {
      key: "stage",
      title: t("Stage"),
      value: ({ phase }) => `${phase.stage} ${phase.step_percent}`,
      cell: ({ phase }) => html`<${StageBadge} phase=${phase} />`,
    },
    {
      key: "model",
      title: t("Model"),
      value: ({ definition }) => definition.model,
      cell: ({ definition }) =>
        html`<a href=${link("models", definition.model)}><bdi>${definition.model}</bdi></a>`,
    },
    {
      key: "compared",
      title: t("Compares"),
      cell: ({ definition: { control, candidates } }) =>
        [control, ...candidates].map(({ name }) => name).join(" · "),
    },
    {
      key: "since",
      title: t("Since"),
      value: ({ phase }) => phase.started_at,
      cell: ({ phase }) => formatTime(toDate(phase.started_at)),
    },
    {
      key: "why",
      title: t("Last change"),
      cell: ({ phase: { by, reason } }) =>
        html`<bdi>${nameAuthor(by)}</bdi>${reason && html`<span class="reason"><bdi>${explainReason(reason)}</bdi></span>`}`,
    },
  ];
  return html`
    <div class="records">
      <${Table} caption=${t("Experiments and their stages")} columns=${columns} rows=${all} name=${({ name }) => name} />
    </div>
  `;
}

function summarise(all) {
  const stages = Map.groupBy(all, ({ phase }) => phase.stage);
  return [...stages].map(([stage, own]) => `${nameWord(stage)}: ${formatNumber(own.length)}`).join(" · ");
}
