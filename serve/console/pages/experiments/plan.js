/** What an experiment will show and when: the assumptions as a form, and the plan that follows from them. */

import { Failure } from "../../components/resource.js";
import { Facts } from "../../components/facts.js";
import { NumberField } from "../../components/field.js";
import { Table, numberColumn } from "../../components/table.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html, useState } from "../../view.js";
import { nameGuardrail } from "../experiment/safety.js";
import { formatAssumedHarm, formatCount, formatDays, formatValue } from "./amounts.js";
import { nameWord } from "./words.js";

const START = { units_per_day: "", change: "10", harm: "3", power: "80" };

/** `plan(assumptions)` asks the server; it may raise. What it said of another `subject` is not shown. */
export function Planner({ plan, subject = "", isReady = true }) {
  const [given, setGiven] = useState(START);
  const [known, setKnown] = useState({});
  const state = known.subject === subject ? known : {};
  const set = (name) => (value) => setGiven((before) => ({ ...before, [name]: value }));
  async function submit(event) {
    event.preventDefault();
    const settle = (next) => setKnown((last) => (last.subject === subject ? { ...next, subject } : last));
    setKnown({ isBusy: true, subject });
    try {
      settle({ planned: await plan(readAssumptions(given)) });
    } catch (error) {
      settle({ error });
    }
  }
  return html`
    <form onSubmit=${submit}>
      <div class="form-fields">
        <${NumberField} label=${t("Units a day")} hint=${t("Empty: as many as the server has seen")} value=${given.units_per_day} set=${set("units_per_day")} min="0" step="any" />
        <${NumberField} label=${t("Change to be shown, %")} value=${given.change} set=${set("change")} min="0.001" max="1000" step="any" required />
        <${NumberField} label=${t("Harm to be stopped, times")} hint=${t("As many errors, or as slow")} value=${given.harm} set=${set("harm")} min="1" max="1000" step="any" required />
        <${NumberField} label=${t("Chance to show it, %")} value=${given.power} set=${set("power")} min="50" max="99" step="any" required />
      </div>
      <button type="submit" disabled=${!isReady || state.isBusy}>${state.isBusy ? t("Working…") : t("Plan")}</button>
    </form>
    <div aria-live="polite">
      ${state.error && html`<${Failure} error=${state.error} />`}
      ${state.planned && html`<${Plan} planned=${state.planned} />`}
    </div>
  `;
}

function readAssumptions({ units_per_day: perDay, change, harm, power }) {
  const units = perDay === "" ? {} : { units_per_day: Number(perDay) };
  return { ...units, change: Number(change) / 100, harm: Number(harm), power: Number(power) / 100 };
}

function Plan({ planned }) {
  const { assumptions, metrics, guardrails } = planned;
  const perDay = assumptions.units_per_day;
  return html`
    <h3>${t("The plan")}</h3>
    <${Facts} rows=${[
      [t("Planned units"), formatNumber(planned.planned_units)],
      [t("Units a day"), perDay ? formatNumber(perDay) : t("none seen: say how many there are")],
      [t("Days until they are reached"), formatDays(planned.days)],
    ]} />
    ${metrics.length > 0 && html`<${PlannedMetrics} metrics=${metrics} change=${assumptions.change} />`}
    ${guardrails.length > 0 && html`<${PlannedGuardrails} guardrails=${guardrails} />`}
    ${planned.unplanned_metrics.length > 0 && html`<p class="note">${t("Nothing is known yet of: {names}. Report outcomes for some days, then plan again.", { names: planned.unplanned_metrics.join(", ") })}</p>`}
    ${planned.unplanned_guardrails.length > 0 && html`<p class="note">${t("Nothing is known yet of: {names}.", { names: planned.unplanned_guardrails.map(nameWord).join(", ") })}</p>`}
  `;
}

function PlannedMetrics({ metrics, change }) {
  const columns = [
    {
      key: "name",
      title: t("Metric"),
      isHeading: true,
      cell: ({ name, is_primary: isPrimary }) => html`<bdi>${name}${isPrimary ? " *" : ""}</bdi>`,
    },
    {
      key: "value",
      title: t("Today"),
      isNumber: true,
      cell: (metric) => formatValue(metric, metric.value),
    },
    numberColumn("detectable", t("Least change that the planned units show"), formatShare),
    {
      key: "units",
      title: t("Units to show {change}", { change: formatShare(change) }),
      isNumber: true,
      cell: ({ units }) => (units === null ? t("never") : formatCount(units)),
    },
    numberColumn("days", t("Days"), formatDays),
  ];
  return html`<${Table} caption=${t("What each metric needs")} columns=${columns} rows=${metrics} name=${({ name }) => name} />`;
}

function PlannedGuardrails({ guardrails }) {
  const columns = [
    { key: "kind", title: t("Guardrail"), isHeading: true, cell: nameGuardrail },
    {
      key: "harm",
      title: t("Harm"),
      isNumber: true,
      cell: (guardrail) => formatAssumedHarm(guardrail, guardrail.harm),
    },
    {
      key: "units",
      title: t("Stopped within so many units"),
      isNumber: true,
      cell: ({ units }) => (units === null ? t("never") : formatCount(units)),
    },
    numberColumn("days", t("Days"), formatDays),
    { key: "action", title: t("Then"), cell: ({ action }) => nameWord(action) },
  ];
  return html`<${Table} caption=${t("How soon harm is stopped")} columns=${columns} rows=${guardrails} name=${({ kind, quantile }) => `${kind} ${quantile}`} />`;
}
