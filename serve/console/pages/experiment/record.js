/** Where the experiment is on its way, what is compared, and who changed what. */

import { Code } from "../../components/code.js";
import { Facts } from "../../components/facts.js";
import { Table, numberColumn } from "../../components/table.js";
import { formatNumber, formatShare, formatTime, t } from "../../language.js";
import { html } from "../../view.js";
import { toDate } from "../experiments/amounts.js";
import { StageBadge, explainDetail, explainReason, nameAuthor, nameWord } from "../experiments/words.js";

/** The stages from the first to the last, with the present one marked. */
export function Way({ known: { definition, phase } }) {
  const steps = listSteps(definition);
  const now = steps.findIndex(({ stage, step }) => isNow(phase, stage, step));
  return html`
    <ol class="way" aria-label=${t("Stages")}>
      ${steps.map(
        ({ stage, step }, place) => html`
        <li key=${`${stage} ${step}`} class=${place === now ? "is-now" : place < now ? "is-past" : ""} aria-current=${place === now ? "step" : null}>
          <span class="step">${step ? `${formatNumber(step)} %` : nameWord(stage)}</span>
        </li>
      `,
      )}
    </ol>
  `;
}

function listSteps({ stages: { shadow_share: share, steps } }) {
  const ramp = steps.map((step) => ({ stage: "ramp", step }));
  const shadow = share > 0 ? [{ stage: "shadow", step: 0 }] : [];
  return [{ stage: "draft", step: 0 }, ...shadow, ...ramp, { stage: "promoted", step: 0 }];
}

/** A pause stays where it was. */
function isNow({ stage, step_percent: percent }, own, step) {
  if (stage === "paused") return percent ? own === "ramp" && step === percent : own === "shadow";
  return stage === own && (own !== "ramp" || step === percent);
}

/** Every phase, the last one first. */
export function Phases({ phases }) {
  const columns = [
    numberColumn("number", t("Phase"), formatNumber),
    numberColumn("comparison", t("Comparison"), formatNumber),
    {
      key: "stage",
      title: t("Stage"),
      cell: (phase) =>
        html`<${StageBadge} phase=${phase} />${phase.promoted && html` <bdi>${phase.promoted}</bdi>`}`,
    },
    { key: "since", title: t("Since"), cell: ({ started_at: at }) => formatTime(toDate(at)) },
    { key: "by", title: t("By"), cell: ({ by }) => html`<bdi>${nameAuthor(by)}</bdi>` },
    { key: "reason", title: t("Reason"), cell: ({ reason }) => html`<bdi>${explainReason(reason)}</bdi>` },
  ];
  return html`
    <section class="card records">
      <h2>${t("Phases")}</h2>
      <${Table} caption=${t("Phases, the last one first")} columns=${columns} rows=${[...phases].reverse()} name=${({ number }) => number} />
    </section>
  `;
}

/** Who did what. */
export function Trail({ trail }) {
  const columns = [
    { key: "at", title: t("Time"), cell: ({ at }) => formatTime(toDate(at)) },
    { key: "by", title: t("By"), cell: ({ by }) => html`<bdi>${nameAuthor(by)}</bdi>` },
    { key: "action", title: t("Action"), cell: ({ action }) => nameWord(action) },
    { key: "detail", title: t("Detail"), cell: ({ detail }) => html`<bdi>${explainDetail(detail)}</bdi>` },
  ];
  const rows = trail.map((entry, place) => ({ ...entry, place }));
  return html`
    <section class="card records">
      <h2>${t("Audit trail")}</h2>
      <${Table} caption=${t("Who changed the experiment, the last change first")} columns=${columns} rows=${rows} name=${({ place }) => place} />
    </section>
  `;
}

/** What is compared, on whom, and by which rule. */
export function Definition({ known: { definition, phase, revision } }) {
  const testers = Object.entries(definition.allow_list);
  const rows = [
    [t("Model"), html`<bdi>${definition.model}</bdi>`],
    [t("Control"), describeVariant(definition.control, phase)],
    ...definition.candidates.map((candidate) => [
      t("Candidate {name}", { name: candidate.name }),
      describeVariant(candidate, phase),
    ]),
    [t("Units are named by"), definition.unit_sources.join(", ")],
    [t("Copied in shadow"), formatShare(definition.stages.shadow_share)],
    [t("Goes on by itself"), definition.stages.auto_advance ? t("yes") : t("no")],
    [t("Promotes by itself"), definition.auto_promote ? t("yes") : t("no")],
    [t("Chance of a wrong verdict"), formatShare(definition.alpha)],
    [
      t("Testers"),
      testers.length > 0 &&
        testers.map(
          ([unit, variant]) =>
            html`<span class="chip" key=${unit}><bdi>${unit}</bdi>: <bdi>${variant}</bdi></span> `,
        ),
    ],
    [t("Revision"), formatNumber(revision)],
  ];
  return html`
    <section class="card">
      <h2>${t("What is compared")}</h2>
      <${Facts} rows=${rows.filter(([, value]) => value !== false)} />
      <details>
        <summary>${t("The whole definition")}</summary>
        <${Code} text=${JSON.stringify(definition, null, 2)} label=${t("the definition as JSON")} />
      </details>
    </section>
  `;
}

function describeVariant({ name, model, version }, phase) {
  const pin = phase.pins[name];
  const said = [model, version].filter(Boolean).join(" ");
  return html`
    <bdi>${name}</bdi> ${said && html`<bdi>${said}</bdi>`}
    ${pin && html` <span class="note">${t("runs {model} version {version}", { model: pin.model, version: pin.version })}${pin.digest && html`, SHA-256 <code>${pin.digest.slice(0, 12)}</code>`}</span>`}
  `;
}
