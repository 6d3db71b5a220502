/** What is watched: guardrails with their margins, and how often both versions agree in shadow. */

import { Badge } from "../../components/badge.js";
import { Table, numberColumn } from "../../components/table.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html } from "../../view.js";
import { NOTHING, formatAssumedHarm, formatCount, formatHarm, formatMargin } from "../experiments/amounts.js";
import { nameWord } from "../experiments/words.js";

/** Every guardrail of every candidate. */
export function Guardrails({ results }) {
  const columns = [
    { key: "kind", title: t("Guardrail"), isHeading: true, cell: nameGuardrail },
    { key: "candidate", title: t("Candidate"), cell: ({ candidate }) => html`<bdi>${candidate}</bdi>` },
    {
      key: "control",
      title: t("Control's value"),
      isNumber: true,
      cell: (harm) => formatHarm(harm, harm.control_value),
    },
    {
      key: "value",
      title: t("Candidate's value"),
      isNumber: true,
      cell: (harm) => formatHarm(harm, harm.value),
    },
    { key: "margin", title: t("Margin"), isNumber: true, cell: formatMargin },
    { key: "stops", title: t("Stops harm of"), cell: describeStop },
    { key: "action", title: t("Then"), cell: ({ action }) => nameWord(action) },
    {
      key: "state",
      title: t("State"),
      cell: ({ is_shown: isShown }) =>
        html`<${Badge} tone=${isShown ? "bad" : "good"}>${isShown ? t("harm shown") : t("fine")}<//>`,
    },
  ];
  return html`
    <section class="card records">
      <h2>${t("Guardrails")}</h2>
      ${
        results.guardrails.length
          ? html`<${Table} caption=${t("Guardrails and their margins")} columns=${columns} rows=${results.guardrails}
            name=${({ kind, quantile, candidate }) => `${kind} ${quantile} ${candidate}`} />`
          : html`<p class="note">${t("None: nothing stops this experiment by itself.")}</p>`
      }
    </section>
  `;
}

/** By name, with its quantile where it has one. */
export function nameGuardrail({ kind, quantile }) {
  return quantile === null ? nameWord(kind) : `${nameWord(kind)} p${formatNumber(100 * quantile)}`;
}

function describeStop(harm) {
  const stated = harm.stops_within;
  if (!stated || stated.units === null) return NOTHING;
  const values = { harm: formatAssumedHarm(harm, stated.harm), units: formatCount(stated.units) };
  return t("{harm} within {units} units", values);
}

/** What mirrored requests have shown; nothing where there were none. */
export function Shadow({ results }) {
  if (!results.shadow.length) return null;
  const share = (value) => (value === null ? NOTHING : formatShare(value));
  const columns = [
    {
      key: "candidate",
      title: t("Candidate"),
      isHeading: true,
      cell: ({ candidate }) => html`<bdi>${candidate}</bdi>`,
    },
    numberColumn("agreement", t("Same answer"), formatShare, ({ agreement }) => agreement.effect),
    {
      key: "interval",
      title: t("Interval"),
      isNumber: true,
      cell: ({ agreement: { low, high } }) => `${share(low)} … ${share(high)}`,
    },
    numberColumn("pairs", t("Pairs"), formatNumber, ({ agreement }) => agreement.units),
    numberColumn("only_control", t("Only the control right"), formatNumber),
    numberColumn("only_candidate", t("Only the candidate right"), formatNumber),
  ];
  return html`
    <section class="card records">
      <h2>${t("Shadow")}</h2>
      <${Table} caption=${t("Answers to mirrored requests")} columns=${columns} rows=${results.shadow} name=${({ candidate }) => candidate} />
    </section>
  `;
}
