/** All models and their versions: what answers, what its evidence is worth, and loading, unloading, naming. */

import { readDrifts, readModels } from "../api.js";
import { PageHeading } from "../components/heading.js";
import { Loaded, useResource } from "../components/resource.js";
import { formatNumber, t } from "../language.js";
import { can } from "../session.js";
import { html, useEffect, useId, useMemo, useState } from "../view.js";
import { ModelDialog } from "./models/dialogs.js";
import { ModelTable } from "./models/table.js";

const REFRESH_MS = 10_000;
const MODELS_AT_ONCE = 100;

/** The page; it is read again every ten seconds while it is looked at. */
export function Page() {
  const models = useResource(readAll, []);
  const [dialog, setDialog] = useState(null);
  const [wanted, setWanted] = useState("");
  useEffect(() => {
    const timer = setInterval(() => document.hidden || dialog || models.refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [dialog]);
  const close = (isDone) => {
    setDialog(null);
    if (isDone) models.reload();
  };
  return html`
    <${PageHeading} title=${t("Models")} note=${models.data && summarise(models.data)}>
      <${Filter} value=${wanted} set=${setWanted} />
      <button type="button" onClick=${models.reload}>${t("Refresh")}</button>
    <//>
    <${Loaded} resource=${models}>
      ${(all) => html`<${Models} all=${all} wanted=${wanted} ask=${setDialog} />`}
    <//>
    ${dialog && html`<${ModelDialog} ...${dialog} close=${close} />`}
  `;
}

/** The models, with the verdict on each version's drift where the reader may know it. */
async function readAll(signal) {
  const [models, drifts] = await Promise.all([readModels(signal), can("metrics") ? readDrifts(signal) : []]);
  const verdicts = new Map(drifts.map(({ model, version, verdict }) => [`${model}/${version}`, verdict]));
  const judge = (version) => ({ ...version, drift: verdicts.get(`${version.name}/${version.version}`) });
  return models.map((model) => ({ ...model, versions: model.versions.map(judge) }));
}

function Filter({ value, set }) {
  const field = useId();
  return html`
    <label class="hidden" for=${field}>${t("Filter by name")}</label>
    <input id=${field} type="search" placeholder=${t("Filter by name")} value=${value}
      onInput=${(event) => set(event.target.value)} />
  `;
}

function Models({ all, wanted, ask }) {
  const [limit, setLimit] = useState(MODELS_AT_ONCE);
  const matching = useMemo(() => all.filter(({ name }) => matches(name, wanted)), [all, wanted]);
  if (!all.length) {
    const text = t("No models yet. Put one into the models folder as NAME/1/model.onnx, then load it.");
    return html`<${Empty} text=${text} />`;
  }
  if (!matching.length) return html`<${Empty} text=${t("No model has a name like this.")} />`;
  const hidden = matching.length - limit;
  return html`
    <${ModelTable} models=${matching.slice(0, limit)} ask=${ask} />
    ${
      hidden > 0 &&
      html`<p><button type="button" onClick=${() => setLimit(limit + MODELS_AT_ONCE)}>
      ${t("Show more ({count} left)", { count: formatNumber(hidden) })}
    </button></p>`
    }
  `;
}

function Empty({ text }) {
  return html`<div class="empty"><p>${text}</p></div>`;
}

const matches = (name, wanted) => name.toLowerCase().includes(wanted.trim().toLowerCase());

function summarise(models) {
  const versions = models.flatMap((model) => model.versions);
  const waiting = versions.filter(({ state }) => state !== "READY").length;
  const parts = [
    t("models: {count}", { count: formatNumber(models.length) }),
    t("versions: {count}", { count: formatNumber(versions.length) }),
    waiting ? t("not ready: {count}", { count: formatNumber(waiting) }) : t("all ready"),
  ];
  return parts.join(" · ");
}
