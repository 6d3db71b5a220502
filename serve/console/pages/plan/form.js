/** The few things that a definition needs, as a form; all others have their defaults. */

import { ChoiceField, Field, NumberField } from "../../components/field.js";
import { t } from "../../language.js";
import { html } from "../../view.js";
import { nameWord } from "../experiments/words.js";

const GUARDRAILS = ["error_rate", "latency", "nan", "prediction_shift", "disagreement"];
const NAME = "[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}";

/** A draft of an experiment on the first of these models: what answers today beside its newest version. */
export function startDraft(models) {
  return {
    name: "",
    ...chooseModel(models[0]),
    metric: "",
    kind: "binary",
    direction: "increase",
    plannedUnits: "5000",
    guardrails: ["error_rate", "latency", "nan"],
  };
}

const listVersions = ({ versions }) =>
  versions.filter(({ state }) => state === "READY").map(({ version }) => version);

function chooseModel(model) {
  const versions = listVersions(model);
  const control = model.default ?? versions[0];
  return { model: model.name, control, candidate: versions.filter((version) => version !== control).pop() };
}

/** The definition as the server reads it. */
export function writeDefinition({
  name,
  model,
  control,
  candidate,
  metric,
  kind,
  direction,
  plannedUnits,
  guardrails,
}) {
  return {
    name: name.trim(),
    model,
    control: { name: `v${control}`, version: control },
    candidates: [{ name: `v${candidate}`, version: candidate }],
    metrics: metric.trim() ? [{ name: metric.trim(), kind, direction, is_primary: true }] : [],
    guardrails: guardrails.map((guardrail) => ({ kind: guardrail })),
    planned_units: Number(plannedUnits),
  };
}

/** `models` have two versions at least; `set` gets the changed draft. */
export function DefinitionForm({ models, draft, set }) {
  const change = (name) => (value) => set({ ...draft, [name]: value });
  const model = models.find(({ name }) => name === draft.model);
  const versions = listVersions(model).map((version) => [version, version]);
  const kinds = [
    ["binary", t("a share of units (yes or no)")],
    ["mean", t("the mean of a number")],
  ];
  const directions = [
    ["increase", t("more is better")],
    ["decrease", t("less is better")],
  ];
  return html`
    <div class="form-fields">
      <${TextField} label=${t("Name of the experiment")} hint=${t("Letters, digits and . _ -")} value=${draft.name} set=${change("name")} pattern=${NAME} required />
      <${ChoiceField} label=${t("Model")} value=${draft.model} choices=${models.map(({ name }) => [name, name])}
        set=${(name) => set({ ...draft, ...chooseModel(models.find((other) => other.name === name)) })} />
      <${ChoiceField} label=${t("Control")} value=${draft.control} choices=${versions} set=${(control) => set({ ...draft, control, candidate: draft.candidate === control ? draft.control : draft.candidate })} hint=${t("The version that answers today")} />
      <${ChoiceField} label=${t("Candidate")} value=${draft.candidate} choices=${versions.filter(([version]) => version !== draft.control)} set=${change("candidate")} hint=${t("The version to compare with it")} />
      <${TextField} label=${t("Metric that decides")} hint=${t("Its name in feedback; empty: only the guardrails judge")} value=${draft.metric} set=${change("metric")} pattern=${NAME} />
      <${ChoiceField} label=${t("The metric is")} value=${draft.kind} choices=${kinds} set=${change("kind")} />
      <${ChoiceField} label=${t("Which change is better")} value=${draft.direction} choices=${directions} set=${change("direction")} />
      <${NumberField} label=${t("Planned units")} hint=${t("Where the analysis is sharpest")} value=${draft.plannedUnits} set=${change("plannedUnits")} min="200" step="1" required />
    </div>
    <${Guardrails} chosen=${draft.guardrails} set=${change("guardrails")} />
  `;
}

function TextField({ label, hint, value, set, ...rules }) {
  return html`
    <${Field} label=${label} hint=${hint}>
      ${(id) => html`<input id=${id} value=${value} ...${rules} onInput=${(event) => set(event.target.value)} />`}
    <//>
  `;
}

function Guardrails({ chosen, set }) {
  const toggle = (kind) => (event) =>
    set(GUARDRAILS.filter((other) => (other === kind ? event.target.checked : chosen.includes(other))));
  return html`
    <fieldset class="checks">
      <legend>${t("Stopped at once where this shows harm")}</legend>
      ${GUARDRAILS.map((kind) => html`<label key=${kind}><input type="checkbox" checked=${chosen.includes(kind)} onChange=${toggle(kind)} />${nameWord(kind)}</label>`)}
    </fieldset>
  `;
}
